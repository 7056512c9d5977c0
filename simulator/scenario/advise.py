"""The section ``advise``: what is uncertain, what may be changed, and what counts as a success.

It says nothing about a run, so it is no part of a scenario and enters no digest.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema

from simulator.errors import ScenarioError
from simulator.registry import Settings
from simulator.scenario import messages
from simulator.scenario.fields import Share
from simulator.scenario.kinds import Moment
from simulator.scenario.locate import Finding, Located, container, plain, show
from simulator.scenario.overrides import Change, apply
from simulator.scenario.times import call, longest, sampler
from simulator.units import Seconds

SECTION = "advise"


def read_factor(text: str) -> float:
    """Return a bare number above zero.

    Raises:
        ValueError: it is none.
    """
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(f'"{text}" is not a factor above zero')
    return value


def _check_factor(value: object) -> str:
    parts = call(value) if isinstance(value, str) else None
    if parts is None:
        raise ValueError(f'expected a distribution of a factor such as "lognormal(1, 0.3)", found {value!r}')
    sampler(*parts, read_factor)
    return str(value)


Factor = Annotated[
    str,
    BeforeValidator(_check_factor),
    WithJsonSchema({"type": "string", "description": 'a distribution of a factor, "lognormal(1, 0.3)"'}),
]
"""What a quantity is multiplied by, drawn, as written."""


class Interruptions(Settings):
    """Something that comes again and again: pauses between, and how long it lasts."""

    every: Moment
    for_: Moment = Field(alias="for")


def _interruptions(every: str, lasting: str) -> Interruptions:
    return Interruptions.model_validate({"every": f"exp({every})", "for": f"exp({lasting})"})


class Advise(Settings):
    """What ``medgossip advise`` assumes and tries.

    In every plan each site's line is ``bandwidth`` times as fast as declared, its latency ``latency``
    times as long and its computing ``speed`` times as fast (so is the server); sites' lines have
    ``outages``, sites and the server ``crashes`` and ``server_crashes``; null: none. The defaults are
    assumptions of medgossip; a study that depends on them should state its own.

    A plan fails if a site does not get as far as it does when nothing goes wrong, takes longer than
    ``within``, or wastes more than ``unused`` of a site's training. A line or an outage still works
    where at most ``risk`` of the plans fail. ``choices`` are dotted keys with values to try; by
    default the time-outs, quorums and retries that the scenario has.
    """

    within: Seconds | None = None
    unused: Share = 0.1
    risk: Share = 0.05
    bandwidth: Factor | None = "lognormal(1, 0.35)"
    latency: Factor | None = "lognormal(1, 0.25)"
    speed: Factor | None = "lognormal(1, 0.15)"
    outages: Interruptions | None = _interruptions("48 h", "6 min")
    crashes: Interruptions | None = _interruptions("336 h", "1 h")
    server_crashes: Interruptions | None = _interruptions("720 h", "1 h")
    choices: dict[str, tuple[Any, ...]] | None = None


def read_advise(section: Located | None, options: Sequence[Change], root: Located) -> Advise:
    """Read the section, changed by the options that are about it.

    Raises:
        ScenarioError: every error found, one per line.
    """
    tree = section or container({}, root.place, root.place)
    for option in options:
        tree = apply(tree, Change(path=option.path[1:], value=option.value))
    bare = {} if tree.value is None else plain(tree)
    whole = container({SECTION: tree}, root.place, None)
    try:
        advise = messages.validate(Advise, bare)
    except ValidationError as error:
        found = messages.findings(error, bare, Advise, (SECTION,))
    else:
        found = _checked(advise)
    if found:
        raise ScenarioError("\n".join(show(whole, one)[1] for one in found))
    return advise


def _checked(advise: Advise) -> list[Finding]:
    found = []
    for name in ("outages", "crashes", "server_crashes"):
        one: Interruptions | None = getattr(advise, name)
        for key, text in (("every", one.every), ("for", one.for_)) if one else ():
            if longest(text, "duration") == 0:
                message = f'"{text}" must be above zero; write how long'
                found.append(Finding(path=(SECTION, name, key), message=message))
    for key, values in (advise.choices or {}).items():
        if not values:
            found.append(Finding(path=(SECTION, "choices", key), message="no values; list at least one"))
        if key.partition(".")[0] not in {"algorithm", "network", "server", "sites"}:
            message = "only settings of algorithm, network, server and sites can be chosen; remove it"
            found.append(Finding(path=(SECTION, "choices", key), message=message, of_key=True))
    return found

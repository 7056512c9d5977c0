"""Settings that could be other than they are: those named by the section, or what the scenario has."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from simulator.advice.trials import with_settings
from simulator.errors import ScenarioError
from simulator.indexing import index_sites, objection, site_data
from simulator.scenario import checks
from simulator.scenario.advise import Advise
from simulator.scenario.schema import ScenarioBase

Choice = tuple[tuple[str, str], ...]
"""Dotted keys with their values as JSON."""

_SECONDS = re.compile(r"[0-9.e+-]+ s")
_FACTORS = (0.25, 0.5, 2.0, 4.0)
"""Durations of the algorithm are tried so many times as long."""
_TOGETHER = {"round_deadline": "server_patience"}
"""A duration that must stay below another one, which is made longer with it."""
_TRIED: Mapping[str, tuple[Any, ...]] = {
    "grace": ("60 s", "300 s", "1800 s"),
    "quorum": (1, "50 %", "n-1", "n"),
    "prune_after": (2, 3),
    "late_updates": ("accept",),
    "when_server_lost": ("train_alone", "gossip", "elect"),
}
"""Values for settings of the algorithm by name."""
_TRANSPORT: Mapping[str, tuple[Any, ...]] = {
    "retries": (0, 5, 10),
    "stall_timeout": ("30 s", "300 s", "900 s"),
    "restart": ("offset",),
}


def candidates(scenario: ScenarioBase, advise: Advise) -> list[Choice]:
    """Return the settings to try, one changed at a time.

    Raises:
        ScenarioError: a choice that the section names is not possible.
    """
    data = site_data(scenario, index_sites(scenario))
    found: list[Choice] = []
    for choice in _usual(scenario) if advise.choices is None else _named(advise.choices):
        try:
            changed = with_settings(scenario, choice)
            wrong = next((one.message for one in checks.check(changed)), "") or objection(changed, data)
        except ValidationError as error:
            wrong = str(error.errors()[0]["msg"])
        except ValueError as error:
            wrong = str(error)
        if wrong and advise.choices is not None:
            key, value = choice[0]
            raise ScenarioError(f"advise.choices.{key}: {json.loads(value)}: {wrong}")
        if not wrong and changed != scenario and choice not in found:
            found.append(choice)
    return found


def described(choice: Choice) -> str:
    """Return a choice as one writes it after ``--set``."""
    return ", ".join(f"{key}={json.loads(value)}" for key, value in choice)


def _named(choices: Mapping[str, tuple[Any, ...]]) -> Iterator[Choice]:
    for key, values in choices.items():
        yield from (((key, json.dumps(value)),) for value in values)


def _usual(scenario: ScenarioBase) -> Iterator[Choice]:
    """Durations of the algorithm shorter and longer, its quorum and the like, the transport's patience."""
    tree = scenario.model_dump(mode="json", by_alias=True)
    for name, value in tree["algorithm"].items():
        if isinstance(value, str) and _SECONDS.fullmatch(value) and name not in _TRIED:
            yield from (_scaled(tree["algorithm"], name, factor) for factor in _FACTORS)
        for one in _TRIED.get(name, ()):
            choice: Choice = ((f"algorithm.{name}", json.dumps(one)),)
            # a grace begins when the quorum came: after a single answer nobody would want it to
            alone = name == "grace" and value is None and tree["algorithm"].get("quorum") == 1
            yield (*choice, ("algorithm.quorum", json.dumps("n-1"))) if alone else choice
    for name, values in _TRANSPORT.items():
        yield from (((f"network.transport.{name}", json.dumps(one)),) for one in values)


def _scaled(settings: Mapping[str, Any], name: str, factor: float) -> Choice:
    names = [name, _TOGETHER[name]] if name in _TOGETHER and factor > 1 else [name]
    seconds = {one: float(settings[one].removesuffix(" s")) * factor for one in names}
    return tuple((f"algorithm.{one}", json.dumps(f"{value:g} s")) for one, value in seconds.items())

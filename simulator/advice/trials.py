"""A trial: a scenario with one draw of what is uncertain, and perhaps other settings or a fault more.

Draws are named by their number, so every setting is tried under the same ones (common random numbers)
and one more trial changes none of the others.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar

from simulator.rng import draw_seed, stream
from simulator.scenario.advise import Advise, Interruptions, read_factor
from simulator.scenario.dump import pack, unpack
from simulator.scenario.schema import AccessLink, Fault, NodeSpec, ScenarioBase
from simulator.scenario.times import call, sampler
from simulator.scenario.topologies import SERVER, STANDBY
from simulator.sites.devices import sustained_flop_per_s

M = TypeVar("M", bound=NodeSpec)

ANY_SITE = "a site"
"""Stands for the site of an outage where it is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The line of ``node`` is cut for ``seconds``, at an instant drawn from the first ``within_s``."""

    node: str
    seconds: float
    within_s: float


FASTER = 2.0
"""How many times as fast a line or a machine is that is made faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faster:
    """The line of ``node`` (both directions) or its machine is :data:`FASTER` times as fast."""

    node: str
    what: Literal["line", "machine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one plan is of.

    Args:
        number: of the draw; None: everything as declared and nothing goes wrong.
        settings: dotted keys with their values as JSON, for those that differ.
        most_bytes_per_s: no site's line is faster than this.
        outage: one more.
        faster: a line or a machine that is faster than declared.
    """

    number: int | None
    settings: tuple[tuple[str, str], ...] = ()
    most_bytes_per_s: float | None = None
    outage: Outage | None = None
    faster: Faster | None = None


def with_settings(scenario: ScenarioBase, settings: tuple[tuple[str, str], ...]) -> ScenarioBase:
    """Return the scenario with other values at dotted keys.

    Raises:
        ValueError: a key that it does not have, or a value that is not allowed there.
    """
    if not settings:
        return scenario
    known, tree = scenario.model_dump(mode="json", by_alias=True), json.loads(pack(scenario))
    for key, value in settings:
        *before, last = key.split(".")
        node, possible = tree, known
        for part in before:
            place = _place(possible, part, key)
            possible = possible[place]
            node = node[place] if isinstance(node, list) else node.setdefault(place, {})
        if not isinstance(possible, dict) or last not in possible:
            raise ValueError(f"{key}: the scenario has no such setting")
        node[last] = json.loads(value)
    return unpack(json.dumps(tree))


def _place(node: Any, part: str, key: str) -> Any:
    """The key or, in a list, the number of the entry that is named so."""
    if isinstance(node, list):
        places = {str(one.get("name", number)): number for number, one in enumerate(node)}
    else:
        places = {name: name for name in node} if isinstance(node, dict) else {}
    if part not in places:
        raise ValueError(f"{key}: the scenario has no {part}")
    return places[part]


def undisturbed(scenario: ScenarioBase) -> ScenarioBase:
    """Return the scenario without faults, but for nodes that join."""
    return scenario.model_copy(
        update={"faults": tuple(fault for fault in scenario.faults if fault.join is not None)}
    )


def drawn(scenario: ScenarioBase, advise: Advise, trial: Trial) -> ScenarioBase:
    """Return the scenario of a trial, its settings changed already."""
    update: dict[str, Any] = {}
    if trial.number is None:
        scenario = undisturbed(scenario)
    else:
        seed, number = scenario.seed.network, trial.number
        own = scenario.seed.model_copy(update={"network": draw_seed(seed, "advise", number)})
        update["seed"] = own
        update["sites"] = tuple(_machine(site, site.name, advise, seed, number) for site in scenario.sites)
        if scenario.server is not None:
            update["server"] = _machine(scenario.server, SERVER, advise, seed, number)
        update["faults"] = (*scenario.faults, *_interruptions(scenario, advise))
    scenario = scenario.model_copy(update=update)
    if trial.most_bytes_per_s is not None:
        scenario = _capped(scenario, trial.most_bytes_per_s)
    if trial.faster is not None:
        scenario = faster(scenario, trial.faster)
    if trial.outage is not None:
        scenario = _interrupted(scenario, trial.outage, trial.number or 0)
    return scenario


def _machine(spec: M, name: str, advise: Advise, seed: int, number: int) -> M:
    """A machine and its line as this draw has them; every quantity has a stream of its own."""

    def factor(what: str, distribution: str | None) -> float:
        rng = stream(seed, "advise", number, name, what)
        return 1.0 if distribution is None else _factors(distribution)(rng)

    wide, far = factor("bandwidth", advise.bandwidth), factor("latency", advise.latency)
    fast, link = factor("speed", advise.speed), spec.link
    lines = {"up": link.up * wide, "down": link.down * wide, "latency": link.latency * far}
    return _computing(spec.model_copy(update={"link": link.model_copy(update=lines)}), fast)


def _computing(spec: M, factor: float) -> M:
    """A machine that computes so many times as fast."""
    if spec.seconds_per_item is not None:
        return spec.model_copy(update={"seconds_per_item": spec.seconds_per_item / factor})
    speed = spec.speed if spec.device is None else sustained_flop_per_s(spec.device)
    assert speed is not None  # the scenario was checked
    return spec.model_copy(update={"device": None, "speed": speed * factor})


def faster(scenario: ScenarioBase, part: Faster) -> ScenarioBase:
    """Return the scenario with one line or machine faster; the same if that is unlimited."""

    def changed(spec: M) -> M:
        if part.what == "machine":
            return spec if spec.speed == math.inf else _computing(spec, FASTER)
        link = spec.link
        return spec.model_copy(
            update={"link": link.model_copy(update={"up": FASTER * link.up, "down": FASTER * link.down})}
        )

    update: dict[str, Any] = {
        "sites": tuple(changed(site) if site.name == part.node else site for site in scenario.sites)
    }
    for role in (SERVER, STANDBY):
        spec = getattr(scenario, role)
        if part.node == role and spec is not None:
            update[role] = changed(spec)
    return scenario.model_copy(update=update)


@cache
def _factors(distribution: str) -> Any:
    parts = call(distribution)
    assert parts is not None  # checked as the section was read
    return sampler(*parts, read_factor)


@cache
def _repeated(verb: str, nodes: tuple[str, ...], every: str, lasting: str) -> Fault:
    return Fault.model_validate({"every": every, "for": lasting, verb: nodes})


def _interruptions(scenario: ScenarioBase, advise: Advise) -> list[Fault]:
    sites = tuple(site.name for site in scenario.sites)
    wanted: list[tuple[str, tuple[str, ...], Interruptions | None]] = [
        ("disconnect", sites, advise.outages),
        ("crash", sites, advise.crashes),
        ("crash", (SERVER,), advise.server_crashes if scenario.server is not None else None),
    ]
    return [_repeated(verb, nodes, one.every, one.for_) for verb, nodes, one in wanted if one is not None]


def _capped(scenario: ScenarioBase, bytes_per_s: float) -> ScenarioBase:
    def slower(link: AccessLink) -> AccessLink:
        lines: Mapping[str, float] = {
            "up": min(link.up, bytes_per_s),
            "down": min(link.down, bytes_per_s),
        }
        return link.model_copy(update=lines)

    sites = tuple(site.model_copy(update={"link": slower(site.link)}) for site in scenario.sites)
    return scenario.model_copy(update={"sites": sites})


def _interrupted(scenario: ScenarioBase, outage: Outage, number: int) -> ScenarioBase:
    rng = stream(scenario.seed.network, "advise", "outage", number)
    at_s = float(rng.uniform(0.0, outage.within_s))
    node = outage.node
    if node == ANY_SITE:
        node = str(rng.choice([site.name for site in scenario.sites]))
    fault = Fault.model_validate({"at": f"{at_s!r} s", "for": f"{outage.seconds!r} s", "disconnect": node})
    return scenario.model_copy(update={"faults": (*scenario.faults, fault)})

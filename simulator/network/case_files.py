"""Reading files of reference cases (see :mod:`simulator.network.cases`), every mistake with its place."""

import json
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.scenario import messages
from simulator.scenario.locate import dotted

Case = Mapping[str, Any]
"""A case as the file has it, checked."""

_Rate = Annotated[float, Field(gt=0)]
_Delay = Annotated[float, Field(ge=0)]
_Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    """A part of a case; keys that we do not know are left to others."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class _Link(_Part):
    id: _Text
    src: _Text
    dst: _Text
    bandwidth: _Rate
    bandwidth_rev: _Rate
    latency: _Delay
    loss: Annotated[float, Field(ge=0, lt=1)]
    queue: _Rate
    queue_rev: _Rate


class _Topology(_Part):
    nodes: tuple[_Text, ...]
    links: tuple[_Link, ...]


class _Flow(_Part):
    src: _Text
    dst: _Text
    bytes: Annotated[int, Field(ge=1)]
    start: _Delay
    kind: Literal["tcp", "udp"]
    route: Annotated[tuple[_Text, ...], Field(min_length=1)]
    rate: _Rate | None = None


class _Event(_Part):
    t: _Delay
    link: _Text
    kind: Literal["bw", "delay", "down", "up"]
    bandwidth: _Rate | None = None
    bandwidth_rev: _Rate | None = None
    latency: _Delay | None = None


class _Tcp(_Part):
    cc: Literal["cubic", "reno", "bbr"]
    wmax: _Rate


class _Case(_Part):
    id: _Text
    group: _Text
    topology: _Topology
    flows: Annotated[tuple[_Flow, ...], Field(min_length=1)]
    events: tuple[_Event, ...]
    tcp: _Tcp
    reference: dict[str, tuple[float | None, ...]]


_NEEDS = {"bw": ("bandwidth", "bandwidth_rev"), "delay": ("latency",), "down": (), "up": ()}


def read(path: Path) -> list[Case]:
    """Return the cases of a file.

    Raises:
        ScenarioError: not such a file, or every case that cannot be, one finding per line.
    """
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
        if not isinstance(cases, list) or not cases:
            raise ValueError("cases: expected a list of at least one")
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = 'a JSON file with "cases": [...] is needed'
        raise ScenarioError(f"{path}: not a file of network cases ({_words(error)}); {remedy}") from None
    found = [f"{path}: {line}" for line in _findings(cases)]
    if found:
        raise ScenarioError("\n".join(found))
    return list(cases)


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    return f"no key {error}" if isinstance(error, KeyError) else str(error)


def _findings(cases: list[Any]) -> Iterator[str]:
    seen: set[str] = set()
    for number, bare in enumerate(cases):
        name = bare.get("id", number) if isinstance(bare, dict) else number
        try:
            case = messages.validate(_Case, bare)
        except ValidationError as error:
            for finding in messages.findings(error, bare, _Case):
                yield f"case {name}: {dotted(finding.path)}: {finding.message}"
            continue
        if case.id in seen:
            yield f"case {name}: id: a second case of this name; rename one"
        seen.add(case.id)
        wrong = [*_links(case)] or [*_flows(case), *_events(case), *_capacity(case), *_references(case)]
        yield from (f"case {name}: {line}" for line in wrong)


def _links(case: _Case) -> Iterator[str]:
    seen: set[str] = set()
    for number, link in enumerate(case.topology.links):
        where = f"topology.links.{number}"
        if link.id.endswith("~"):
            yield f'{where}.id: "{link.id}" reads as a way against a link; leave out the ~'
        if link.id in seen:
            yield f'{where}.id: a second link "{link.id}"; rename one'
        seen.add(link.id)
        for end in ("src", "dst"):
            yield from _node(case, f"{where}.{end}", getattr(link, end))


def _node(case: _Case, where: str, name: str) -> Iterator[str]:
    if name not in case.topology.nodes:
        yield f'{where}: no node "{name}"{suggest(name, list(case.topology.nodes))}'


def _flows(case: _Case) -> Iterator[str]:
    links = {link.id: link for link in case.topology.links}
    for number, flow in enumerate(case.flows):
        where, at = f"flows.{number}", flow.src
        unknown = [*_node(case, f"{where}.src", flow.src), *_node(case, f"{where}.dst", flow.dst)]
        for hop, id in enumerate(flow.route):
            link = links.get(id.removesuffix("~"))
            if link is None:
                unknown.append(f'{where}.route.{hop}: no link "{id}"{suggest(id, list(links))}')
                continue
            begin, end = (link.dst, link.src) if id.endswith("~") else (link.src, link.dst)
            if begin != at and not unknown:
                unknown.append(f"{where}.route.{hop}: {id} begins at {begin}, but the flow is at {at}")
            at = end
        if not unknown and at != flow.dst:
            unknown.append(f"{where}.route: ends at {at}, but the flow goes to {flow.dst}; add links")
        yield from unknown
        if flow.kind == "udp" and flow.rate is None:
            yield f"{where}.rate: missing; a udp flow needs its rate in bit/s"
    if all(flow.kind == "udp" for flow in case.flows):
        yield "flows: none is tcp, so there is nothing to compare; add one"


def _events(case: _Case) -> Iterator[str]:
    links, before = [link.id for link in case.topology.links], 0.0
    for number, event in enumerate(case.events):
        where = f"events.{number}"
        if event.t < before:
            yield f"{where}.t: {event.t} s is before the event above it, {before} s; put them in order"
        before = max(before, event.t)
        if event.link not in links:
            yield f'{where}.link: no link "{event.link}"{suggest(event.link, links)}'
        for key in _NEEDS[event.kind]:
            if getattr(event, key) is None:
                yield f"{where}.{key}: missing; an event {event.kind} needs it"


def _capacity(case: _Case) -> Iterator[str]:
    """Background must leave something of every link, also of one that an event makes slower."""
    lowest = {link.id: link.bandwidth for link in case.topology.links}
    lowest |= {f"{link.id}~": link.bandwidth_rev for link in case.topology.links}
    for event in case.events:
        for id, rate in ((event.link, event.bandwidth), (f"{event.link}~", event.bandwidth_rev)):
            if rate is not None and id in lowest:
                lowest[id] = min(lowest[id], rate)
    taken: dict[str, float] = {}
    for flow in case.flows:
        for id in flow.route if flow.kind == "udp" else ():
            taken[id] = taken.get(id, 0.0) + (flow.rate or 0.0)
    for id, rate in taken.items():
        if rate >= lowest.get(id, inf):
            left = f"which has {lowest[id]:g}; tcp needs something of it too"
            yield f"flows: udp takes {rate:g} bit/s of {id}, {left}"


def _references(case: _Case) -> Iterator[str]:
    for system, seconds in case.reference.items():
        if len(seconds) != len(case.flows):
            yield f"reference.{system}: {len(seconds)} times for {len(case.flows)} flows; one each is needed"

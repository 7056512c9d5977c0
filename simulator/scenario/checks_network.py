"""What types cannot say of ``network``: names that must exist, settings that fit the topology."""

from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from math import inf
from operator import mul

from simulator.registry import suggest
from simulator.scenario.locate import Finding, KeyPath
from simulator.scenario.schema import AccessLink, NetworkSpec, ScenarioBase
from simulator.scenario.topologies import (
    MACHINES,
    MAX_LINKS,
    ROOT,
    SERVER,
    STANDBY,
    Coordinates,
    Graph,
    Hierarchical,
    Pairs,
    RouteSpec,
    StarOfAccessLinks,
    branches,
)

_OWN_LINKS = (StarOfAccessLinks, Graph, Hierarchical)


def check_network(scenario: ScenarioBase) -> Iterator[Finding]:
    """Yield what is wrong with the network of a scenario whose types are right."""
    too_large = list(_size(scenario.network))
    yield from too_large
    if too_large:  # what follows would list every router
        return
    yield from _settings(scenario.network)
    yield from _overlay(scenario)
    yield from _links(scenario)
    yield from _positions(scenario)
    yield from _relays(scenario)
    yield from _ends(scenario)
    yield from _routes(scenario)
    yield from _backbone(scenario)


def dead_lines(line: AccessLink, path: KeyPath) -> Iterator[Finding]:
    """Yield what of a line lets nothing pass."""
    for way in ("up", "down"):
        if getattr(line, way) == 0:
            remedy = "write a rate above zero, or a fault that disconnects"
            yield Finding(path=(*path, way), message=f"carries nothing; {remedy}")
    if line.loss == 1:
        message = "lets nothing pass; write a loss below 1, or a fault that disconnects"
        yield Finding(path=(*path, "loss"), message=message)


def _size(network: NetworkSpec) -> Iterator[Finding]:
    if isinstance(network.topology, Hierarchical):
        num_routers = sum(accumulate((level.branches for level in network.topology.levels), mul))
        if num_routers > MAX_LINKS:
            message = f"{num_routers:,} links, more than {MAX_LINKS:,}; write fewer branches"
            yield Finding(path=("network", "topology", "levels"), message=message)


def _settings(network: NetworkSpec) -> Iterator[Finding]:
    """Settings beside ``topology`` that its kind does not have, or lacks."""
    kind = network.topology
    if network.links and not isinstance(kind, Graph):
        message = f"{kind.kind} has no links of its own; write topology: graph or remove them"
        yield Finding(path=("network", "links"), message=message, of_key=True)
    if isinstance(kind, _OWN_LINKS):
        if network.core is not None:
            instead = {"star-of-access-links": "backbone", "graph": "links", "hierarchical": "levels"}
            message = f"{kind.kind} has none; write {instead[kind.kind]} or remove it"
            yield Finding(path=("network", "core"), message=message, of_key=True)
    elif network.core is None:
        message = f"{kind.kind} needs it; add core: {{bandwidth: …, latency: …}}"
        yield Finding(path=("network", "core"), message=message)
    elif network.core.bandwidth == 0:
        yield Finding(
            path=("network", "core", "bandwidth"), message="carries nothing; write a rate above zero"
        )


def _overlay(scenario: ScenarioBase) -> Iterator[Finding]:
    kind = scenario.network.overlay
    if not isinstance(kind, Pairs):
        return
    sites = [site.name for site in scenario.sites]
    for number, pair in enumerate(kind.pairs):
        for end, name in enumerate(pair):
            if name not in sites:
                message = f'no site "{name}"{suggest(name, sites)}'
                yield Finding(path=("network", "overlay", number, end), message=message)
        if pair[0] == pair[1]:
            message = f"{pair[0]} is paired with itself; name two sites"
            yield Finding(path=("network", "overlay", number), message=message)


def _links(scenario: ScenarioBase) -> Iterator[Finding]:
    """Every line ends in an explicit graph, and every pair has a route."""
    network, path = scenario.network, ("network", "links")
    if not isinstance(network.topology, Graph):
        return
    neighbors: dict[str, set[str]] = {}
    for link in network.links:
        neighbors.setdefault(link.a, set()).add(link.b)
        neighbors.setdefault(link.b, set()).add(link.a)
    lines = {name: spec.link for name, spec in scenario.machines.items()}
    lines |= {relay.name: relay.link for relay in network.relays}
    ends = {name: line.to or name for name, line in lines.items()}
    first = next(iter(ends))
    reached, border = {ends[first]}, [ends[first]]
    while border:
        fresh = neighbors.get(border.pop(), set()) - reached
        reached |= fresh
        border += sorted(fresh)
    for name, end in ends.items():
        if end not in neighbors:
            if lines[name].to is None:
                message = f"{name} is in no link; add one with a: {name}"
                yield Finding(path=path, message=message, of_key=True)
        elif end not in reached and ends[first] in neighbors:
            message = f"no route from {first} to {name}; add a link"
            yield Finding(path=path, message=message, of_key=True)


def _positions(scenario: ScenarioBase) -> Iterator[Finding]:
    if isinstance(scenario.network.topology, Coordinates):
        for number, site in enumerate(scenario.sites):
            if site.position is None:
                yield Finding(path=("sites", number, "position"), message=_NO_POSITION)
        for name, spec in ((SERVER, scenario.server), (STANDBY, scenario.standby)):
            if spec is not None and spec.position is None:
                yield Finding(path=(name, "position"), message=_NO_POSITION)


_NO_POSITION = "missing; coordinates need it, add {lat: 48.1, lon: 11.6}"


def _relays(scenario: ScenarioBase) -> Iterator[Finding]:
    taken = dict.fromkeys(scenario.machines, "a site") | {name: f"the {name}" for name in MACHINES}
    for number, relay in enumerate(scenario.network.relays):
        path: KeyPath = ("network", "relays", number)
        if relay.name in taken:
            message = f'"{relay.name}" is the name of {taken[relay.name]}; choose another'
            yield Finding(path=(*path, "name"), message=message)
        taken[relay.name] = "another relay"
        yield from dead_lines(relay.link, (*path, "link"))


def _ends(scenario: ScenarioBase) -> Iterator[Finding]:
    """Lines end at routers that there are; relays say where unless the topology knows."""
    network = scenario.network
    routers = _routers(scenario)
    paths: list[tuple[KeyPath, AccessLink]] = [
        (("sites", number, "link", "to"), site.link) for number, site in enumerate(scenario.sites)
    ]
    paths += [
        ((name, "link", "to"), spec.link)
        for name, spec in ((SERVER, scenario.server), (STANDBY, scenario.standby))
        if spec is not None
    ]
    relays = [
        (("network", "relays", number, "link", "to"), relay.link)
        for number, relay in enumerate(network.relays)
    ]
    for path, line in [*paths, *relays]:
        if line.to is not None and isinstance(network.topology, StarOfAccessLinks):
            message = "all lines of star-of-access-links end in one core; remove it"
            yield Finding(path=path, message=message, of_key=True)
        elif line.to is not None and line.to not in routers:
            yield Finding(path=path, message=f'no router "{line.to}"{suggest(line.to, routers)}')
    if not isinstance(network.topology, _OWN_LINKS):
        for path, line in relays:
            if line.to is None:
                message = f"missing; name where the line ends, such as {routers[0]}"
                yield Finding(path=path, message=message)


def _routers(scenario: ScenarioBase) -> list[str]:
    kind = scenario.network.topology
    match kind:
        case Graph():
            names = {end for link in scenario.network.links for end in (link.a, link.b)}
        case Hierarchical():
            names = {ROOT, *(below for below, _, _ in branches(kind))}
        case _:
            names = set(scenario.machines)
    return sorted(names)


def _routes(scenario: ScenarioBase) -> Iterator[Finding]:
    lines = {name: spec.link for name, spec in scenario.machines.items()}
    lines |= {relay.name: relay.link for relay in scenario.network.relays}
    for number, route in enumerate(scenario.network.routes):
        path: KeyPath = ("network", "routes", number)
        if route.via not in lines:
            message = f'no relay, site or server "{route.via}"{suggest(route.via, list(lines))}'
            yield Finding(path=(*path, "via"), message=message)
        elif not lines[route.via].inbound:
            message = f"{route.via} accepts no connections (inbound: false), so it cannot pass on; open it"
            yield Finding(path=(*path, "via"), message=message)
        if not isinstance(route.between, str):
            yield from _members(route.between, list(scenario.machines), (*path, "between"))
        for other in scenario.network.routes:
            if other.via != route.via and other.via in _passengers(route, scenario):
                message = (
                    f"{other.via} passes on itself, and its own traffic would go by way of {route.via}; "
                    "a way has one relay, so leave it out of between"
                )
                yield Finding(path=path, message=message)


def _backbone(scenario: ScenarioBase) -> Iterator[Finding]:
    """A star's backbone has one direction, so that packets cannot go in and out of a relay's line by it."""
    network = scenario.network
    has_backbone = network.backbone.bandwidth < inf or network.backbone.latency > 0
    if not has_backbone or not isinstance(network.topology, StarOfAccessLinks):
        return
    num_closed = sum(not spec.link.inbound for spec in scenario.machines.values())
    for route in network.routes:
        is_used = route.between != "outbound-only" or num_closed > 1
        if route.forward == "cut-through" and is_used:
            message = (
                f"what goes by way of {route.via} would cross it twice in one direction; "
                "remove it, or write topology: hierarchical, or forward: store-and-forward"
            )
            yield Finding(path=("network", "backbone"), message=message, of_key=True)


def _passengers(route: RouteSpec, scenario: ScenarioBase) -> Collection[str]:
    """Whose traffic a route may take, as far as that is named; outbound-only sites pass on nothing."""
    match route.between:
        case "sites":
            return [site.name for site in scenario.sites]
        case "all":
            return scenario.machines
        case "outbound-only":
            return ()
        case names:
            return names


def _members(names: Sequence[str], known: Sequence[str], path: KeyPath) -> Iterator[Finding]:
    for number, name in enumerate(names):
        if name not in known:
            message = f'no site or server "{name}"{suggest(name, list(known))}'
            yield Finding(path=(*path, number), message=message)
        elif name in names[:number]:
            yield Finding(path=(*path, number), message=f"{name} is listed twice; remove it")

"""The core between the access lines: its routers and links, for every kind of topology.

Routers are called ``"@<name>"`` among the ends of links, so that none is taken for a machine.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from simulator.errors import ScenarioError
from simulator.network.generators import edges
from simulator.network.geography import distances_km, latency_s, nearest
from simulator.network.links import Link
from simulator.scenario.schema import LinkSpec, NetworkSpec
from simulator.scenario.topologies import (
    MAX_LINKS,
    ROOT,
    Coordinates,
    Core,
    Graph,
    Hierarchical,
    Level,
    Position,
    StarOfAccessLinks,
    branches,
    leaves,
)
from simulator.units import show

Spots = Mapping[str, Position | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreGraph:
    """Links between routers, and where the lines end that do not say where: into the core, out of it.
    Lines that are not among ``ends`` must say.
    """

    links: list[Link]
    ends: Mapping[str, tuple[str, str]]

    def routers(self) -> set[str]:
        """Return the names of all routers."""
        return {end for link in self.links for end in (link.src, link.dst)} | {
            end for pair in self.ends.values() for end in pair
        }


def router(name: str) -> str:
    """Return a router's name among the ends of links."""
    return f"@{name}"


def core_of(
    network: NetworkSpec, spots: Spots, *, machines: Iterable[str], relays: Collection[str], seed: int
) -> CoreGraph:
    """Return the core of a scenario.

    Args:
        network: as in the scenario.
        spots: sites and server in the order listed, with their places on Earth.
        machines: everybody who has a line.
        relays: those of them that are neither a site nor the server.
        seed: the network seed, of cores that are drawn.

    Raises:
        ScenarioError: settings that do not fit, a link without capacity, a graph that cannot be.
    """
    kind = network.topology
    if not isinstance(kind, Graph) and network.links:
        raise ScenarioError(f"network.links: a {kind.kind} has none; write topology: graph")
    if not isinstance(kind, StarOfAccessLinks) and _has_backbone(network):
        raise ScenarioError(f"network.backbone: a {kind.kind} has none; write a link instead")
    match kind:
        case StarOfAccessLinks():
            return _star(network, machines)
        case Graph():
            return _listed(network)
        case Hierarchical():
            return _tree(kind, list(spots), relays)
        case Coordinates():
            return _on_earth(kind, network.core, spots)
        case _ if kind.kind == "file":
            raise ScenarioError(f"network.topology.path: {kind.path} has not been read; load the scenario")
        case _:
            pairs = edges(kind, list(spots), seed=seed, where="network.topology")
            return _generated(dict.fromkeys(pairs, 0.0), network.core, spots)


def require_capacity(where: str, bytes_per_s: float) -> None:
    """Refuse a link that carries nothing.

    Raises:
        ScenarioError: naming ``where``.
    """
    if not bytes_per_s > 0:
        found = show(bytes_per_s, "rate")
        raise ScenarioError(f"{where}: {found} carries nothing; write a rate above zero or a fault")


def require_passage(where: str, loss: float) -> None:
    """Refuse a link that loses everything.

    Raises:
        ScenarioError: naming ``where``.
    """
    if not loss < 1:
        raise ScenarioError(f"{where}: a loss of 1 lets nothing pass; write a loss below 1 or a fault")


def _has_backbone(network: NetworkSpec) -> bool:
    return network.backbone.bandwidth < inf or network.backbone.latency > 0


def _star(network: NetworkSpec, machines: Iterable[str]) -> CoreGraph:
    backbone = network.backbone
    require_capacity("network.backbone.bandwidth", backbone.bandwidth)
    if not _has_backbone(network):
        return CoreGraph(links=[], ends=dict.fromkeys(machines, (router(ROOT), router(ROOT))))
    entry, leave = router("core-in"), router("core-out")
    link = Link(
        id="backbone", src=entry, dst=leave, bytes_per_s=backbone.bandwidth, latency_s=backbone.latency
    )
    return CoreGraph(links=[link], ends=dict.fromkeys(machines, (entry, leave)))


def _listed(network: NetworkSpec) -> CoreGraph:
    links: dict[str, Link] = {}
    for place, spec in enumerate(network.links):
        where = f"network.links.{place}"
        if spec.a == spec.b:
            raise ScenarioError(f"{where}: both ends are {spec.a}; name two vertices")
        if f"{spec.a}>{spec.b}" in links:
            raise ScenarioError(f"{where}: a second link between {spec.a} and {spec.b}; join them into one")
        back = spec.bandwidth if spec.bandwidth_back is None else spec.bandwidth_back
        require_capacity(f"{where}.bandwidth_back", back)
        for link in _both_ways(where, spec.a, spec.b, spec, latency_s=spec.latency, back=back):
            links[link.id] = link
    names = dict.fromkeys(end for spec in network.links for end in (spec.a, spec.b))
    return CoreGraph(links=list(links.values()), ends=_own(names))


def _generated(extra_s: Mapping[tuple[str, str], float], core: Core | None, spots: Spots) -> CoreGraph:
    """A router for every spot, pairs joined by links of ``core`` with more latency."""
    if core is None:
        raise ScenarioError("network.core: missing; write core: {bandwidth: …, latency: …}")
    if len(extra_s) > MAX_LINKS:
        raise ScenarioError(
            f"network.topology: {len(extra_s):,} links, more than {MAX_LINKS:,}; choose one with fewer"
        )
    links = [
        link
        for (a, b), more_s in extra_s.items()
        for link in _both_ways("network.core", a, b, core, latency_s=core.latency + more_s)
    ]
    return CoreGraph(links=links, ends=_own(spots))


def _on_earth(kind: Coordinates, core: Core | None, spots: Spots) -> CoreGraph:
    names, positions = list(spots), [position for position in spots.values() if position is not None]
    if len(positions) < len(names):
        lost = next(name for name, position in spots.items() if position is None)
        raise ScenarioError(f"network.topology: {lost} has no position; add {{lat: …, lon: …}} to it")
    distance = distances_km(positions)
    pairs = nearest(distance, kind.neighbors)
    extra_s = {(names[a], names[b]): latency_s(float(distance[a, b]), kind) for a, b in pairs}
    return _generated(extra_s, core, spots)


def _tree(kind: Hierarchical, spots: Sequence[str], relays: Collection[str]) -> CoreGraph:
    links = [
        link
        for below, above, level in branches(kind)
        for link in _both_ways(
            "network.topology.levels", below, above, kind.levels[level], latency_s=kind.levels[level].latency
        )
    ]
    ends = leaves(kind, spots) | dict.fromkeys(relays, ROOT)
    return CoreGraph(links=links, ends={name: (router(end), router(end)) for name, end in ends.items()})


def _own(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Everyone's line ends at the router of the same name."""
    return {name: (router(name), router(name)) for name in names}


def _both_ways(
    where: str, a: str, b: str, spec: Level | Core | LinkSpec, *, latency_s: float, back: float | None = None
) -> list[Link]:
    """The two directions of a link; ``back`` is the capacity of b → a where it differs."""
    require_capacity(f"{where}.bandwidth", spec.bandwidth)
    require_passage(f"{where}.loss", spec.loss)
    return [
        Link(
            id=f"{src}>{dst}",
            src=router(src),
            dst=router(dst),
            bytes_per_s=rate,
            latency_s=latency_s,
            loss=spec.loss,
            buffer_nbytes=spec.buffer,
        )
        for src, dst, rate in (
            (a, b, spec.bandwidth),
            (b, a, spec.bandwidth if back is None else back),
        )
    ]

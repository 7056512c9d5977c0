"""The underlay (nodes, directed links, routes) and the overlay (who exchanges with whom).

Every link has one direction, so access lines are asymmetric. A site's line is the pair
``"<site>.up"`` and ``"<site>.down"``; links of an explicit graph are ``"<a>><b>"``.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import networkx as nx

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.scenario.schema import AccessLink, LinkSpec, NetworkSpec
from simulator.units import show

SEGMENT_NBYTES = 1448
"""Payload of one full TCP segment with timestamps (maximum segment size, MSS)."""
FRAME_NBYTES = 1502
"""The same segment on the wire: 52 bytes of IP and TCP headers, 2 of the link's."""

_HOP_S = 1e-9  # of routes equally long in latency the one with fewer hops is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A directed link.

    Args:
        bytes_per_s: capacity on the wire, headers included; ``inf`` is unlimited.
        latency_s: one way.
        loss: probability per packet.
        buffer_nbytes: queue in front of the link; None: 50 ms at full rate, 64 packets at least.
        jitter_s: mean of the extra delay of a packet, exponentially distributed.
    """

    id: str
    src: str
    dst: str
    bytes_per_s: float
    latency_s: float
    loss: float = 0.0
    buffer_nbytes: float | None = None
    jitter_s: float = 0.0


class Topology:
    """Nodes, links and the route of every pair, found when first asked for.

    A route is the path with the least sum of latencies, then with the fewest hops; ``routes``
    overrides it for the pairs given.
    """

    def __init__(
        self,
        *,
        nodes: Iterable[str],
        links: Iterable[Link],
        routes: Mapping[tuple[str, str], tuple[str, ...]] | None = None,
    ) -> None:
        self.nodes: tuple[str, ...] = tuple(sorted(nodes))
        self.links: Mapping[str, Link] = {link.id: link for link in sorted(links, key=lambda link: link.id)}
        self._routes: dict[tuple[str, str], tuple[str, ...]] = dict(routes or {})
        self._graph = nx.DiGraph()
        self._graph.add_nodes_from(self.nodes)
        self._access: dict[str, list[str]] = {}
        for link in self.links.values():
            self._graph.add_edge(link.src, link.dst, id=link.id, cost=link.latency_s + _HOP_S)
            for end in (link.src, link.dst):
                self._access.setdefault(end, []).append(link.id)

    def route(self, src: str, dst: str) -> tuple[str, ...]:
        """Return the ids of the links from ``src`` to ``dst``, in order.

        Raises:
            ScenarioError: an unknown node, or no route.
        """
        known = self._routes.get((src, dst))
        if known is None:
            known = self._routes[src, dst] = self._search(src, dst)
        return known

    def _search(self, src: str, dst: str) -> tuple[str, ...]:
        for name in (src, dst):
            if name not in self._graph:
                raise ScenarioError(f'network: unknown node "{name}"{suggest(name, list(self.nodes))}')
        out, into = self._graph.out_edges(src, data="id"), self._graph.in_edges(dst, data="id")
        if len(out) != 1 or len(into) != 1 or self._graph.has_edge(src, dst):
            return self._shortest(src, dst, src, dst)
        ((_, entry, first),), ((leave, _, last),) = out, into
        if (entry, leave) not in self._routes:  # the same for all whose lines end there
            self._routes[entry, leave] = self._shortest(entry, leave, src, dst)
        return (first, *self._routes[entry, leave], last)

    def _shortest(self, start: str, end: str, src: str, dst: str) -> tuple[str, ...]:
        try:
            path = nx.dijkstra_path(self._graph, start, end, weight="cost")
        except nx.NetworkXNoPath:
            raise ScenarioError(f"network.links: no route from {src} to {dst}; add a link") from None
        return tuple(self._graph.edges[hop]["id"] for hop in itertools.pairwise(path))

    def rtt_s(self, src: str, dst: str) -> float:
        """Round-trip time without queues, in seconds: latencies of both ways with their mean
        jitter, and one segment's transmission on every hop of the way there.
        """
        there = [self.links[id] for id in self.route(src, dst)]
        back = [self.links[id] for id in self.route(dst, src)]
        delays = sum(link.latency_s + link.jitter_s for link in (*there, *back))
        return delays + sum(FRAME_NBYTES / link.bytes_per_s for link in there)

    def access_links(self, node: str) -> tuple[str, ...]:
        """Return the ids of the links that start or end at ``node``, sorted."""
        return tuple(self._access.get(node, ()))


def build(network: NetworkSpec, nodes: Mapping[str, AccessLink]) -> Topology:
    """Return the underlay of a scenario; ``nodes`` are its sites and its server with their lines.

    In a graph the line of a site ends at the vertex of the same name: traffic that others pass
    through that vertex does not load the site's own line.

    Raises:
        ScenarioError: a link without capacity, a node outside the graph, a pair without a route.
    """
    for name, line in nodes.items():
        for direction in ("up", "down"):
            _require_capacity(f"link of {name}: {direction}", getattr(line, direction))
        _require_passage(f"link of {name}: loss", line.loss)
    if network.topology == "star-of-access-links":
        return _star(network, nodes)
    return _graph(network, nodes)


def _star(network: NetworkSpec, nodes: Mapping[str, AccessLink]) -> Topology:
    if network.links:
        raise ScenarioError("network.links: a star-of-access-links has none; write topology: graph")
    backbone = network.backbone
    _require_capacity("network.backbone.bandwidth", backbone.bandwidth)
    has_backbone = backbone.bandwidth < inf or backbone.latency > 0
    entry, leave = ("core-in", "core-out") if has_backbone else ("core", "core")
    links = _access(nodes, dict.fromkeys(nodes, entry), dict.fromkeys(nodes, leave))
    if has_backbone:
        links.append(
            Link(
                id="backbone",
                src="core-in",
                dst="core-out",
                bytes_per_s=backbone.bandwidth,
                latency_s=backbone.latency,
            )
        )
    return Topology(nodes=nodes, links=links)


def _graph(network: NetworkSpec, nodes: Mapping[str, AccessLink]) -> Topology:
    links: list[Link] = []
    vertices: set[str] = set()
    for place, spec in enumerate(network.links):
        links += _both_ways(f"network.links.{place}", spec, {link.id for link in links})
        vertices |= {spec.a, spec.b}
    if network.backbone.bandwidth < inf or network.backbone.latency > 0:
        raise ScenarioError("network.backbone: a graph has none; write a link instead")
    for name in sorted(nodes):
        if name not in vertices:
            raise ScenarioError(f"network.links: {name} is in no link; add one with a: {name}")
    attach = {name: _vertex(name) for name in nodes}
    topology = Topology(nodes=nodes, links=links + _access(nodes, attach, attach))
    first = min(nodes)
    for name in sorted(nodes):  # with both ways to one node, every pair has a route
        topology.route(first, name)
        topology.route(name, first)
    return topology


def _vertex(name: str) -> str:
    return f"@{name}"


def _both_ways(where: str, spec: LinkSpec, taken: set[str]) -> list[Link]:
    if spec.a == spec.b:
        raise ScenarioError(f"{where}: both ends are {spec.a}; name two vertices")
    if f"{spec.a}>{spec.b}" in taken:
        raise ScenarioError(f"{where}: a second link between {spec.a} and {spec.b}; join them into one")
    back = spec.bandwidth if spec.bandwidth_back is None else spec.bandwidth_back
    _require_capacity(f"{where}.bandwidth", spec.bandwidth)
    _require_capacity(f"{where}.bandwidth_back", back)
    _require_passage(f"{where}.loss", spec.loss)
    return [
        Link(
            id=f"{src}>{dst}",
            src=_vertex(src),
            dst=_vertex(dst),
            bytes_per_s=rate,
            latency_s=spec.latency,
            loss=spec.loss,
            buffer_nbytes=spec.buffer,
        )
        for src, dst, rate in ((spec.a, spec.b, spec.bandwidth), (spec.b, spec.a, back))
    ]


def _access(
    nodes: Mapping[str, AccessLink], entry: Mapping[str, str], leave: Mapping[str, str]
) -> list[Link]:
    links = []
    for name, line in nodes.items():
        ways = (("up", name, entry[name], line.up), ("down", leave[name], name, line.down))
        for way, src, dst, rate in ways:
            links.append(
                Link(
                    id=f"{name}.{way}",
                    src=src,
                    dst=dst,
                    bytes_per_s=rate,
                    latency_s=line.latency,
                    loss=line.loss,
                    buffer_nbytes=line.buffer,
                    jitter_s=line.jitter,
                )
            )
    return links


def _require_capacity(where: str, bytes_per_s: float) -> None:
    if not bytes_per_s > 0:
        found = show(bytes_per_s, "rate")
        raise ScenarioError(f"{where}: {found} carries nothing; write a rate above zero or a fault")


def _require_passage(where: str, loss: float) -> None:
    if not loss < 1:
        raise ScenarioError(f"{where}: a loss of 1 lets nothing pass; write a loss below 1 or a fault")


def overlay(network: NetworkSpec, sites: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return every site's neighbors, sorted.

    ``ring`` joins the sites in the order given. A list of pairs is taken both ways.

    Raises:
        ScenarioError: a pair names an unknown site, or one site twice.
    """
    neighbors: dict[str, set[str]] = {site: set() for site in sites}
    if network.overlay == "complete":
        pairs = [(a, b) for a in sites for b in sites if a < b]
    elif network.overlay == "ring":
        pairs = [(a, b) for a, b in zip(sites, (*sites[1:], *sites[:1]), strict=True) if a != b]
    else:
        pairs = list(network.overlay)
    for place, (a, b) in enumerate(pairs):
        for name in (a, b):
            if name not in neighbors:
                hint = suggest(name, list(sites))
                raise ScenarioError(f'network.overlay.{place}: unknown site "{name}"{hint}')
        if a == b:
            raise ScenarioError(f"network.overlay.{place}: {a} is paired with itself; name two sites")
        neighbors[a].add(b)
        neighbors[b].add(a)
    return {site: tuple(sorted(found)) for site, found in neighbors.items()}

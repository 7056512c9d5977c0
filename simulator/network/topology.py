"""Nodes, directed links, and the route of every pair.

Every link has one direction, so access lines are asymmetric. A machine's line is the pair
``"<name>.up"`` and ``"<name>.down"``; links of the core are ``"<a>><b>"``.
"""

import itertools
from collections.abc import Iterable, Mapping

import networkx as nx

from simulator.errors import ScenarioError
from simulator.network.links import Link as Link
from simulator.network.routes import Passage
from simulator.registry import suggest

SEGMENT_NBYTES = 1448
"""Payload of one full TCP segment with timestamps (maximum segment size, MSS)."""
FRAME_NBYTES = 1502
"""The same segment on the wire: 52 bytes of IP and TCP headers, 2 of the link's."""

_HOP_S = 1e-9  # of routes equally long in latency the one with fewer hops is taken


class Topology:
    """Nodes, links and the route of every pair, found when first asked for.

    A route is the path with the least sum of latencies, then with the fewest hops. Where ``passage``
    has others pass on what a pair exchanges, it is the path into their line followed by the one out
    of it. ``routes`` overrides both for the pairs given.
    """

    def __init__(
        self,
        *,
        nodes: Iterable[str],
        links: Iterable[Link],
        routes: Mapping[tuple[str, str], tuple[str, ...]] | None = None,
        passage: Passage | None = None,
    ) -> None:
        self.nodes: tuple[str, ...] = tuple(sorted(nodes))
        self.links: Mapping[str, Link] = {link.id: link for link in sorted(links, key=lambda link: link.id)}
        self.passage = Passage() if passage is None else passage
        self._routes: dict[tuple[str, str], tuple[str, ...]] = dict(routes or {})
        self._between: dict[tuple[str, str], tuple[str, ...]] = {}
        self._trees: dict[str, dict[str, str]] = {}
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
        passed = self.passage.by(src, dst)
        if passed is None:
            if self.passage.blocked([(src, dst)]):
                raise ScenarioError(
                    f"network.routes: neither {src} nor {dst} accepts connections (inbound: false); "
                    "add one, {via: …, between: outbound-only}"
                )
            return self.direct(src, dst)
        via = passed.via
        walk = (*self.direct(src, via), *self.direct(via, dst))
        if len(set(walk)) < len(walk):
            twice = next(link for link in walk if walk.count(link) > 1)
            raise ScenarioError(
                f"network.routes: {src} to {dst} by way of {via} crosses {twice} twice in one direction; "
                f"let the line of {via} end elsewhere"
            )
        return walk

    def direct(self, src: str, dst: str) -> tuple[str, ...]:
        """Return the links of the way that nobody else passes on, in order. What lies between the ends
        of access lines is found once for all whose lines end there.

        Raises:
            ScenarioError: an unknown node, or no route.
        """
        for name in (src, dst):
            if name not in self._graph:
                raise ScenarioError(f'network: unknown node "{name}"{suggest(name, list(self.nodes))}')
        out, into = self._graph.out_edges(src, data="id"), self._graph.in_edges(dst, data="id")
        if len(out) != 1 or len(into) != 1 or self._graph.has_edge(src, dst):
            return self._walk(src, dst, src, dst)
        ((_, entry, first),), ((leave, _, last),) = out, into
        if (entry, leave) not in self._between:
            self._between[entry, leave] = self._walk(entry, leave, src, dst)
        return (first, *self._between[entry, leave], last)

    def _walk(self, start: str, end: str, src: str, dst: str) -> tuple[str, ...]:
        """Back from the end along the tree of shortest paths from ``start``."""
        if start not in self._trees:
            before, _ = nx.dijkstra_predecessor_and_distance(self._graph, start, weight="cost")
            self._trees[start] = {node: found[0] for node, found in before.items() if found}
        tree, path = self._trees[start], [end]
        while path[-1] != start:
            if path[-1] not in tree:
                raise ScenarioError(f"network.links: no route from {src} to {dst}; add a link")
            path.append(tree[path[-1]])
        return tuple(self._graph.edges[hop]["id"] for hop in itertools.pairwise(reversed(path)))

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

"""Flows that can hold each other back, the links by which they do, and the rates their windows give."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.network.flow import Flow, LinkState
from simulator.network.window import ACK_SHARE
from simulator.network.windows.clumps import Clump, clump
from simulator.network.windows.queues import EXACT, Floats, Paths, queueing
from simulator.network.windows.sender import RoundTrip

BINDS = 1 + 1e-9  # below this share of its capacity a link cannot hold anybody back
NOTHING = 1e-9  # bytes per second; keeps an idle link out of a division


@dataclass(slots=True, kw_only=True, eq=False)
class Group:
    """Flows in the order of their numbers, and queues as of the last solution.

    ``delays`` (links) are seconds, and so are ``rtt_s`` (flows), round trips with queues, and their
    part ``back_s`` that acknowledgements queue; ``rates`` (flows) are bytes per second that arrive;
    ``overfull`` tells of every link whether more comes than its buffer takes; ``place`` of every
    flow's number where it stands.
    """

    flows: list[Flow]
    links: list[LinkState]
    paths: Paths
    delays: Floats
    rtt_s: Floats
    back_s: Floats
    rates: Floats
    overfull: list[bool]
    place: dict[int, int]

    def solve(self, window: Floats) -> None:
        """Find queues and rates for bytes in flight (flows)."""
        paths = self.paths
        self.delays = queueing(paths, window, self.delays)
        self.rtt_s = paths.rtt_s + self.delays @ paths.delay
        self.back_s = self.delays @ (paths.delay * (paths.load < 1))
        offered = window / self.rtt_s
        load = paths.load @ offered
        fits = np.minimum(paths.capacity / np.maximum(load, NOTHING), 1.0)
        passes = np.where(paths.load >= 1, fits[:, None], 1.0).min(axis=0, initial=1.0)
        self.rates = offered * passes
        self.overfull = [bool(over) for over in load > paths.capacity * (1 + 10 * EXACT)]

    def times(self, flow: Flow) -> RoundTrip:
        """Return a flow's round trip."""
        place = self.place[flow.id]
        path_s, back_s = float(self.paths.rtt_s[place]), float(self.back_s[place])
        return RoundTrip(path_s=path_s, there_s=float(self.rtt_s[place]) - path_s - back_s, back_s=back_s)

    def clump(self, place: int, row: int, *, window: float, rounds: int) -> Clump:
        """Return the clump of a flow, by its place, at a link, by its row."""
        slowest = min(state.capacity for state in self.flows[place].path.back)
        return clump(
            window=window,
            rtt_s=float(self.rtt_s[place]),
            back_s=float(self.back_s[place]),
            rounds=rounds,
            capacity=self.links[row].capacity,
            fastest=slowest / ACK_SHARE,
        )


def connected(first: Flow, flows_on: Mapping[str, Mapping[int, Flow]]) -> list[Flow]:
    """Return all flows that ``first`` shares links with, directly or by way of others; ``flows_on``
    are those whose data or acknowledgements cross a link. In order of their numbers.
    """
    found, crossed, frontier = {first.id: first}, set(), [first]
    for flow in frontier:  # grows while it is walked
        for state in (*flow.path.links, *flow.path.back):
            if state.link.id not in crossed:
                crossed.add(state.link.id)
                fresh = [other for id, other in flows_on[state.link.id].items() if id not in found]
                if _demand(flows_on[state.link.id], state) <= state.capacity * BINDS:
                    continue
                found.update((other.id, other) for other in fresh)
                frontier += fresh
    return [flow for _, flow in sorted(found.items())]


def _demand(flows: Mapping[int, Flow], state: LinkState) -> float:
    """Bytes per second that flows and acknowledgements could want of a link at most."""
    wanted = 0.0
    for flow in flows.values():
        wanted += flow.path.capacity * (state in flow.path.links)
        wanted += flow.path.capacity * ACK_SHARE * (state in flow.path.back)
    return wanted


def build(flows: list[Flow], delays: Mapping[str, float]) -> Group:
    """Return the group of ``flows``; ``delays`` are what is known of queues, by link."""
    links = _binding(flows)
    load, delay = np.zeros((2, len(links), len(flows)))
    for row, state in enumerate(links):
        for column, flow in enumerate(flows):
            there, back = state in flow.path.links, state in flow.path.back
            load[row, column] = there + ACK_SHARE * back
            delay[row, column] = there or back
    paths = Paths(
        load=load,
        delay=delay,
        rtt_s=np.array([flow.path.rtt_s for flow in flows]),
        capacity=np.array([state.capacity for state in links]),
        longest_s=np.array([state.buffer_nbytes / state.bytes_per_s for state in links]),
    )
    return Group(
        flows=flows,
        links=links,
        paths=paths,
        delays=np.array([delays.get(state.link.id, 0.0) for state in links]),
        rtt_s=paths.rtt_s,
        back_s=np.zeros(len(flows)),
        rates=np.zeros(len(flows)),
        overfull=[False] * len(links),
        place={flow.id: place for place, flow in enumerate(flows)},
    )


def _binding(flows: Sequence[Flow]) -> list[LinkState]:
    """Links that can be full: data crosses them, flows want more than they have, and no other link
    always keeps them from it.
    """
    senders: dict[LinkState, set[int]] = {}
    wanted: dict[LinkState, float] = {}
    acked: set[LinkState] = set()
    for flow in flows:
        for state in flow.path.links:
            senders.setdefault(state, set()).add(flow.id)
            wanted[state] = wanted.get(state, 0.0) + flow.path.capacity
    for flow in flows:
        for state in flow.path.back:
            if state in senders:
                acked.add(state)
                wanted[state] += ACK_SHARE * flow.path.capacity
    links = [state for state in senders if wanted[state] >= state.capacity < float("inf")]
    return [state for state in links if state in acked or not _is_shielded(state, links, senders)]


def _is_shielded(state: LinkState, links: Iterable[LinkState], senders: Mapping[LinkState, set[int]]) -> bool:
    """Whether another link with all of its flows has less capacity, or as much and comes first."""
    seen = False
    for other in links:
        seen = seen or other is state
        if other is state or not senders[state] <= senders[other]:
            continue
        more = len(senders[other]) > len(senders[state])
        if other.capacity < state.capacity or (other.capacity == state.capacity and (more or not seen)):
            return True
    return False

"""Tiers that share links as SimGrid does: to be checked against it, and to run scenarios under it.

A flow waits its route's latency, times a factor, using nothing; then rates are weighted max-min with
``rate · penalty`` equal, where ``penalty = latency + Σ weight_nbytes / capacity`` over the links of
its route. Every flow loads the way back with 5 % of its rate, and a full link there holds it back
as well. A flow's cap is the smaller of its slowest link's capacity at its start and
``window / (2 · latency)``. No handshake, no slow start, no loss, no queue; the last byte arrives
when it leaves.

Sources: LV08: P. Velho, A. Legrand, "Accuracy study and improvement of network simulation in the
SimGrid framework", SIMUTools 2009. CM02: H. Casanova, L. Marchal, "A network model for simulation
of grid application", INRIA report RR-4596, 2002. SimGrid 3.32 manual, "SimGrid models".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from simulator.network.flow import Flow, LinkState, Path
from simulator.network.shares import UNCHANGED, Settler
from simulator.network.sharing import component

CROSS_TRAFFIC = 0.05
"""Load on the way back per byte of payload on the way there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One of SimGrid's settings of its network model."""

    latency_factor: float
    bandwidth_factor: float  # payload per byte of a link's capacity
    weight_nbytes: float  # "weight-S": how much a slow link on its route costs a flow's share


MODELS: dict[str, Model] = {
    "simgrid": Model(latency_factor=13.01, bandwidth_factor=0.97, weight_nbytes=20537.0),
    "simgrid-cm02": Model(latency_factor=1.0, bandwidth_factor=1.0, weight_nbytes=0.0),
}
"""By tier."""


def measure(there: Sequence[LinkState], back: Sequence[LinkState], *, model: Model, window: float) -> Path:
    """Return the facts of a path; ``window`` in bytes is SimGrid's TCP-gamma.

    A route without latency has the penalty 1, as in SimGrid, which weighs such flows alike.
    """
    latency_s = sum([state.latency_s for state in there])
    slowest = min(there, key=lambda state: (state.capacity, state.link.id))
    penalty_s = latency_s + sum([model.weight_nbytes / state.bytes_per_s for state in there])
    return Path(
        links=tuple(there),
        back=tuple(back),
        one_way_s=0.0,
        rtt_s=latency_s + sum([state.latency_s for state in back]),
        jitter_s=0.0,
        loss=0.0,
        capacity=slowest.capacity,
        buffer_nbytes=slowest.buffer_nbytes,
        queue_s=0.0,
        bound=0.0,
        weight=1 / penalty_s if latency_s > 0 else 1.0,
        connect_s=model.latency_factor * latency_s,
        limit=model.bandwidth_factor * window / (2 * latency_s) if latency_s > 0 else inf,
    )


class CrossShares:
    """Rates of all flows that send, acknowledgements a part of the problem; the same verbs as
    :class:`~simulator.network.shares.Shares`.
    """

    def __init__(self) -> None:
        self._on: dict[LinkState, dict[int, Flow]] = {}
        self._flows: dict[int, Flow] = {}
        self._links: dict[str, LinkState] = {}

    def join(self, flow: Flow) -> None:
        """Let a flow take part; from its first time on its slowest link of now limits it."""
        if flow.cap == inf:
            flow.cap = flow.path.capacity
        for state in _crossed(flow):
            self._on.setdefault(state, {})[flow.id] = flow
        self._flows[flow.id] = flow

    def leave(self, flow: Flow) -> None:
        """Take a flow out; its rate becomes zero."""
        self._flows.pop(flow.id, None)
        for state in _crossed(flow):
            self._on.get(state, {}).pop(flow.id, None)
        self.touch_links(_crossed(flow))
        flow.rate = 0.0

    def touch(self, flow: Flow) -> None:
        """Say that something about a flow has changed."""
        self._flows[flow.id] = flow

    def touch_links(self, links: Iterable[LinkState]) -> None:
        """Say that the capacity of links, or what is left of it, has changed."""
        for state in links:
            self._links[state.link.id] = state

    def settle(self, settler: Settler, now: float) -> None:
        """Solve what is touched."""
        seeds = list(self._flows.values())
        for state in self._links.values():
            seeds += self._on.get(state, {}).values()
        self._flows.clear()
        self._links.clear()
        if not seeds:
            return
        found = component(seeds, _crossed, lambda state: self._on[state].values())
        flows = sorted(found, key=lambda flow: flow.id)
        for flow, rate in zip(flows, _rates(flows), strict=True):
            if abs(rate - flow.rate) > UNCHANGED * flow.rate or rate == inf:
                settler.set_rate(flow, rate, now)


def _crossed(flow: Flow) -> tuple[LinkState, ...]:
    return flow.path.links + flow.path.back


def _rates(flows: Sequence[Flow]) -> list[float]:
    number: dict[LinkState, int] = {}
    loads: list[tuple[int, int, float]] = []
    for place, flow in enumerate(flows):
        for states, load in ((flow.path.links, 1.0), (flow.path.back, CROSS_TRAFFIC)):
            loads += [(place, number.setdefault(state, len(number)), load) for state in states]
    return max_min_loads(
        loads,
        [state.capacity for state in number],
        [flow.path.weight for flow in flows],
        [min(flow.cap, flow.path.limit) for flow in flows],
    )


def max_min_loads(
    loads: Sequence[tuple[int, int, float]],
    capacity: Sequence[float],
    weight: Sequence[float],
    cap: Sequence[float],
) -> list[float]:
    """Return weighted max-min rates where a flow loads a link with a multiple of its rate.

    Args:
        loads: (flow, link, bytes on that link per byte of the flow); those of one pair add up.
        capacity: of every link; ``inf`` never binds.
        weight: of every flow, positive.
        cap: of every flow; ``inf`` for none.

    In each round all links freeze their flows whose level is the lowest that any of those meets,
    and all flows freeze whose cap is lower than that (see :mod:`simulator.network.sharing`).
    """
    flow_of, link_of = (np.array([load[i] for load in loads], dtype=np.intp) for i in (0, 1))
    load = np.array([one[2] for one in loads])
    weights, caps, left = np.array(weight, float), np.array(cap, float), np.array(capacity, float)
    rate = np.full(len(weights), inf)
    active = np.ones(len(weights), bool)
    own = caps / weights
    while active.any():
        pull = np.bincount(link_of, load * weights[flow_of], len(left))
        level = np.full(len(left), inf)
        np.divide(np.maximum(left, 0.0), pull, out=level, where=pull > 0)
        lowest = np.full(len(weights), inf)
        np.minimum.at(lowest, flow_of, level[link_of])
        reach = np.minimum(lowest, own)
        tightest = np.full(len(left), inf)
        np.minimum.at(tightest, link_of, reach[flow_of])
        stops = own <= lowest  # by its cap
        stops[flow_of[(level <= tightest)[link_of]]] = True  # by a link none of whose flows stops earlier
        stops &= active
        rate[stops] = np.where(own <= lowest, caps, lowest * weights)[stops]
        gone = stops[flow_of]
        spent = np.bincount(link_of[gone], (load * rate[flow_of])[gone], len(left))
        left -= np.where(np.isfinite(left), spent, 0.0)
        active &= ~stops
        flow_of, link_of, load = flow_of[~gone], link_of[~gone], load[~gone]
    return [float(value) for value in rate]

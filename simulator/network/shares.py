"""Who gets how much now: collects the changes of an instant and solves the part they touch."""

from collections.abc import Callable, Iterable
from math import inf
from typing import Protocol

from simulator.network.flow import BINDS, FULL, Flow, LinkState, join, leave
from simulator.network.sharing import component, max_min
from simulator.network.window import ACK_SHARE

UNCHANGED = 1e-12  # relative; a flow whose rate is the same keeps its completion time
ACK_PASSES = 8
ACK_SETTLED = 1e-3  # of a link's capacity; finer than the model itself
DATA_FLOOR = 0.5  # acknowledgements leave at least this share of a link to data


class Settler(Protocol):
    """Whoever looks after flows while their shares are found: ``before`` sets a flow's cap,
    ``set_rate`` lets it go on at another rate, ``after`` sees what the outcome means and may touch
    flows again. All are told the time.
    """

    before: Callable[[Flow, float], None]
    after: Callable[[Flow, float], None]

    def set_rate(self, flow: Flow, rate: float, now: float) -> None:
        """Go on at another rate."""


class Shares:
    """Rates of all flows that send."""

    def __init__(self) -> None:
        self._flows: dict[int, Flow] = {}
        self._links: dict[str, LinkState] = {}

    def join(self, flow: Flow) -> None:
        """Let a flow take part."""
        join(flow)
        self._flows[flow.id] = flow

    def leave(self, flow: Flow) -> None:
        """Take a flow out; its rate becomes zero."""
        self._flows.pop(flow.id, None)
        self.touch_links(leave(flow))
        flow.rate = 0.0

    def touch(self, flow: Flow) -> None:
        """Say that something about a flow has changed."""
        self._flows[flow.id] = flow

    def touch_links(self, links: Iterable[LinkState]) -> None:
        """Say that the capacity of links, or what is left of it, has changed."""
        for state in links:
            self._links[state.link.id] = state

    def settle(self, settler: Settler, now: float) -> None:
        """Solve until nothing is touched any more."""
        while self._flows or self._links:
            seeds = set(self._flows.values())
            for state in self._links.values():
                seeds.update(state.flows.values())
            self._flows.clear()
            self._links.clear()
            flows = list(seeds)
            if not flows:
                continue
            if len(flows) > 1 or not _fits(flows[0], settler, now):
                flows = sorted(component(seeds, _binding, _senders), key=_id)
                for flow in flows:
                    settler.before(flow, now)
            for flow, rate in zip(flows, _rates(flows), strict=True):
                if abs(rate - flow.rate) > UNCHANGED * flow.rate or rate == inf:
                    settler.set_rate(flow, rate, now)
                settler.after(flow, now)


def _id(flow: Flow) -> int:
    return flow.id


def _fits(flow: Flow, settler: Settler, now: float) -> bool:
    """Whether a flow that no link holds back can have its new cap without touching anybody: its
    links have room before and after, and its acknowledgements cross none that can be full.
    """
    if flow.rate < min(flow.cap, flow.path.capacity) and flow.rate > 0:
        return False
    if len(_binding(flow)) > len(flow.tight):
        return False
    room = min([state.capacity * FULL - state.used() for state in flow.tight], default=inf)
    if room <= 0:
        return False
    settler.before(flow, now)
    if min(flow.cap, flow.path.capacity) - flow.rate > room:
        return False
    flow.tight = []
    return True


def _senders(state: LinkState) -> Iterable[Flow]:
    return state.flows.values()


def _binding(flow: Flow) -> list[LinkState]:
    """Links by which a flow's rate can matter to others: those that can be full."""
    flow.tight = [state for state in flow.path.links if state.demand > state.capacity * BINDS]
    also = [s for s in flow.path.back if s.flows and s.demand > s.capacity * BINDS]
    return flow.tight + also if also else flow.tight


def _rates(flows: list[Flow]) -> list[float]:
    """Fair shares of a whole component; links that cannot be full are left out."""
    number: dict[LinkState, int] = {}
    routes = [[number.setdefault(state, len(number)) for state in flow.tight] for flow in flows]
    weight = [flow.path.weight for flow in flows]
    cap = [flow.cap if flow.cap < flow.path.capacity else flow.path.capacity for flow in flows]
    if not number:
        return cap
    capacity = [state.capacity for state in number]
    loaded = [(index, state) for state, index in number.items() if state.acks]
    if not loaded:
        return list(max_min(routes, capacity, weight, cap))
    rate_of = {flow: flow.rate for flow in flows}
    for turn in range(ACK_PASSES):
        settled = turn > 0
        for index, state in loaded:
            free = max(state.capacity - _ack_load(state, rate_of), DATA_FLOOR * state.capacity)
            settled = settled and abs(free - capacity[index]) <= ACK_SETTLED * state.capacity
            capacity[index] = free
        if settled:
            break
        rate_of = dict(zip(flows, max_min(routes, capacity, weight, cap), strict=True))
    return list(rate_of.values())


def _ack_load(state: LinkState, rate_of: dict[Flow, float]) -> float:
    """Bytes per second that acknowledgements take; flows outside the component keep their rates.
    Summed in the order in which they joined, the same in every run.
    """
    return ACK_SHARE * sum([rate_of.get(flow, flow.rate) for flow in state.acks.values()])

"""Who gets how much now: collects the changes of an instant and solves the part they touch."""

from collections.abc import Callable, Iterable
from math import inf

from simulator.network.flow import Flow, LinkState, join, leave
from simulator.network.sharing import component, max_min
from simulator.network.window import ACK_SHARE

UNCHANGED = 1e-12  # relative; a flow whose rate is the same keeps its completion time
ACK_PASSES = 8
ACK_SETTLED = 1e-9  # of a link's capacity
DATA_FLOOR = 0.5  # acknowledgements leave at least this share of a link to data


class Shares:
    """Rates of all flows that send.

    ``before(flow)`` sets the flow's cap, ``changed(flow, rate)`` applies a new rate, and
    ``after(flow)`` looks at the outcome; it may touch flows again.
    """

    def __init__(
        self,
        *,
        before: Callable[[Flow], None],
        changed: Callable[[Flow, float], None],
        after: Callable[[Flow], None],
    ) -> None:
        self._before, self._changed, self._after = before, changed, after
        self._flows: dict[int, Flow] = {}
        self._links: dict[str, LinkState] = {}

    def join(self, flow: Flow) -> None:
        """Let a flow take part."""
        join(flow)
        self._flows[flow.id] = flow

    def leave(self, flow: Flow) -> None:
        """Take a flow out; its rate becomes zero."""
        flow.rate = 0.0
        self._flows.pop(flow.id, None)
        self.touch_links(leave(flow))

    def touch(self, flow: Flow) -> None:
        """Say that something about a flow has changed."""
        self._flows[flow.id] = flow

    def touch_links(self, links: Iterable[LinkState]) -> None:
        """Say that the capacity of links, or what is left of it, has changed."""
        for state in links:
            self._links[state.link.id] = state

    def settle(self) -> None:
        """Solve until nothing is touched any more."""
        while self._flows or self._links:
            seeds = set(self._flows.values())
            for state in self._links.values():
                seeds.update(state.flows.values())
            self._flows.clear()
            self._links.clear()
            flows = sorted(component(seeds, _binding, _users), key=_id)
            for flow in flows:
                self._before(flow)
            for flow, rate in zip(flows, _rates(flows), strict=True):
                if abs(rate - flow.rate) > UNCHANGED * flow.rate or rate == inf:
                    self._changed(flow, rate)
            for flow in flows:
                self._after(flow)


def _id(flow: Flow) -> int:
    return flow.id


def _users(state: LinkState) -> Iterable[Flow]:
    return state.flows.values()


def _binding(flow: Flow) -> list[LinkState]:
    """Links by which a flow's rate can matter to others: those that can be full."""
    path = flow.path
    found = [state for state in path.links if state.can_bind]
    found += [state for state in path.back if state.flows and state.can_bind]
    return found


def _rates(flows: list[Flow]) -> list[float]:
    """Fair shares of a whole component; links that cannot be full are left out."""
    number: dict[LinkState, int] = {}
    routes = [
        [number.setdefault(state, len(number)) for state in flow.path.links if state.can_bind]
        for flow in flows
    ]
    weight = [flow.path.weight for flow in flows]
    cap = [min(flow.cap, flow.path.capacity) for flow in flows]
    rates = [flow.rate if flow.rate < inf else 0.0 for flow in flows]
    position = {flow: i for i, flow in enumerate(flows)}
    loaded = [state for state in number if state.acks]
    capacity = [state.capacity for state in number]
    for _ in range(ACK_PASSES if loaded else 1):
        settled = True
        for state in loaded:
            index = number[state]
            free = max(state.capacity - _ack_load(state, position, rates), DATA_FLOOR * state.capacity)
            settled = settled and abs(free - capacity[index]) <= ACK_SETTLED * state.capacity
            capacity[index] = free
        if loaded and settled:
            break
        rates = list(max_min(routes, capacity, weight, cap))
    return rates


def _ack_load(state: LinkState, position: dict[Flow, int], rates: list[float]) -> float:
    """Bytes per second that acknowledgements take; flows outside the component keep their rates."""
    load = 0.0
    for _, flow in sorted(state.acks.items()):
        index = position.get(flow)
        load += flow.rate if index is None else rates[index]
    return ACK_SHARE * load

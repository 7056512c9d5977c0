"""Fair shares: weighted max-min rates with a cap per flow. Pure functions.

Rates are raised together, in proportion to weights, until a link or a flow's own cap binds; bound
flows freeze, the rest go on (progressive filling; D. Bertsekas, R. Gallager, "Data Networks",
Prentice Hall, 2nd ed., 1992, section 6.5.2). The outcome is the only allocation where every flow is
at its cap or crosses a saturated link on which no other flow has a higher rate per weight.
"""

import heapq
from collections.abc import Callable, Hashable, Iterable, Sequence
from math import inf
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Flow = TypeVar("Flow", bound=Hashable)
Link = TypeVar("Link", bound=Hashable)

VECTORIZED_FROM = 64
"""Number of flows from which NumPy beats the loop below."""


def max_min(
    routes: Sequence[Sequence[int]],
    capacity: Sequence[float],
    weight: Sequence[float],
    cap: Sequence[float],
) -> Sequence[float]:
    """Return the rate of every flow, in the unit of ``capacity``.

    Args:
        routes: for every flow the indices of the links that it crosses, none twice.
        capacity: of every link, not negative; ``inf`` never binds.
        weight: of every flow, positive.
        cap: of every flow, not negative; ``inf`` for none. A flow with neither a cap nor a finite
            link has the rate ``inf``.
    """
    if len(routes) < VECTORIZED_FROM:
        return by_loop(routes, capacity, weight, cap)
    return by_rounds(routes, capacity, weight, cap)


def by_loop(
    routes: Sequence[Sequence[int]],
    capacity: Sequence[float],
    weight: Sequence[float],
    cap: Sequence[float],
) -> list[float]:
    """:func:`max_min` one bottleneck at a time: the next one is the lowest link or cap."""
    left, pull = list(capacity), [0.0] * len(capacity)  # pull: weights of flows not frozen yet
    crossing: list[list[int]] = [[] for _ in left]
    for flow, route in enumerate(routes):
        for link in route:
            pull[link] += weight[flow]
            crossing[link].append(flow)
    waiting = [len(flows) for flows in crossing]
    rate = [-1.0] * len(routes)  # below zero: not frozen
    heap = [(left[link] / pull[link], link) for link in range(len(left)) if waiting[link]]
    heapq.heapify(heap)
    capped = sorted((cap[flow] / weight[flow], flow) for flow in range(len(routes)))
    next_cap = 0
    while next_cap < len(capped):
        level, link = heap[0] if heap else (inf, -1)
        by_cap = capped[next_cap][0] <= level  # levels only rise, so an old one will do here
        if by_cap:
            frozen = [flow for flow in (capped[next_cap][1],) if rate[flow] < 0]
            next_cap += 1
        elif not waiting[link]:
            heapq.heappop(heap)
            continue
        else:
            now = max(left[link], 0.0) / pull[link]
            if now > level * (1 + 1e-15):
                heapq.heapreplace(heap, (now, link))
                continue
            frozen = [flow for flow in crossing[link] if rate[flow] < 0]
        for flow in frozen:
            rate[flow] = cap[flow] if by_cap else level * weight[flow]
            for link in routes[flow]:
                left[link] -= rate[flow]
                pull[link] -= weight[flow]
                waiting[link] -= 1
    return rate


def by_rounds(
    routes: Sequence[Sequence[int]],
    capacity: Sequence[float],
    weight: Sequence[float],
    cap: Sequence[float],
) -> list[float]:
    """:func:`max_min` in NumPy, freezing all local bottlenecks of a round at once: a link whose
    level is the lowest that any of its flows meets, and every flow whose cap is below all that.
    """
    num_flows, num_links = len(routes), len(capacity)
    lengths = np.fromiter((len(route) for route in routes), dtype=np.intp, count=num_flows)
    flow_of = np.repeat(np.arange(num_flows), lengths)
    link_of = np.fromiter((i for route in routes for i in route), dtype=np.intp, count=len(flow_of))
    weights, caps = np.asarray(weight, float), np.asarray(cap, float)
    left = np.asarray(capacity, float).copy()
    rate = np.full(num_flows, inf)
    active = np.ones(num_flows, bool)
    while active.any():
        pull = np.bincount(link_of, weights[flow_of], num_links)
        level = np.full(num_links, inf)
        np.divide(np.maximum(left, 0.0), pull, out=level, where=pull > 0)
        lowest = _least(level[link_of], flow_of, num_flows)
        own = caps / weights
        reach = np.minimum(lowest, own)  # what a flow can have at most in this round
        tightest = _least(reach[flow_of], link_of, num_links)
        binding = level <= tightest  # no flow of this link stops earlier elsewhere
        on_binding = np.zeros(num_flows, bool)
        on_binding[flow_of[binding[link_of]]] = True
        by_cap = active & (own <= lowest)
        frozen = active & (by_cap | (on_binding & (lowest < inf))) | (active & (reach == inf))
        rate[frozen] = np.where(by_cap, caps, lowest * weights)[frozen]
        gone = frozen[flow_of]
        spent = np.bincount(link_of[gone], rate[flow_of[gone]], num_links)
        left -= np.where(np.isfinite(left), spent, 0.0)
        active &= ~frozen
        flow_of, link_of = flow_of[~gone], link_of[~gone]
    return [float(value) for value in rate]


def _least(
    values: npt.NDArray[np.float64], group: npt.NDArray[np.intp], num_groups: int
) -> npt.NDArray[np.float64]:
    least = np.full(num_groups, inf)
    np.minimum.at(least, group, values)
    return least


def component(
    flows: Iterable[Flow],
    links_of: Callable[[Flow], Iterable[Link]],
    flows_on: Callable[[Link], Iterable[Flow]],
) -> set[Flow]:
    """Return all flows that can be reached from ``flows`` by way of links, breadth first."""
    found = set(flows)
    crossed: set[Link] = set()
    frontier = list(found)
    for flow in frontier:  # grows while it is walked
        for link in links_of(flow):
            if link not in crossed:
                crossed.add(link)
                fresh = [other for other in flows_on(link) if other not in found]
                found.update(fresh)
                frontier += fresh
    return found

"""Fair shares: closed forms, invariants, brute force; compiled and interpreted loops, bit for bit."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.network import compiled
from simulator.network.flow import Flow, LinkState, measure
from simulator.network.rows import FREE
from simulator.network.shares import Shares
from simulator.network.sharing import max_min
from simulator.network.topology import Link


def brute_force(routes, capacity, weight, cap):
    """One bottleneck at a time, everything worked out anew for each."""
    rate = [None] * len(routes)
    while None in rate:
        level, bound = inf, None
        for link, limit in enumerate(capacity):
            on = [i for i, route in enumerate(routes) if link in route]
            free = [i for i in on if rate[i] is None]
            left = limit - sum(rate[i] for i in on if rate[i] is not None)
            if free and max(left, 0.0) / sum(weight[i] for i in free) < level:
                level, bound = max(left, 0.0) / sum(weight[i] for i in free), free
        first = min((i for i in range(len(routes)) if rate[i] is None), key=lambda i: cap[i] / weight[i])
        if bound is None or cap[first] / weight[first] <= level:
            rate[first] = cap[first]
        else:
            for i in bound:
                rate[i] = level * weight[i]
    return rate


SOLVERS = pytest.mark.parametrize("solve", [brute_force, max_min])


@SOLVERS
def test_parking_lot(solve):
    """Three links of 6 in a row; one flow over all, one on each: the long one gets 3 everywhere."""
    rates = solve([[0, 1, 2], [0], [1], [2]], [6.0, 6.0, 6.0], [1.0] * 4, [inf] * 4)
    assert rates == pytest.approx([3, 3, 3, 3])


@SOLVERS
def test_unequal_links_weights_and_caps(solve):
    """Link a (10) carries flows 0, 1, 2; link b (2) also carries 0. Flow 0 is bound to 2 by b; of
    the 8 left, flow 1 is capped at 1 and flow 2 takes 7."""
    assert solve([[0, 1], [0], [0]], [10.0, 2.0], [1.0] * 3, [inf, 1.0, inf]) == pytest.approx([2, 1, 7])


@SOLVERS
def test_weights_divide_a_link_in_proportion(solve):
    """12 shared 1 : 2 : 3."""
    assert solve([[0]] * 3, [12.0], [1.0, 2.0, 3.0], [inf] * 3) == pytest.approx([2, 4, 6])


@SOLVERS
def test_nothing_to_bind_is_unlimited(solve):
    assert solve([[0], []], [inf], [1.0, 1.0], [inf, 5.0]) == [inf, 5.0]


@SOLVERS
def test_no_flows(solve):
    assert list(solve([], [1.0], [], [])) == []


@st.composite
def problems(draw):
    num_links = draw(st.integers(1, 8))
    capacity = draw(st.lists(st.floats(0.01, 1e9), min_size=num_links, max_size=num_links))
    route = st.lists(st.integers(0, num_links - 1), min_size=1, max_size=4, unique=True)
    routes = draw(st.lists(route, min_size=1, max_size=30))
    positive = st.floats(1e-2, 1e2)
    weight = [draw(positive) for _ in routes]
    cap = [draw(st.one_of(st.just(inf), st.floats(0.01, 1e9))) for _ in routes]
    return routes, capacity, weight, cap


@given(problems())
def test_every_flow_is_at_its_cap_or_has_a_bottleneck(problem):
    routes, capacity, weight, cap = problem
    rate = max_min(*problem)
    used = [sum(rate[f] for f, route in enumerate(routes) if link in route) for link in range(len(capacity))]
    for link, total in enumerate(used):
        assert total <= capacity[link] * (1 + 1e-9)
    for flow, route in enumerate(routes):
        at_cap = rate[flow] >= cap[flow] * (1 - 1e-9)
        assert rate[flow] <= cap[flow] * (1 + 1e-9)
        level = rate[flow] / weight[flow]
        bottlenecks = [
            link
            for link in route
            if used[link] >= capacity[link] * (1 - 1e-9)
            and all(
                rate[other] / weight[other] <= level * (1 + 1e-6)
                for other, way in enumerate(routes)
                if link in way
            )
        ]
        assert at_cap or bottlenecks


@given(problems())
def test_brute_force_agrees(problem):
    assert max_min(*problem) == pytest.approx(brute_force(*problem), rel=1e-7)


@given(problems(), st.randoms(use_true_random=False))
def test_order_of_flows_does_not_matter(problem, random):
    routes, capacity, weight, cap = problem
    order = list(range(len(routes)))
    random.shuffle(order)
    shuffled = max_min(
        [routes[i] for i in order], capacity, [weight[i] for i in order], [cap[i] for i in order]
    )
    straight = max_min(*problem)
    assert shuffled == pytest.approx([straight[i] for i in order], rel=1e-9)


@pytest.mark.parametrize("unequal", [0, 1])
def test_many_flows_on_lines_that_couple_them_all(unequal):
    """20 sites, everyone to everyone; with equal lines all levels tie."""
    pairs = [(a, b) for a in range(20) for b in range(20) if a != b]
    routes = [[a, 20 + b] for a, b in pairs]
    capacity = [1e7 * (1 + unequal * (link * 7 % 13)) for link in range(40)]
    weight = [1.0 + unequal * (a + b) % 3 for a, b in pairs]
    cap = [inf if a % 3 else 5e6 for a, _ in pairs]
    rates = max_min(routes, capacity, weight, cap)
    assert rates == pytest.approx(brute_force(routes, capacity, weight, cap), rel=1e-9)


# -- solutions step by step ---------------------------------------------------------------------------

CAPACITY_OF = (3e6, 1e6, 4e6, 2e6, inf, 5e6)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "cap", "capacity"]),
        st.integers(0, 40),
        st.lists(st.integers(0, 5), min_size=2, max_size=9, unique=True),
        st.integers(1, 3),
        st.floats(1e4, 8e6),
        st.floats(0.1, 10),
    ),
    min_size=1,
    max_size=40,
)


class Sums:
    """Flows on six links that come, go and change, solved after each step."""

    def __init__(self, from_the_start):
        states = [state_of(limit) for limit in CAPACITY_OF]
        self.shares = Shares(states)
        self.states, self.flows, self.now, self.count = states, [], 0.0, 0
        if from_the_start:
            self.shares.compile()

    def before(self, flow, now):
        """Caps are set by the steps."""

    after = progressed = before

    def step(self, kind, number, hops, num_back, rate, weight):
        self.now += 0.1
        if kind == "join":
            self.count += 1
            there, back = hops[:-num_back] or hops[:1], hops[-num_back:]
            flow = flow_of(
                self.count, [self.states[i] for i in there], [self.states[i] for i in back], weight
            )
            self.shares.admit(flow, 1e12, self.now)
            flow.cap = rate if number % 2 else inf
            self.shares.join(flow)
            self.flows.append(flow)
        elif kind == "capacity":
            state = self.states[number % 4]
            state.capacity = rate
            self.shares.touch_links([state])
        elif self.flows:
            flow = self.flows[number % len(self.flows)]
            if kind == "leave":
                self.flows.remove(flow)
                self.shares.leave(flow)
                self.shares.dismiss(flow)
            else:
                flow.cap = rate
                self.shares.touch(flow)
        self.shares.settle(self, self.now, lambda: inf)

    def bits(self):
        return [(flow.id, flow.rate, flow.remaining, flow.is_capped) for flow in self.flows]


def state_of(limit):
    link = Link(id="l", src="a", dst="b", bytes_per_s=limit, latency_s=0.01, buffer_nbytes=1e5)
    return LinkState.of(link, efficiency=1.0)


def flow_of(id, there, back, weight):
    path = replace(measure(there, back, ideal=False, rtt_bias=0.0), weight=weight)
    return Flow(id=id, transfer=None, entry=None, path=path)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_step_by_step_is_what_all_at_once_gives(steps):
    sums = Sums(False)
    for step in steps:
        sums.step(*step)
        free = [sums.shares.table.lf[FREE][state.index] for state in sums.states]
        expected = brute_force(
            [[state.index for state in flow.path.links] for flow in sums.flows],
            free,
            [flow.path.weight for flow in sums.flows],
            [flow.cap for flow in sums.flows],
        )
        assert [flow.rate for flow in sums.flows] == pytest.approx(expected, rel=1e-8)


@pytest.mark.skipif(not compiled.available(), reason="Numba is not installed (extra: fast)")
@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_compiled_and_interpreted_loops_give_the_same_bits(steps):
    plain, fast = Sums(False), Sums(True)
    for step in steps:
        plain.step(*step)
        fast.step(*step)
        assert plain.bits() == fast.bits()


def test_a_link_that_loses_its_limit_holds_nobody_back():
    sums = Sums(False)
    sums.step("join", 1, [0, 4, 5], 1, 8e6, 1.0)
    assert sums.flows[0].rate == pytest.approx(3e6, rel=1e-3)
    sums.states[0].capacity = inf
    sums.shares.touch_links([sums.states[0]])
    sums.shares.settle(sums, 1.0, lambda: inf)
    assert sums.flows[0].rate == 8e6

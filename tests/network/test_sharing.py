"""Fair shares: closed forms, invariants, and the two solvers against each other."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.network.sharing import by_loop, by_rounds, component, max_min

SOLVERS = pytest.mark.parametrize("solve", [by_loop, by_rounds, max_min])


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
    rate = by_loop(*problem)
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
def test_solvers_agree(problem):
    assert by_rounds(*problem) == pytest.approx(by_loop(*problem), rel=1e-7)


@given(problems(), st.randoms(use_true_random=False))
def test_order_of_flows_does_not_matter(problem, random):
    routes, capacity, weight, cap = problem
    order = list(range(len(routes)))
    random.shuffle(order)
    shuffled = by_loop(
        [routes[i] for i in order], capacity, [weight[i] for i in order], [cap[i] for i in order]
    )
    straight = by_loop(*problem)
    assert shuffled == pytest.approx([straight[i] for i in order], rel=1e-9)


def test_component_follows_links_from_flow_to_flow():
    routes = {"a": [1], "b": [1, 2], "c": [2], "d": [3]}
    on = {1: ["a", "b"], 2: ["b", "c"], 3: ["d"]}
    assert component(["a"], routes.__getitem__, on.__getitem__) == {"a", "b", "c"}

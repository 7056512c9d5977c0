"""SimGrid's models: closed forms, its own answers, and the shared machinery around them."""

from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.network.cases import predict, read, scored
from simulator.network.sharing import max_min
from tests.network.test_transport import MB, Bench, times

FILE = Path(__file__).parents[2] / "../shared/network/cases.json"
ROUNDED = 5e-7  # seconds; the answers have six decimals
FAST = 12.5 * MB  # 100 Mbit/s


def bench(links, tier="simgrid", **settings):
    return Bench(links, tier=tier, preset="tcp-cubic", **settings)


@pytest.mark.parametrize(("tier", "seconds"), [("simgrid", 0.1301 + 8 / 0.97), ("simgrid-cm02", 8.01)])
def test_one_flow(tier, seconds):
    """100 MB, 100 Mbit/s, 10 ms: 13.01 · 0.01 + 8/0.97, and 0.01 + 8."""
    alone = bench({"a-b": (FAST, 0.01)}, tier)
    alone.send("x", "a", "b", 100 * MB)
    assert times(alone.run()) == pytest.approx({"x": seconds}, rel=1e-8)


def test_the_window_caps_by_latency_alone():
    """1 MB over 2 · 50 ms is 10 MB/s, below 12.5: 13.01 · 0.05 + 10/0.97."""
    capped = bench({"a-b": (FAST, 0.05)}, window="1 MB")
    capped.send("x", "a", "b", 100 * MB)
    assert times(capped.run()) == pytest.approx({"x": 0.6505 + 10 / 0.97}, rel=1e-8)


def test_opposite_flows_load_each_other():
    """Two ways of 12.5 MB/s, x + 0.05 y ≤ 12.5 on both: 12.5/1.05 each, and nobody is ever alone."""
    both = bench({"a-b": (FAST, 0.01)}, "simgrid-cm02")
    both.send("x", "a", "b", 100 * MB)
    both.send("y", "b", "a", 100 * MB)
    assert times(both.run()) == pytest.approx({"x": 0.01 + 8 * 1.05, "y": 0.01 + 8 * 1.05}, rel=1e-8)


def test_a_full_way_back_holds_a_flow_back():
    """Up 1, down 10 MB/s, CM02. On the narrow way u + 0.05 d ≤ 1; latencies are equal, so u = d =
    1/1.05 MB/s until both 10 MB are there: 10.51 s, though the wide way is nearly empty.
    """
    narrow = bench({"a-b": (1 * MB, 0.01)}, "simgrid-cm02", back=10 * MB)
    narrow.send("u", "a", "b", 10 * MB)
    narrow.send("d", "b", "a", 10 * MB)
    assert times(narrow.run()) == pytest.approx({"u": 10.51, "d": 10.51}, rel=1e-8)


def test_shares_go_by_latency_and_by_slow_links():
    """CM02 into h-d of 3 MB/s: latencies 10 and 20 ms with it, shares 2 and 1 MB/s from 20 ms on.
    x: 10 ms of 3 MB/s and its rest of 19.97 MB at 2: 10.005 s; y then has 30 − 9.985 MB left at 3.
    """
    mixed = bench({"a-h": (9 * MB, 0.0), "b-h": (9 * MB, 0.01), "h-d": (3 * MB, 0.01)}, "simgrid-cm02")
    mixed.send("x", "a", "d", 20 * MB)
    mixed.send("y", "b", "d", 30 * MB)
    end_x = 0.02 + (20 - 0.03) / 2
    expected = {"x": end_x, "y": end_x + (30 - (end_x - 0.02)) / 3}
    assert times(mixed.run()) == pytest.approx(expected, rel=1e-8)


def test_an_unlimited_line_without_latency_takes_no_time():
    free = bench({"a-b": (inf, 0.0)})
    free.send("x", "a", "b", 100 * MB)
    assert times(free.run()) == {"x": 0.0}


def test_routes_without_latency_share_alike():
    """LV08, 3 MB/s: y's slow line would cost it half of its share, were there any latency."""
    alike = bench({"a-h": (9 * MB, 0.0), "b-h": (4 * MB, 0.0), "h-d": (3 * MB, 0.0)})
    alike.send("x", "a", "d", 15 * MB)
    alike.send("y", "b", "d", 15 * MB)
    assert times(alike.run()) == pytest.approx({"x": 10 / 0.97, "y": 10 / 0.97}, rel=1e-8)


def test_a_link_that_gets_faster_does_not_help_flows_under_way():
    """CM02, 1 MB/s at the start: 4 MB by 4 s; at 2 MB/s from 1 s on it still takes 1 MB/s."""
    faster = bench({"a-b": (1 * MB, 0.0)}, "simgrid-cm02")
    faster.send("x", "a", "b", 4 * MB)
    faster.send("y", "a", "b", 2 * MB, at=2.0)
    faster.at(1.0, lambda _: faster.network.set_link("a>b", bytes_per_s=2 * MB))
    assert times(faster.run()) == pytest.approx({"x": 4.0, "y": 4.0}, rel=1e-8)


def test_an_outage_stalls_and_its_end_is_seen_at_once():
    """8.01 s and 5 s of outage; what arrives is booked once."""
    cut = bench({"a-b": (FAST, 0.01)}, "simgrid-cm02")
    cut.send("x", "a", "b", 100 * MB)
    cut.at(3.0, lambda _: cut.network.set_link("a>b", up=False))
    cut.at(8.0, lambda _: cut.network.set_link("a>b", up=True))
    assert times(cut.run()) == pytest.approx({"x": 13.01}, rel=1e-8)
    assert [row["carried_nbytes"] for row in cut.rows()] == [100 * MB]


def test_a_flow_keeps_the_cap_of_its_start_over_an_outage():
    """CM02: 1 MB/s until 2 s, 2 MB/s from 3 s on, but 2 of the 4 MB are still to go at 1 MB/s."""
    cut = bench({"a-b": (1 * MB, 0.0)}, "simgrid-cm02")
    cut.send("x", "a", "b", 4 * MB)
    cut.at(2.0, lambda _: cut.network.set_link("a>b", up=False, bytes_per_s=2 * MB))
    cut.at(3.0, lambda _: cut.network.set_link("a>b", up=True))
    assert times(cut.run()) == pytest.approx({"x": 5.0}, rel=1e-8)


def test_patience_ends_a_stalled_transfer():
    cut = bench({"a-b": (FAST, 0.01)}, stall_timeout="4 s")
    cut.send("x", "a", "b", 100 * MB)
    cut.at(3.0, lambda _: cut.network.set_link("a>b", up=False))
    assert cut.run() == {"x": (7.0, "link down")}
    (row,) = cut.rows()
    assert row["carried_nbytes"] == pytest.approx((3 - 0.1301) * 0.97 * FAST, rel=1e-6)


@st.composite
def problems(draw):
    num_flows, num_links = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    link = st.lists(st.integers(0, num_links - 1), min_size=1, max_size=4, unique=True)
    routes = [draw(link) for _ in range(num_flows)]
    loads = [[draw(st.sampled_from([1.0, 0.05])) for _ in route] for route in routes]
    sizes, positive = st.floats(1e3, 1e9), st.floats(0.1, 100)
    return (
        routes,
        [draw(sizes) for _ in range(num_links)],
        [draw(positive) for _ in range(num_flows)],
        [draw(st.one_of(st.just(inf), sizes)) for _ in range(num_flows)],
        loads,
    )


@given(problems())
def test_every_flow_is_at_its_cap_or_on_a_full_link_where_none_has_more(problem):
    routes, capacity, weight, cap, shares = problem
    loads = [
        (f, link, load) for f in range(len(routes)) for link, load in zip(routes[f], shares[f], strict=True)
    ]
    rate = max_min(*problem)
    used = [sum(load * rate[f] for f, link, load in loads if link == at) for at in range(len(capacity))]
    assert all(spent <= limit * (1 + 1e-9) for spent, limit in zip(used, capacity, strict=True))
    for flow, got in enumerate(rate):
        assert got <= cap[flow]
        full = [link for f, link, _ in loads if f == flow and used[link] >= capacity[link] * (1 - 1e-9)]
        highest = [max(rate[g] / weight[g] for g, at, _ in loads if at == link) for link in full]
        bottlenecks = [level for level in highest if level <= got / weight[flow] * (1 + 1e-9)]
        assert got == cap[flow] or bottlenecks


@pytest.fixture(scope="module")
def cases():
    if not FILE.exists():
        pytest.skip("reference cases are not beside the repository")
    return read(FILE)


@pytest.mark.parametrize(("tier", "column"), [("simgrid", "simgrid"), ("simgrid-cm02", "simgrid_cm02")])
def test_every_case_without_events_as_simgrid_has_it(cases, tier, column):
    still = [case for case in cases if not case["events"]]
    assert len(still) > 30
    for case in still:
        answers = [case["reference"][column][i] for i in scored(case)]
        assert predict(case, tier=tier) == pytest.approx(answers, rel=1e-6, abs=ROUNDED), case["id"]


def test_outages_and_steps_as_simgrid_has_them(cases):
    eventful = [case for case in cases if case["group"] in {"fail", "trace"}]
    for case in eventful:
        answers = [case["reference"]["simgrid"][i] for i in scored(case)]
        assert predict(case, tier="simgrid") == pytest.approx(answers, rel=1e-6, abs=ROUNDED), case["id"]

"""Links that change over time: every expected number is worked out in the docstring."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.network.conditions import Conditions
from simulator.network.influences import build_influences
from simulator.network.timelines import DOWN, Effect, State, Steps, combine
from simulator.network.topology import Link
from simulator.rng import stream
from simulator.scenario.conditions import Condition
from tests.network.test_transport import MB, Bench, times


def follow(bench, *lines, seed=1):
    """Put conditions on the links of a bench; return them and the outages that were told."""
    told = []
    conditions = [Condition.model_validate(line) for line in lines]
    network = bench.network
    influences = list(build_influences(conditions, {}, network.links, lambda name: stream(seed, name)))

    def tell(one, down):
        told.append((round(network.now, 6), one.link, down))

    return Conditions(network, influences, tell), told


def trace(rows, *, at_end="hold", head="time (s),bandwidth (MB/s)", **more):
    return {"link": "a>b", "trace": {"csv": "\n".join([head, *rows]) + "\n", "at_end": at_end, **more}}


def test_a_trace_that_halves():
    """1 MB/s for 4 s, then 0.5: 6 MB take 4 + 2/0.5 = 8 s."""
    bench = Bench({"a-b": (MB, 0.0)})
    follow(bench, trace(["0,1", "4,0.5"]))
    bench.send("x", "a", "b", 6 * MB)
    assert times(bench.run()) == pytest.approx({"x": 8.0})


def test_a_trace_repeats_from_where_it_starts():
    """1 MB/s and 0.5 MB/s by turns of 2 s, begun 1 s into the trace: 1 MB by 1 s, 1 by 3, 2 by 5, the
    last 0.5 by 6 s."""
    bench = Bench({"a-b": (MB, 0.0)})
    follow(bench, trace(["0,1", "2,0.5"], at_end="repeat", start="1 s"))
    bench.send("x", "a", "b", 4 * MB + MB // 2)
    assert times(bench.run()) == pytest.approx({"x": 6.0})


def test_a_bandwidth_of_zero_is_an_outage_and_is_told():
    """1 MB/s, nothing from 2 s to 5 s: 4 MB take 7 s."""
    bench = Bench({"a-b": (MB, 0.0)})
    _, told = follow(bench, trace(["0,1", "2,0", "5,1"]))
    bench.send("x", "a", "b", 4 * MB)
    assert times(bench.run()) == pytest.approx({"x": 7.0})
    assert told == [(2.0, "a>b", True), (5.0, "a>b", False)]


def test_latency_and_loss_of_a_trace():
    """10 ms until 1 s, 250 ms from then on."""
    bench = Bench({"a-b": (float("inf"), 0.5)})
    follow(bench, trace(["0,10", "1,250"], head="time (s),latency (ms)"))
    bench.send("x", "a", "b", 1)
    bench.send("y", "a", "b", 1, at=2.0)
    assert times(bench.run()) == pytest.approx({"x": 0.01, "y": 2.25})


def test_a_day_with_half_of_the_line():
    """Half of 1 MB/s from 08:00 on, begun at 07:00:00 less nothing: at 3598 s 2 MB are left of 4 when
    the clock strikes, which take 4 s."""
    bench = Bench({"a-b": (MB, 0.0)})
    follow(bench, {"link": "a>b", "daily": {"08:00-18:00": 0.5}, "starts_at": "07:00"})
    bench.send("x", "a", "b", 4 * MB, at=3598.0)
    assert times(bench.run()) == pytest.approx({"x": 3604.0})


def test_background_leaves_the_floor():
    """0.6 of 1 MB/s are taken: 4 MB take 10 s; where 5 MB/s would be, the floor of 0.25 stays: 16 s."""
    for rate, seconds in (("0.6 MB/s", 10.0), ("5 MB/s", 16.0)):
        bench = Bench({"a-b": (MB, 0.0)})
        follow(bench, {"link": "a>b", "background": {"rate": rate, "floor": "0.25 MB/s"}})
        bench.send("x", "a", "b", 4 * MB)
        assert times(bench.run()) == pytest.approx({"x": seconds})


def test_random_background_is_that_of_its_name():
    """Other links, and when somebody looks, change nothing; another seed does. On half of the time on
    average, so that 100 MB take about 100/0.75 s at 1 and 0.5 MB/s."""

    def seconds(seed, *others):
        bench = Bench({"a-b": (MB, 0.0), "b-c": (MB, 0.0)})
        random = {"rate": "0.5 MB/s", "floor": "1 kB/s", "on": "exp(2 s)", "off": "exp(2 s)"}
        follow(bench, *({"link": link, "background": random} for link in ("a>b", *others)), seed=seed)
        bench.send("x", "a", "b", 100 * MB)
        return bench.run()["x"][0]

    assert seconds(1) == seconds(1, "b>c") != seconds(2)
    assert seconds(1) == pytest.approx(133, rel=0.15)


def test_maintenance_of_the_week():
    """Tuesday 00:00 to 01:00 is an hour after Monday 23:00: a transfer that has 1 MB left at 3600 s
    has it at 7201 s; a week later again."""
    bench = Bench({"a-b": (MB, 0.0)}, stall_timeout="2 h", give_up="2 h")
    plan = {"weekly": ["Tue 00:00-01:00"]}
    follow(bench, {"link": "a>b", "maintenance": plan, "starts_at": "Mon 23:00"})
    bench.send("x", "a", "b", 2 * MB, at=3599.0)
    bench.send("y", "a", "b", 2 * MB, at=7 * 86400 + 3599.0)
    ends = times(bench.run(until=8 * 86400))
    assert ends == pytest.approx({"x": 7201.0, "y": 7 * 86400 + 7201.0})


@pytest.mark.parametrize(("policy", "end", "wasted"), [("stall", 12.0, 0), ("reset", 14.0, 2 * MB)])
def test_a_tunnel_is_made_anew(policy, end, wasted):
    """1 MB/s, no tunnel from 5 s to 10 s. 4 MB from 3 s on have 2 left at 5 s; stalled, they are there
    at 12 s. Reset, the first 2 MB are wasted, and after a pause of 5 s all 4 go again: 14 s."""
    bench = Bench({"a-b": (MB, 0.0)}, retries=1, backoff="5 s")
    line = {"link": "a>b", "rekey": {"every": "5 s", "down": "5 s", "connections": policy}}
    _, told = follow(bench, line)
    bench.send("x", "a", "b", 4 * MB, at=3.0)
    assert bench.run(until=14.5) == {"x": (pytest.approx(end), None)}
    assert bench.ledger.totals()["failed"] == wasted
    assert told == [(5.0, "a>b", True), (10.0, "a>b", False)]
    assert bench.rows()[0]["reason"] == ("connection reset" if policy == "reset" else "")


def test_tcp_wakes_after_maintenance_at_its_own_time_out():
    """10 s of maintenance from 2 s on: as an outage, TCP goes on at 2 + 0.04 + 0.19 + 0.29·(2^6 − 1)
    + 0.43 = 20.9 s; Linux ended at 22.45 s."""
    bench = Bench({"a-b": (12.5 * MB, 0.02)}, preset="tcp-cubic")
    follow(bench, {"link": "a>b", "maintenance": {"from": "2 s", "to": "12 s"}})
    bench.send("x", "a", "b", 50 * MB)
    assert bench.run()["x"][0] == pytest.approx(22.45, rel=0.06)


def test_a_fault_sets_and_releases():
    """1 MB/s, 0.25 from 2 s to 6 s: 5 MB are 2 + 1 + 2 MB, 8 s."""
    bench = Bench({"a-b": (MB, 0.0)})
    conditions, _ = follow(bench)
    bench.at(2.0, lambda _: conditions.hold("a>b", 0, Effect(bytes_per_s=MB / 4)))
    bench.at(6.0, lambda _: conditions.release("a>b", 0))
    bench.send("x", "a", "b", 5 * MB)
    assert times(bench.run()) == pytest.approx({"x": 8.0})


def test_effects_add_up():
    """10 B/s replaced by 8, a quarter of it, 1 taken; the floor holds what is left, not more."""
    link = Link(id="x", src="a", dst="b", bytes_per_s=10.0, latency_s=1.0, loss=0.1)
    effects = [Effect(bytes_per_s=8.0), Effect(share=0.25), Effect(taken=1.0, floor=0.5, loss=0.0)]
    assert combine(link, effects) == State(1.0, 1.0, 0.0, False)
    assert combine(link, [*effects, Effect(taken=9.0)]).bytes_per_s == 0.5
    assert combine(link, [Effect(share=0.01), Effect(taken=1.0, floor=5.0)]).bytes_per_s == 0.1
    assert combine(link, [DOWN]).down


def test_an_idle_link_costs_nothing():
    """A trace of 1000 changes a second over 1e7 virtual seconds, looked at by two transfers only."""
    bench = Bench({"a-b": (MB, 0.0)})
    conditions, _ = follow(bench, trace(["0,1", "0.001,0.5"], at_end="repeat"))
    looked, timeline = [], conditions._watches["a>b"].influences[0].timeline
    original = timeline.at
    timeline.at = lambda now: looked.append(now) or original(now)
    for at in (1.0, 1e7):
        bench.send(str(at), "a", "b", 7500, at=at)
    assert times(bench.run()) == pytest.approx({"1.0": 1.01, "10000000.0": 1e7 + 0.01}, abs=2e-3)
    assert len(looked) < 60


@given(
    st.lists(st.floats(0.01, 1000), min_size=1, max_size=6),
    st.floats(0, 500),
    st.floats(0, 2e7),
    st.booleans(),
)
def test_steps_go_on_for_ever(gaps, offset_s, start_s, repeats):
    """Every change comes strictly later, none is skipped, and looking late finds the same."""
    begins = [sum(gaps[:n]) for n in range(len(gaps))]
    effects = [Effect(taken=float(n)) for n in range(len(gaps))]
    period = {"period_s": sum(gaps)} if repeats else {}
    steps = Steps(begins, effects, offset_s=offset_s, **period)
    now, seen = start_s, []
    for _ in range(20):
        effect, change_s = steps.at(now)
        assert change_s > now
        seen.append(effect.taken)
        if change_s == float("inf"):
            break
        assert steps.at((now + change_s) / 2)[0] == effect or (now + change_s) / 2 in (now, change_s)
        now = change_s
    if repeats and len(gaps) > 1:
        assert all((b - a) % len(gaps) == 1 for a, b in pairwise(seen))


TABLE = "time (s),bandwidth (kB/s),latency (ms)\n0,90,5\n7,0,5\n9,700,90\n"
LINES = st.lists(
    st.sampled_from(
        [
            {"link": "a>h", "maintenance": {"from": "3 s", "to": "11 s"}},
            {"link": "h>b", "rekey": {"every": "exp(8 s)", "down": "1 s", "connections": "reset"}},
            {"link": "b>h", "rekey": {"every": "exp(8 s)", "down": "1 s", "connections": "stall"}},
            {"link": "c>h", "background": {"rate": "exp(300 kB/s)", "floor": "9 kB/s",
                                           "on": "exp(2 s)", "off": "exp(2 s)"}},
            {"link": "h>c", "trace": {"csv": TABLE, "at_end": "repeat"}},
        ]
    ),
    max_size=5,
    unique_by=str,
)  # fmt: skip
GROUPS = st.lists(
    st.tuples(
        st.floats(0, 40), st.dictionaries(st.sampled_from("abc"), st.integers(0, 1)), st.floats(0.1, 20)
    ),
    max_size=3,
)
CRASHES = st.lists(st.tuples(st.floats(0, 40), st.sampled_from("abc"), st.floats(0.1, 20)), max_size=2)
SENDS = st.lists(
    st.tuples(
        st.floats(0, 40),
        st.permutations("abc").map(lambda order: order[:2]),
        st.integers(0, 5_000_000),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)
POLICY = st.fixed_dictionaries(
    {
        "preset": st.sampled_from(["ideal", "tcp-cubic", "tcp-bbr", "vpn-over-tcp"]),
        "restart": st.sampled_from(["zero", "offset"]),
        "retries": st.integers(0, 2),
        "connections": st.integers(1, 3),
        "headers": st.sampled_from(["0 B", "2 KiB"]),
        "message_duplication": st.sampled_from([0.0, 0.5]),
        "message_reordering": st.sampled_from([0.0, 0.5]),
        "give_up": st.sampled_from(["10 s", "1 h"]),
    }
)
LATENCY_S = {"a": 0.01, "b": 0.03, "c": 0.0}


@settings(max_examples=60, deadline=None)
@given(POLICY, LINES, GROUPS, CRASHES, SENDS, st.integers(1, 3))
def test_whatever_happens_every_byte_is_accounted_for(policy, lines, groups, crashes, sends, seed):
    """The run ends, bytes are conserved (the ledger checks both books when it is closed), nothing
    arrives sooner than light, across a partition, or at a dead node."""
    links = {"a-h": (1e6, 0.01), "b-h": (2e6, 0.03), "c-h": (5e5, 0.0)}
    bench = Bench(links, loss=0.01, stall_timeout="20 s", message_loss=0.1, jitter_s=0.001, **policy)
    follow(bench, *lines, seed=seed)
    network = bench.network
    for number, (at, written, span) in enumerate(groups):
        of = {node: written.get(node, 0) for node in "abch"}
        bench.at(at, lambda _, of=of, number=number: network.part(number, of))
        bench.at(at + span, lambda _, number=number: network.heal(number))
    for at, node, span in crashes:
        bench.at(at, lambda _, node=node: network.drop_node(node))
        bench.at(at + span, lambda _, node=node: network.revive_node(node))
    for number, (at, (src, dst), nbytes, control) in enumerate(sends):
        bench.send(str(number), src, dst, nbytes, at=at, control=control)
    bench.run(until=2000.0)
    assert len(bench.ends) == len(sends)
    least_ms = 5.0 if any("trace" in line for line in lines) else 0.0
    for number, (at, (src, dst), nbytes, _) in enumerate(sends):
        end, reason = bench.ends[str(number)]
        assert end >= at
        if reason is None:
            latency_s = LATENCY_S[src] + (LATENCY_S[dst] if dst != "c" else least_ms / 1000)
            assert end >= (at + latency_s) * (1 - 1e-9)
            rows = [row for row in bench.rows() if row["kind"] == str(number)]
            mine = [row for row in rows if row["status"] == "delivered"]
            assert sum(row["carried_nbytes"] for row in mine) in {nbytes, 2 * nbytes}
            for begin, written, span in groups:
                if written.get(src, 0) != written.get(dst, 0):
                    assert not begin + 1e-9 < end < begin + span - 1e-9
            for begin, node, span in crashes:
                if node in (src, dst) and sum(other == node for _, other, _ in crashes) == 1:
                    assert not begin + 1e-9 < end < begin + span - 1e-9

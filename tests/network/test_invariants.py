"""What holds for any transfers and any faults: bytes, causality, capacity, and the same bits again."""

import gc
from math import inf

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.network import compiled, kernel, shares
from simulator.network.rows import FLOWS, FREE
from simulator.network.sharing import max_min
from simulator.network.window import ACK_SHARE
from tests.network.test_transport import Bench

NODES = ("a", "b", "c")
LINKS = {"a-h": (1e6, 0.01), "b-h": (2e6, 0.03), "c-h": (5e5, 0.0)}
LATENCY_S = {"a": 0.01, "b": 0.03, "c": 0.0}
PAIRS = [(src, dst) for src in NODES for dst in NODES if src != dst]
TIMES = st.floats(0, 60).map(lambda t: round(t, 3))

sends = st.lists(
    st.tuples(TIMES, st.sampled_from(PAIRS), st.integers(0, 20_000_000), st.booleans()),
    min_size=1,
    max_size=12,
)
outages = st.lists(st.tuples(TIMES, st.sampled_from(NODES), TIMES), max_size=3, unique_by=lambda row: row[1])
crashes = st.lists(st.tuples(TIMES, st.sampled_from(NODES), TIMES), max_size=2, unique_by=lambda row: row[1])
changes = st.lists(st.tuples(TIMES, st.sampled_from(["a>h", "h>b", "c>h"]), st.floats(1e5, 1e7)), max_size=3)
models = st.sampled_from(
    [("share", preset) for preset in ("ideal", "tcp-cubic", "tcp-reno", "tcp-bbr")]
    + [("window", preset) for preset in ("tcp-cubic", "tcp-reno", "tcp-bbr")]
    + [(tier, "tcp-cubic") for tier in ("simgrid", "simgrid-cm02")]
)
policies = st.builds(
    lambda model, restart, retries: {
        "tier": model[0], "preset": model[1], "restart": restart, "retries": retries
    },
    models,
    st.sampled_from(["zero", "offset"]),
    st.integers(0, 2),
)  # fmt: skip


def play(policy, sends, outages, crashes, changes, *, until=None, loss=0.0):
    bench = Bench(LINKS, stall_timeout="20 s", message_loss=0.2, jitter_s=0.002, loss=loss, **policy)
    network = bench.network
    for at, node, span in outages:
        bench.at(at, lambda _, node=node: network.set_node(node, False))
        bench.at(at + span, lambda _, node=node: network.set_node(node, True))
    for at, node, span in crashes:
        bench.at(at, lambda _, node=node: network.drop_node(node))
        bench.at(at + span, lambda _, node=node: network.revive_node(node))
    for at, link, rate in changes:
        bench.at(at, lambda _, link=link, rate=rate: network.set_link(link, bytes_per_s=rate))
    for number, (at, (src, dst), nbytes, control) in enumerate(sends):
        bench.send(str(number), src, dst, nbytes, at=at, control=control)
    bench.run(until)  # closes, which checks the ledger
    return bench


@settings(max_examples=150, deadline=None)
@given(policies, sends, outages, crashes, changes, st.sampled_from([0.0, 0.02]))
def test_everything_ends_and_every_byte_is_accounted_for(policy, sends, outages, crashes, changes, loss):
    bench = play(policy, sends, outages, crashes, changes, loss=loss)
    assert len(bench.ends) == len(sends)
    rows = bench.rows()
    arrived = {row["kind"] for row in rows if row["status"] == "delivered" and not row["reason"]}
    for number, (at, (src, dst), nbytes, _) in enumerate(sends):
        end, reason = bench.ends[str(number)]
        assert end >= at
        assert (reason is None) == (str(number) in arrived)
        if reason is None:
            assert end >= (at + LATENCY_S[src] + LATENCY_S[dst]) * (1 - 1e-9)
            mine = [row for row in rows if row["kind"] == str(number) and row["status"] == "delivered"]
            assert sum(row["carried_nbytes"] for row in mine) == nbytes


@settings(max_examples=50, deadline=None)
@given(policies, sends, outages, st.floats(1, 60))
def test_bytes_are_conserved_wherever_a_run_is_stopped(policy, sends, outages, until):
    bench = play(policy, sends, outages, [], [], until=until)
    carried = sum(row[-1] for row in bench.ledger.rows("links"))
    assert carried == 2 * sum(bench.ledger.totals().values())  # every route has two links


@settings(max_examples=50, deadline=None)
@given(policies, sends, outages, crashes)
def test_nothing_arrives_across_a_cut_or_at_a_dead_node(policy, sends, outages, crashes):
    bench = play(policy, sends, outages, crashes, [])
    for row in bench.rows():
        if row["status"] != "delivered" or row["reason"]:
            continue
        for at, node, span in (*outages, *crashes):
            if node in (row["src"], row["dst"]):
                assert not at + 1e-9 < row["end_s"] < at + span - 1e-9


@settings(max_examples=50, deadline=None)
@given(policies, sends, changes)
def test_no_link_is_above_its_capacity(policy, sends, changes):
    bench = Bench(LINKS, **policy)
    for at, link, rate in changes:
        bench.at(at, lambda _, link=link, rate=rate: bench.network.set_link(link, bytes_per_s=rate))
    for number, (at, (src, dst), nbytes, _) in enumerate(sends):
        bench.send(str(number), src, dst, nbytes, at=at)
    bench.env.run(60.001)
    for state in bench.network._lines.states.values():
        payload = sum(flow.rate for flow in state.users.values() if state in flow.path.links)
        used = payload + ACK_SHARE * sum(f.rate for f in state.users.values() if state in f.path.back)
        assert payload <= state.capacity * (1 + 1e-9)
        assert used <= state.capacity * 1.003 or payload <= 0.501 * state.capacity


@settings(max_examples=20, deadline=None)
@given(policies, sends, outages, crashes, changes)
def test_the_same_again_gives_the_same_bits(policy, sends, outages, crashes, changes):
    first, second = (play(policy, sends, outages, crashes, changes) for _ in range(2))
    assert first.ledger.rows("transfers") == second.ledger.rows("transfers")


@pytest.mark.skipif(not compiled.available(), reason="Numba is not installed (extra: fast)")
@settings(max_examples=20, deadline=None)
@given(policies, sends, outages, crashes, changes)
def test_compiled_loops_give_the_same_bits(policy, sends, outages, crashes, changes):
    """Interpreted, and compiled after the first solution."""
    rows = []
    for work in (inf, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shares, "COMPILED_FROM", work)
            bench = play(policy, sends, outages, crashes, changes, loss=0.01)
        rows.append(bench.ledger.rows("transfers"))
    assert rows[0] == rows[1]


@pytest.mark.parametrize("tier", ["share", "window"])
def test_ten_million_seconds_do_not_stop_a_busy_network(tier):
    bench = Bench(LINKS, preset="tcp-cubic", tier=tier, loss=0.01)
    for number in range(20):
        src, dst = PAIRS[number % len(PAIRS)]
        bench.send(str(number), src, dst, 3_333_333, at=1e7 + number / 3)
    assert all(reason is None for _, reason in bench.run().values())
    assert bench.ledger.totals() == {"delivered": 20 * 3_333_333, "failed": 0, "in_flight": 0}


def test_changes_of_one_instant_are_solved_once(monkeypatch):
    """50 uploads that start together, each by an event of its own: one solution."""
    counts, original = [], kernel.solve

    def solve(*args):
        counts.append(args[8][FLOWS])
        return original(*args)

    monkeypatch.setattr(compiled, "is_loaded", lambda: False)  # another test may have compiled it
    monkeypatch.setattr(kernel, "solve", solve)
    bench = Bench({f"s{i}-h": (1e6, 0.01) for i in range(50)} | {"h-x": (1e6, 0.0)})
    for i in range(50):
        bench.send(str(i), f"s{i}", "x", 1_000_000, at=1.0)
    bench.env.run(2.0)
    assert [count for count in counts if count] == [50]


def test_a_transfer_is_settled_when_it_begins_and_when_its_last_byte_leaves(monkeypatch):
    """Not when it is asked for, nor when that byte arrives; and nothing of it is left to the collector."""
    instants, original = [], shares.Shares.settle

    def settle(self, settler, now, others):
        instants.append(now)
        return original(self, settler, now, others)

    monkeypatch.setattr(shares.Shares, "settle", settle)
    bench = Bench({"a-b": (1e6, 0.1)}, preset="tcp-cubic", window="10 kB")
    for number in range(20):
        bench.send(str(number), "a", "b", 100_000, at=10.0 * number)
    gc.collect()
    bench.env.run(300.0)
    assert gc.collect() == 0
    assert len(instants) == 2 * 20


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["ideal", "tcp-cubic", "tcp-reno", "tcp-bbr"]), sends, changes)
def test_what_is_touched_alone_gives_what_all_would(preset, sends, changes):
    """Solving everything anew at any time changes nobody's rate."""
    bench = Bench(LINKS, preset=preset, jitter_s=0.002)
    for at, link, rate in changes:
        bench.at(at, lambda _, link=link, rate=rate: bench.network.set_link(link, bytes_per_s=rate))
    for number, (at, (src, dst), nbytes, _) in enumerate(sends):
        bench.send(str(number), src, dst, nbytes, at=at)
    for until in (7.001, 23.001, 41.001):
        bench.env.run(until)
        states = bench.network._lines.states.values()
        flows = {flow.id: flow for state in states for flow in state.users.values()}
        sending = [flow for _, flow in sorted(flows.items()) if flow.rate > 0]
        links = [state for state in states if state.capacity < inf]
        free = {s.index: bench.network._shares.table.lf[FREE][s.index] for s in links}
        rates = max_min(
            [[links.index(state) for state in flow.path.links] for flow in sending],
            [free[state.index] for state in links],
            [flow.path.weight for flow in sending],
            [flow.cap for flow in sending],
        )
        assert [flow.rate for flow in sending] == pytest.approx(list(rates), rel=1e-8)


@settings(max_examples=30, deadline=None)
@example("tcp-cubic", [(1.0, ("a", "b"), 5_000_000, False), (1.2, ("a", "c"), 5_000_000, False)], [])
@example("tcp-reno", [(1.0, ("a", "b"), 5_000_000, False)], [(1.3, "a>h", 3e5), (1.5, "a>h", 5e6)])
@given(st.sampled_from(["tcp-cubic", "tcp-reno", "tcp-bbr"]), sends, changes)
def test_what_windows_do_ahead_of_time_is_what_they_would_have_done(preset, sends, changes):
    """Windows move ahead until somebody else acts; here they do, or they wait for SimPy each time."""
    ends = []
    for waits in (False, True):
        bench = Bench(LINKS, preset=preset, jitter_s=0.002)
        if waits:
            bench.network._agenda.others = lambda env=bench.env: env.now
        for at, link, rate in changes:
            bench.at(at, lambda _, b=bench, link=link, rate=rate: b.network.set_link(link, bytes_per_s=rate))
        for number, (at, (src, dst), nbytes, _) in enumerate(sends):
            bench.send(str(number), src, dst, nbytes, at=at)
        bench.run(80.0)
        ends.append(bench.network._ledger.rows("transfers"))
    # an instant reached in one step or in several differs in its last bit
    assert [(*row[:9], *row[11:]) for row in ends[0]] == [(*row[:9], *row[11:]) for row in ends[1]]
    for ahead, waiting in zip(*ends, strict=True):
        assert ahead[9:11] == pytest.approx(waiting[9:11], rel=1e-9)

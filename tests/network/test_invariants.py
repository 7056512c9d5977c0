"""What holds for any transfers and any faults: bytes, causality, capacity, and the same bits again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    for state in bench.network._links.values():
        payload = sum(flow.rate for flow in state.flows.values())
        assert payload <= state.capacity * (1 + 1e-9)
        assert state.used() <= state.capacity * 1.003 or payload <= 0.501 * state.capacity


@settings(max_examples=20, deadline=None)
@given(policies, sends, outages, crashes, changes)
def test_the_same_again_gives_the_same_bits(policy, sends, outages, crashes, changes):
    first, second = (play(policy, sends, outages, crashes, changes) for _ in range(2))
    assert first.ledger.rows("transfers") == second.ledger.rows("transfers")


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
    from simulator.network import shares

    sizes, original = [], shares._rates
    monkeypatch.setattr(shares, "_rates", lambda flows: sizes.append(len(flows)) or original(flows))
    bench = Bench({f"s{i}-h": (1e6, 0.01) for i in range(50)} | {"h-x": (1e6, 0.0)})
    for i in range(50):
        bench.send(str(i), f"s{i}", "x", 1_000_000, at=1.0)
    bench.env.run(2.0)
    assert sizes == [50]


def test_components_apart_give_the_rates_of_all_together(monkeypatch):
    """The part that is touched, solved alone, gives what a solution of everything would."""
    from simulator.network import shares

    ends = []
    for everything in (False, True):
        if everything:
            monkeypatch.setattr(shares, "_fits", lambda *_: False)
        bench = Bench(LINKS, preset="ideal")
        for number in range(12):
            src, dst = PAIRS[number % len(PAIRS)]
            bench.send(str(number), src, dst, 1_000_000 * (1 + number % 4), at=number * 0.4)
        if everything:
            original = bench.network._shares.settle

            def settle(settler, now, bench=bench, original=original):
                for transfer in bench.network._transfers.values():
                    for flow in transfer.flows.values():
                        if flow.state == "sending":
                            bench.network._shares.touch(flow)
                original(settler, now)

            monkeypatch.setattr(bench.network._shares, "settle", settle)
        ends.append(bench.run())
    assert {k: t for k, (t, _) in ends[0].items()} == pytest.approx({k: t for k, (t, _) in ends[1].items()})

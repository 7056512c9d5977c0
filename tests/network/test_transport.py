"""Transfers against closed forms: every expected number is worked out in the docstring."""

from math import log2

import pytest
import simpy

from simulator.errors import ScenarioError
from simulator.network.topology import Link, Topology
from simulator.network.transport import Network
from simulator.network.window import EFFICIENCY
from simulator.record.ledger import Ledger
from simulator.record.tables import TABLES
from simulator.rng import stream
from simulator.scenario.transmission import TransportSpec

MB = 1_000_000
PACKET, FRAME = 1448, 1502


class Bench:
    """A network under test: two-way links ``a-b`` of (bytes/s, seconds), one record per transfer."""

    def __init__(self, links, *, seed=1, jitter_s=0.0, loss=0.0, back=None, **settings):
        self.env, self.ledger = simpy.Environment(), Ledger()
        both = []
        for name, (rate, latency_s) in links.items():
            a, b = name.split("-")
            for src, dst, speed in ((a, b, rate), (b, a, back or rate)):
                both.append(
                    Link(
                        id=f"{src}>{dst}", src=src, dst=dst, bytes_per_s=speed, latency_s=latency_s,
                        jitter_s=jitter_s, loss=loss,
                    )
                )  # fmt: skip
        nodes = sorted({end for name in links for end in name.split("-")})
        self.topology = Topology(nodes=nodes, links=both)
        self.network = Network(
            self.env,
            self.topology,
            TransportSpec.model_validate({"preset": "ideal", "retries": 0, **settings}),
            stream=lambda name: stream(seed, name),
            ledger=self.ledger,
        )
        self.ends = {}

    def send(self, name, src, dst, nbytes, at=0.0, control=False):
        def start(_):
            transfer = self.network.transfer(src, dst, nbytes, kind=name, round=None, control=control)
            transfer.event.callbacks.append(
                lambda event: self.ends.update({name: (self.env.now, event.value and event.value.reason)})
            )

        self.at(at, start)

    def at(self, time_s, action):
        self.env.timeout(time_s).callbacks.append(action)

    def run(self, until=None):
        self.env.run(until)
        self.network.close()
        return self.ends

    def rows(self):
        return [dict(zip(TABLES["transfers"], row, strict=True)) for row in self.ledger.rows("transfers")]


def times(ends):
    return {name: time for name, (time, _) in ends.items()}


# -- ideal: bytes over share, and latency -----------------------------------------------------------


def test_one_flow_is_bytes_over_capacity_and_latency():
    """10 MB at 1 MB/s and 50 ms: 10.05 s."""
    bench = Bench({"a-b": (MB, 0.05)})
    bench.send("x", "a", "b", 10 * MB)
    assert times(bench.run()) == pytest.approx({"x": 10.05})


def test_staggered_flows_share_and_take_over():
    """Capacity 1 MB/s, two flows of 4 MB at 0 and 2 s. x has 2 MB left at 2 s, shares 0.5 MB/s until
    6 s; y has by then 2 MB, and 2 left at full rate: 8 s."""
    bench = Bench({"a-b": (MB, 0.0)})
    bench.send("x", "a", "b", 4 * MB)
    bench.send("y", "a", "b", 4 * MB, at=2.0)
    assert times(bench.run()) == pytest.approx({"x": 6.0, "y": 8.0})


def test_parking_lot():
    """Links of 1 MB/s in a row, one long flow and one on each, 2 MB each: all at 0.5 MB/s, 4 s."""
    bench = Bench({"a-b": (MB, 0.0), "b-c": (MB, 0.0)})
    for name, src, dst in (("long", "a", "c"), ("first", "a", "b"), ("second", "b", "c")):
        bench.send(name, src, dst, 2 * MB)
    assert times(bench.run()) == pytest.approx({"long": 4.0, "first": 4.0, "second": 4.0})


def test_dumbbell_with_a_slow_line():
    """Core 3 MB/s; x comes over a line of 1 MB/s and is bound to it, y takes the other 2. 4 MB each:
    y ends at 2 s, x at 4 s."""
    bench = Bench({"s-l": (MB, 0.0), "f-l": (9 * MB, 0.0), "l-r": (3 * MB, 0.0)})
    bench.send("x", "s", "r", 4 * MB)
    bench.send("y", "f", "r", 4 * MB)
    assert times(bench.run()) == pytest.approx({"x": 4.0, "y": 2.0})


def test_directions_do_not_disturb_each_other():
    """1 MB/s there, 4 MB/s back: 4 MB take 4 s and 1 s at the same time."""
    bench = Bench({"a-b": (MB, 0.0)}, back=4 * MB)
    bench.send("up", "a", "b", 4 * MB)
    bench.send("down", "b", "a", 4 * MB)
    assert times(bench.run()) == pytest.approx({"up": 4.0, "down": 1.0})


def test_unlimited_links_cost_latency_alone():
    bench = Bench({"a-b": (float("inf"), 0.25)})
    bench.send("x", "a", "b", 10**12)
    bench.send("empty", "a", "b", 0, at=1.0)
    assert times(bench.run()) == pytest.approx({"x": 0.25, "empty": 1.25})


def test_capacity_changes_in_mid_transfer():
    """1 MB/s for 2 s, then 0.5 MB/s for the other 3 of 5 MB: 8 s."""
    bench = Bench({"a-b": (MB, 0.0)})
    bench.send("x", "a", "b", 5 * MB)
    bench.at(2.0, lambda _: bench.network.set_link("a>b", bytes_per_s=MB / 2))
    assert times(bench.run()) == pytest.approx({"x": 8.0})


def test_no_hang_after_ten_million_seconds():
    """Byte counts that no double holds exactly, late in virtual time: 3 flows of 1e6/3 bytes/s."""
    bench = Bench({"a-b": (MB, 0.0)})
    for name in "xyz":
        bench.send(name, "a", "b", 1_234_567, at=1e7 + 0.1)
    assert times(bench.run()) == pytest.approx(dict.fromkeys("xyz", 1e7 + 0.1 + 3.703701), abs=1e-3)


# -- outages and crashes --------------------------------------------------------------------------------


def test_an_outage_stalls_and_resumes():
    """10 MB at 1 MB/s, cut from 3 s to 8 s: 15 s."""
    bench = Bench({"a-b": (MB, 0.0)})
    bench.send("x", "a", "b", 10 * MB)
    bench.at(3.0, lambda _: bench.network.set_node("b", False))
    bench.at(8.0, lambda _: bench.network.set_node("b", True))
    assert bench.run() == {"x": (pytest.approx(15.0), None)}


def test_a_share_goes_to_the_others_during_an_outage():
    """Hub links of 2 MB/s into one of 1 MB/s; x and y 4 MB each at 0.5. x is cut from 2 s (1 MB
    done) to 4 s; y does 1 + 2 MB by 4 s, then 1 at 0.5: 6 s. x has 2 MB by 6 s and 2 left: 8 s."""
    bench = Bench({"x-h": (2 * MB, 0.0), "y-h": (2 * MB, 0.0), "h-s": (MB, 0.0)})
    bench.send("x", "x", "s", 4 * MB)
    bench.send("y", "y", "s", 4 * MB)
    bench.at(2.0, lambda _: bench.network.set_link("x>h", up=False))
    bench.at(4.0, lambda _: bench.network.set_link("x>h", up=True))
    assert times(bench.run()) == pytest.approx({"y": 6.0, "x": 8.0})


def test_patience_ends():
    """Cut at 3 s for good, patience 60 s: fails at 63 s with 3 MB wasted."""
    bench = Bench({"a-b": (MB, 0.0)})
    bench.send("x", "a", "b", 10 * MB)
    bench.at(3.0, lambda _: bench.network.set_node("a", False))
    assert bench.run() == {"x": (pytest.approx(63.0), "link down")}
    assert bench.ledger.totals() == {"delivered": 0, "failed": 3 * MB, "in_flight": 0}


def test_retry_from_zero_counts_the_waste():
    """Cut from 3 s to 65 s, patience 60 s, pause 5 s: again at 68 s from zero, there at 78 s."""
    bench = Bench({"a-b": (MB, 0.0)}, retries=1)
    bench.send("x", "a", "b", 10 * MB)
    bench.at(3.0, lambda _: bench.network.set_link("a>b", up=False))
    bench.at(65.0, lambda _: bench.network.set_link("a>b", up=True))
    assert bench.run() == {"x": (pytest.approx(78.0), None)}
    assert bench.ledger.totals() == {"delivered": 10 * MB, "failed": 3 * MB, "in_flight": 0}
    assert [(row["attempt"], row["start_s"], row["reason"]) for row in bench.rows()] == [
        (1, 0.0, "link down"),
        (2, pytest.approx(68.0), ""),
    ]


def test_retry_from_the_offset_wastes_nothing():
    """As before, but the 3 MB stay: 68 s + 7 s."""
    bench = Bench({"a-b": (MB, 0.0)}, retries=1, restart="offset")
    bench.send("x", "a", "b", 10 * MB)
    bench.at(3.0, lambda _: bench.network.set_link("a>b", up=False))
    bench.at(65.0, lambda _: bench.network.set_link("a>b", up=True))
    assert bench.run() == {"x": (pytest.approx(75.0), None)}
    assert bench.ledger.totals() == {"delivered": 10 * MB, "failed": 0, "in_flight": 0}


def test_what_was_on_its_way_is_not_kept():
    """1 MB/s and 0.5 s: of 3 MB that left until the cut at 3 s, 2.5 MB are there; 68 + 7.5 + 0.5 s."""
    bench = Bench({"a-b": (MB, 0.5)}, retries=1, restart="offset")
    bench.send("x", "a", "b", 10 * MB)
    bench.at(3.0, lambda _: bench.network.set_link("a>b", up=False))
    bench.at(65.0, lambda _: bench.network.set_link("a>b", up=True))
    assert bench.run() == {"x": (pytest.approx(76.0), None)}
    assert bench.ledger.totals() == {"delivered": 10 * MB, "failed": MB // 2, "in_flight": 0}
    rows = [(row["nbytes"], row["carried_nbytes"], row["status"], row["reason"]) for row in bench.rows()]
    assert rows == [
        (5 * MB // 2, 5 * MB // 2, "delivered", "resumed after: link down"),
        (MB // 2, MB // 2, "failed", "link down"),
        (15 * MB // 2, 15 * MB // 2, "delivered", ""),
    ]


@pytest.mark.parametrize(("reset_s", "kept"), [(1.5, 0), (2.5, MB // 2), (2.75, 3 * MB // 4)])
def test_of_what_has_all_left_the_tail_may_be_on_its_way(reset_s, kept):
    """1 MB has left after 1 s, and arrives between 2 s and 3 s."""
    bench = Bench({"a-b": (MB, 2.0)}, retries=1, restart="offset", backoff="1 s")
    bench.send("x", "a", "b", MB)
    bench.at(reset_s, lambda _: bench.network.reset_link("a>b", "connection reset"))
    assert bench.run() == {"x": (pytest.approx(reset_s + 1 + (MB - kept) / MB + 2), None)}
    assert bench.ledger.totals() == {"delivered": MB, "failed": MB - kept, "in_flight": 0}


def test_pauses_between_retries_double():
    """Down from the start: attempts at 0, 60 + 5, 125 + 10, and the end at 195 s."""
    bench = Bench({"a-b": (MB, 0.0)}, retries=2)
    bench.at(0.0, lambda _: bench.network.set_node("b", False))
    bench.send("x", "a", "b", MB)
    assert bench.run() == {"x": (pytest.approx(195.0), "link down")}
    assert [row["start_s"] for row in bench.rows()] == pytest.approx([0.0, 65.0, 135.0])


def test_pauses_may_be_nothing_for_ever():
    """2000 attempts of 1 s each: no pause doubles beyond what a number can hold."""
    bench = Bench({"a-b": (MB, 0.0)}, retries=1999, backoff="0 s", stall_timeout="1 s")
    bench.at(0.0, lambda _: bench.network.set_node("b", False))
    bench.send("x", "a", "b", MB)
    assert bench.run() == {"x": (pytest.approx(2000.0), "link down")}


def test_a_crash_fails_at_once_and_is_not_retried():
    """2 s at 1 MB/s wasted; what starts before the node is back fails after one round trip."""
    bench = Bench({"a-b": (MB, 0.1)}, retries=5)
    bench.send("x", "a", "b", 10 * MB)
    bench.at(2.0, lambda _: bench.network.drop_node("b"))
    bench.send("y", "a", "b", MB, at=3.0)
    bench.at(4.0, lambda _: bench.network.revive_node("b"))
    bench.send("z", "a", "b", MB, at=4.0)
    assert bench.run() == {
        "x": (2.0, "peer crashed"),
        "y": (pytest.approx(3.2), "peer crashed"),
        "z": (pytest.approx(5.1), None),
    }
    assert bench.ledger.totals() == {"delivered": MB, "failed": 2 * MB, "in_flight": 0}


def test_what_is_under_way_at_the_end_is_in_flight():
    bench = Bench({"a-b": (MB, 0.0)})
    bench.send("x", "a", "b", 10 * MB)
    assert bench.run(until=4.0) == {}
    assert bench.ledger.totals() == {"delivered": 0, "failed": 0, "in_flight": 4 * MB}
    assert [row["status"] for row in bench.rows()] == ["in_flight"]


# -- TCP ----------------------------------------------------------------------------------------------------


def test_slow_start_in_closed_form():
    """10 MB, 1.25 MB/s on the wire, 50 ms one way. Share r = 1.25·1448/1502 = 1.205060 MB/s; one-way
    delay d = 50 ms + 1502 B/1.25 MB/s = 51.2016 ms; round trip R = 101.2016 ms. Ten segments a round
    trip are 143 080.4 bytes/s, doubled n = 4 times they exceed r:
    R + 4·R + (10 MB − 14 480·15)/r + d = 0.506008 + 8.118111 + 0.051202 = 8.675320 s."""
    bench = Bench({"a-b": (1.25 * MB, 0.05)}, preset="tcp-cubic")
    bench.send("x", "a", "b", 10 * MB)
    share, one_way = 1.25 * MB * PACKET / FRAME, 0.05 + FRAME / (1.25 * MB)
    rtt = one_way + 0.05
    assert log2(share * rtt / (10 * PACKET)) == pytest.approx(3.07, abs=0.01)
    by_hand = rtt * 5 + (10 * MB - 10 * PACKET * 15) / share + one_way
    assert by_hand == pytest.approx(8.675320, abs=1e-5)
    assert times(bench.run()) == pytest.approx({"x": by_hand})


def test_a_small_transfer_ends_within_slow_start():
    """40 000 bytes: 14 480 in round 0, the other 25 520 fit into round 1 and leave at link speed:
    R + R + 25 520/r + d."""
    bench = Bench({"a-b": (125 * MB, 0.05)}, preset="tcp-reno")
    bench.send("x", "a", "b", 40_000)
    share, one_way = 125 * MB * PACKET / FRAME, 0.05 + FRAME / (125 * MB)
    by_hand = 2 * (one_way + 0.05) + (40_000 - 14_480) / share + one_way
    assert times(bench.run()) == pytest.approx({"x": by_hand})


def test_the_window_limits_the_rate():
    """64 KiB every 100 ms are 655 kB/s whatever the link: 10 MB take more than 15.2 s, less than 16."""
    bench = Bench({"a-b": (125 * MB, 0.05)}, preset="tcp-cubic", window="64 KiB")
    bench.send("x", "a", "b", 10 * MB)
    assert 10 * MB / (65536 / 0.1) < bench.run()["x"][0] < 16


def test_tcp_wakes_at_its_own_time_out():
    """A 10 s outage: round trips of 40 ms and 50 ms of queue, 40 ms until the
    last acknowledgement, a probe after two round trips and 8 ms,
    time-outs of 0.29 s doubling, six until 12 s, late by 16 ms three times and by 128 ms three times:
    awake at 2 + 0.04 + 0.19 + 0.29·63 + 0.43 = 20.93 s. 21.6 MB had left by 2 s, the other 28.4 take 2.36 s,
    slow start another 0.3 s. Linux took 22.45 s."""
    bench = Bench({"a-b": (12.5 * MB, 0.02)}, preset="tcp-cubic")
    bench.send("x", "a", "b", 50 * MB)
    bench.at(2.0, lambda _: bench.network.set_link("a>b", up=False))
    bench.at(12.0, lambda _: bench.network.set_link("a>b", up=True))
    assert bench.run()["x"][0] == pytest.approx(23.60, rel=0.002)


def test_nobody_wakes_into_the_next_outage():
    """Cut at 2 s for 10 s, awake at 20.93 s as above; cut again from 20 s to 40 s, nothing has moved
    by then."""
    bench = Bench({"a-b": (12.5 * MB, 0.02)}, preset="tcp-cubic", stall_timeout="100 s")
    bench.send("x", "a", "b", 50 * MB)
    for at, up in ((2.0, False), (12.0, True), (20.0, False), (40.0, True)):
        bench.at(at, lambda _, up=up: bench.network.set_link("a>b", up=up))
    bench.env.run(39.9)
    (flow,) = bench.network._lines.states["a>b"].users.values()
    assert flow.rate == 0.0
    assert flow.stalled_s == 2.0
    assert bench.run()["x"][0] > 40


def test_a_link_that_begins_to_lose_packets_slows_who_sends():
    """100 MB at 12.5 MB/s take 8.4 s; with 2 % of loss from 1 s on, a window of about eight segments
    in 20 ms, they would take minutes."""
    bench = Bench({"a-b": (12.5 * MB, 0.01)}, preset="tcp-cubic")
    bench.send("x", "a", "b", 100 * MB)
    bench.at(1.0, lambda _: bench.network.set_link("a>b", loss=0.02))
    assert bench.run()["x"][0] > 60


def test_what_acknowledgements_took_is_free_when_their_flow_ends():
    """A download at 12.5 MB/s takes 0.22 MB/s of an uplink of 1.25 MB/s; when it is over, the upload
    has 1.25 · 1448/1502 again."""
    bench = Bench({"a-b": (1.25 * MB, 0.01)}, preset="tcp-bbr", back=12.5 * MB)
    bench.send("up", "a", "b", 50 * MB)
    bench.send("down", "b", "a", 60 * MB)
    rates, users = [], bench.network._lines.states["a>b"].users
    for at in (3.0, 20.0):
        bench.at(at, lambda _: rates.append(min(flow.rate for flow in users.values())))
    assert bench.run()["down"][0] < 20
    data = PACKET / FRAME
    assert rates == pytest.approx([(1.25 - 12.5 * 27 / FRAME) * MB * data, 1.25 * MB * data], rel=0.003)


@pytest.mark.parametrize(("tier", "share"), [("share", 0.5), ("window", None)])
def test_parking_lot_under_tcp(tier, share):
    """Two links of 1 MB/s in a row, a long flow and one on each. With equal shares everybody has half
    of 0.964 MB/s; where windows decide, each link is full all the same: long + short = 0.964."""
    fairness = {"fairness": "equal"} if tier == "share" else {}
    bench = Bench({"a-b": (MB, 0.01), "b-c": (MB, 0.01)}, preset="tcp-cubic", tier=tier, **fairness)
    for name, src, dst in (("long", "a", "c"), ("first", "a", "b"), ("second", "b", "c")):
        bench.send(name, src, dst, 50 * MB)
    bench.env.run(30.0)
    for link in ("a>b", "b>c"):
        rates = [flow.rate for flow in bench.network._lines.states[link].users.values() if flow.rate > 0]
        there = [
            flow.rate
            for flow in bench.network._lines.states[link].users.values()
            if bench.network._lines.states[link] in flow.path.links
        ]
        assert sum(there) == pytest.approx(MB * PACKET / FRAME, rel=0.01)
        if share is not None:
            assert rates == pytest.approx([share * MB * PACKET / FRAME] * 2, rel=0.01)


def test_shares_follow_round_trip_times_unless_told_otherwise():
    """x with 12 ms and y with 202 ms round trips over a core of 1 MB/s. The queue of
    64 frames is 96 ms. Weights 1/(12 + 67) to 1/(202 + 67) are 3.4 : 1, so x ends when y has 5.9 of
    its 20 MB, which y, growing slowly, follows in more than the 14.1 s of the rest: x/y below 0.65.
    With equal shares both take the time of the sum, apart from slow start."""
    for fairness, earliest in (("rtt", 0.6), ("equal", 0.95)):
        links = {"x-l": (99 * MB, 0.001), "y-l": (99 * MB, 0.096), "l-r": (MB, 0.005)}
        bench = Bench(links, preset="tcp-cubic", fairness=fairness)
        bench.send("x", "x", "r", 20 * MB)
        bench.send("y", "y", "r", 20 * MB)
        ends = times(bench.run())
        assert ends["x"] / ends["y"] == pytest.approx(earliest, abs=0.05)


def test_acknowledgements_slow_a_thin_uplink():
    """A download at 12.5 MB/s sends back 27 bytes per 1502: 0.22 MB/s of an uplink of 1.25 MB/s."""
    alone = Bench({"a-b": (1.25 * MB, 0.01)}, preset="tcp-bbr", back=12.5 * MB)
    alone.send("up", "a", "b", 10 * MB)
    both = Bench({"a-b": (1.25 * MB, 0.01)}, preset="tcp-bbr", back=12.5 * MB)
    both.send("up", "a", "b", 10 * MB)
    both.send("down", "b", "a", 500 * MB)
    assert both.run()["up"][0] / alone.run()["up"][0] == pytest.approx(1 / (1 - 0.18), rel=0.03)


def test_loss_slows_loss_based_control_only():
    def seconds(preset):
        bench = Bench({"a-b": (12.5 * MB, 0.025)}, preset=preset, loss=0.01)
        bench.send("x", "a", "b", 10 * MB)
        return bench.run()["x"][0]

    assert seconds("tcp-bbr") < 1.5 < 5 < seconds("tcp-cubic")


def test_bbr_gets_through_what_is_not_lost():
    """Every fifth packet is lost and sent again: 20 MB take as long as 25 MB at 1.25 MB/s, 20 s; what
    starting up and the last path delay add is far below the difference.
    """

    def seconds(loss):
        bench = Bench({"a-b": (1.25 * MB / EFFICIENCY, 0.01)}, preset="tcp-bbr", loss=loss)
        bench.send("x", "a", "b", 20 * MB)
        return bench.run()["x"][0]

    assert seconds(0.2) - seconds(0.0) == pytest.approx(4.0, rel=0.02)


# -- control messages ---------------------------------------------------------------------------------------


def test_a_control_message_needs_no_connection():
    """1 kB at 1448/1502 MB/s and 2 · 10 ms: 21.037 ms, beside a bulk transfer that fills the link."""
    bench = Bench({"a-b": (MB, 0.01), "b-c": (MB, 0.01)}, preset="tcp-cubic")
    bench.send("bulk", "a", "c", 10 * MB)
    bench.send("hello", "a", "c", 1000, at=3.0, control=True)
    bench.run(until=5.0)
    assert bench.ends["hello"] == (pytest.approx(3.0210373), None)


def test_lost_messages_and_dead_links_show_after_a_time_out():
    """Round trip 20 ms and a segment at 1 MB/s, 1.502 ms; time-out 0.221502 s."""
    bench = Bench({"a-b": (MB, 0.01)}, preset="tcp-cubic", message_loss=1.0)
    bench.send("x", "a", "b", 100, control=True)
    assert bench.run() == {"x": (pytest.approx(0.221502), "message lost")}
    bench = Bench({"a-b": (MB, 0.01)}, preset="tcp-cubic")
    bench.at(0.0, lambda _: bench.network.set_node("a", False))
    bench.send("y", "a", "b", 100, control=True)
    assert bench.run() == {"y": (pytest.approx(0.221502), "link down")}


def test_a_message_does_not_cross_a_cut_made_behind_its_back():
    bench = Bench({"a-b": (MB, 1.0)})
    bench.send("x", "a", "b", 100, control=True)
    bench.at(0.5, lambda _: bench.network.set_node("b", False))
    bench.at(0.6, lambda _: bench.network.set_node("b", True))
    assert bench.run()["x"][1] == "link down"
    assert bench.ledger.totals()["failed"] == 100


def test_a_message_does_not_cross_a_partition_made_behind_its_back():
    """On its way for 0.5 s; apart from 0.1 to 0.2 s: lost, which shows a round trip and 0.2 s later."""
    bench = Bench({"a-b": (MB, 0.5)})
    bench.send("x", "a", "b", 0, control=True)
    bench.at(0.1, lambda _: bench.network.part("cause", {"a": 0, "b": 1}))
    bench.at(0.2, lambda _: bench.network.heal("cause"))
    assert bench.run() == {"x": (pytest.approx(1.2), "partitioned")}


def test_jitter_is_drawn_by_name():
    """Another pair's messages change nobody's delays; another seed changes them."""

    def delays(seed, others):
        bench = Bench({"a-b": (MB, 0.01), "c-b": (MB, 0.01)}, seed=seed, jitter_s=0.02)
        for i in range(5):
            bench.send(f"x{i}", "a", "b", 100, at=float(i), control=True)
            if others:
                bench.send(f"o{i}", "c", "b", 100, at=float(i), control=True)
        return {name: end for name, end in times(bench.run()).items() if name.startswith("x")}

    assert delays(1, False) == delays(1, True) != delays(2, False)


def test_a_crash_ends_messages_under_way():
    bench = Bench({"a-b": (MB, 1.0)})
    bench.send("x", "a", "b", 100, control=True)
    bench.at(0.5, lambda _: bench.network.drop_node("b"))
    assert bench.run() == {"x": (0.5, "peer crashed")}


# -- misuse -------------------------------------------------------------------------------------------------


def test_nonsense_is_refused():
    bench = Bench({"a-b": (MB, 0.0)})
    with pytest.raises(ScenarioError, match="unknown node"):
        bench.network.transfer("a", "x", 1, kind="m", round=None, control=False)
    with pytest.raises(ValueError, match="need a size"):
        bench.network.transfer("a", "b", -1, kind="m", round=None, control=False)
    with pytest.raises(ValueError, match="two nodes"):
        bench.network.transfer("a", "a", 1, kind="m", round=None, control=False)
    with pytest.raises(ValueError, match="up=False"):
        bench.network.set_link("a>b", bytes_per_s=0.0)
    with pytest.raises(ValueError, match="outside"):
        bench.network.set_link("a>b", loss=1.0)
    with pytest.raises(ValueError, match="latency"):
        bench.network.set_link("a>b", latency_s=-1.0)


@pytest.mark.parametrize("preset", ["tcp-cubic", "tcp-bbr"])
def test_staggered_flows_under_tcp(preset):
    """r = 1 MB/s · 1448/1502, round trip R = 2 · 10 ms + a frame. x: 10 segments in the round that ends
    at 2R, then r. y, at 2 s + R: its first round wants 0.67 MB/s, more than r/2, so both get r/2. x has
    4 MB − 10 segments − r·(2 s − R) left; when it is done, y holds more than a pipe and has r at once:
    all 8 MB have left at 2R + (8 MB − 10 segments)/r.
    """
    bench = Bench({"a-b": (MB, 0.01)}, preset=preset)
    bench.send("x", "a", "b", 4 * MB)
    bench.send("y", "a", "b", 4 * MB, at=2.0)
    r, one_way = MB * EFFICIENCY, 0.01 + FRAME / MB
    rtt, first = one_way + 0.01, 10 * PACKET
    x_s = 2 + rtt + (4 * MB - first - r * (2 - rtt)) / (r / 2) + one_way
    y_s = 2 * rtt + (8 * MB - first) / r + one_way
    assert times(bench.run()) == pytest.approx({"x": x_s, "y": y_s}, rel=1e-9)


def test_dumbbell_with_a_slow_line_under_tcp():
    """Core 3 MB/s, x over a line of 1 MB/s and bound to it, y gets the other 2, all times 1448/1502.
    10 segments per 22 ms are 0.66 MB/s: x is at its rate after one doubling, at 2R. 10 per 20.7 ms are
    0.70 MB/s: y after two, at 3R, with 30 segments sent. 4 MB each.
    """
    bench = Bench({"s-l": (MB, 0.005), "f-l": (9 * MB, 0.005), "l-r": (3 * MB, 0.005)}, preset="tcp-cubic")
    bench.send("x", "s", "r", 4 * MB)
    bench.send("y", "f", "r", 4 * MB)
    by_hand = {}
    for name, line, rate, doublings in (("x", MB, MB, 1), ("y", 9 * MB, 2 * MB, 2)):
        one_way = 0.01 + FRAME / line + FRAME / (3 * MB)
        sent = 10 * PACKET * (2**doublings - 1)
        sending_s = (4 * MB - sent) / (rate * EFFICIENCY)
        by_hand[name] = (1 + doublings) * (one_way + 0.01) + sending_s + one_way
    assert times(bench.run()) == pytest.approx(by_hand, rel=1e-9)

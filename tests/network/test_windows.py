"""The window tier: queues in closed form, windows as Linux 6.18 moved them on the same links."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.network.window import ACK_SHARE, CONTROLS, timer_lateness_s, wake_s
from simulator.network.windows.bbr import Bbr
from simulator.network.windows.clumps import Clump, clump, highest
from simulator.network.windows.overflow import Arrival, part_sent, victims
from simulator.network.windows.queues import Paths, queueing
from simulator.network.windows.sender import RoundTrip, Sender
from tests.network.test_transport import FRAME, MB, PACKET, Bench, times

CUBIC, RENO = CONTROLS["tcp-cubic"], CONTROLS["tcp-reno"]


def paths(load, rtt_s, capacity, longest_s):
    load = np.array(load, float)
    return Paths(
        load=load,
        delay=(load > 0).astype(float),
        rtt_s=np.array(rtt_s, float),
        capacity=np.array(capacity, float),
        longest_s=np.array(longest_s, float),
    )


def delays(paths, window):
    return queueing(paths, np.array(window, float), np.zeros(len(paths.capacity)))


# -- queues ------------------------------------------------------------


def test_one_window_fills_its_pipe_and_then_the_queue():
    """1 MB/s and 0.1 s hold 0.1 MB: 0.05 MB make no queue, 0.15 MB wait 0.05 s, 0.5 MB 0.2 s of buffer."""
    one = paths([[1]], [0.1], [MB], [0.2])
    assert [float(delays(one, [w * MB])[0]) for w in (0.05, 0.15, 0.5)] == pytest.approx([0.0, 0.05, 0.2])


def test_two_windows_share_by_what_they_have_in_flight():
    """0.2 MB each, 0.1 and 0.3 s of path, 1 MB/s: 0.2/(0.1 + q) + 0.2/(0.3 + q) = 1, or
    0.08 + 0.4·q = 0.03 + 0.4·q + q², q = sqrt(0.05)."""
    two = paths([[1, 1]], [0.1, 0.3], [MB], [1.0])
    assert float(delays(two, [0.2 * MB, 0.2 * MB])[0]) == pytest.approx(0.05**0.5, rel=1e-6)


@given(
    st.lists(
        st.tuples(st.floats(1e3, 1e7), st.floats(1e-3, 0.3), st.integers(1, 7)), min_size=1, max_size=12
    ),
    st.lists(st.tuples(st.floats(1e5, 1e8), st.floats(1e-3, 0.5)), min_size=3, max_size=3),
)
def test_a_queue_stands_only_at_a_full_link(flows, links):
    load = [[(mask >> row) & 1 for _, _, mask in flows] for row in range(3)]
    network = paths(load, [rtt for _, rtt, _ in flows], [c for c, _ in links], [q for _, q in links])
    assert unsettled(network, np.array([w for w, _, _ in flows])) <= 1e-6


@pytest.mark.parametrize("apart", [0.0, 1e-9, 1e-6, 1e-4, 1e-2])
def test_queues_at_nearly_equal_lines_that_are_full_both_ways(apart):
    """Where Newton's method alone is up to 0.8 % off after 60 steps: lines that differ by so little,
    with data and acknowledgements both ways."""
    chance = np.random.default_rng(1)
    for num_lines, num_flows in chance.integers(1, 6, (60, 2)):
        crossed = chance.random((num_lines, 1, num_flows)) < 0.6
        way = chance.integers(0, 2, (num_lines, 1, num_flows)) == np.arange(2)[:, None]
        load = np.where(crossed, np.where(way, 1.0, ACK_SHARE), 0.0).reshape(2 * num_lines, num_flows)
        capacity = MB * (1 + apart * chance.random(2 * num_lines))
        longest_s = chance.choice([0.01, 0.05, 1.0, 5.0], 2 * num_lines)
        network = paths(load, chance.uniform(0.001, 0.2, num_flows), capacity, longest_s)
        assert unsettled(network, np.exp(chance.uniform(7, 15, num_flows))) <= 1e-6


def unsettled(network, window):
    """By how much a link, in shares of its capacity, is fuller than its buffer allows, or emptier
    than its queue."""
    found = delays(network, window)
    assert ((found >= 0) & (found <= network.longest_s)).all()
    excess = network.load @ (window / (network.rtt_s + found @ network.delay)) / network.capacity - 1
    return max(excess[found < network.longest_s].max(initial=0), -excess[found > 0].min(initial=0))


# -- windows ------------------------------------------------------------


def grow(sender, rtt_s, bytes_per_s, rounds, queue_s=0.0):
    for number in range(rounds):
        times_ = RoundTrip(path_s=rtt_s, there_s=queue_s, back_s=0.0)
        sender.round((number + 1) * rtt_s, times_, drain=bytes_per_s, rate=bytes_per_s)
    return sender


@pytest.mark.parametrize(
    ("mbit_per_s", "rtt_s", "linux"),
    [(100, 0.0203, 249), (10, 0.0212, 30), (50, 0.0105, 65), (16, 0.0488, 74)],
)
def test_trains_of_acknowledgements_end_slow_start_where_linux_did(mbit_per_s, rtt_s, linux):
    """Half a round trip and half a millisecond of segments after the last doubling: at 100 Mbit/s,
    160 + 10.65 ms / 0.12 ms = 249 segments."""
    sender = grow(Sender(control=CUBIC), rtt_s, mbit_per_s * 1e6 / 8 * PACKET / FRAME, 8)
    assert sender.threshold == pytest.approx(linux, rel=0.03)


def test_a_queue_ends_slow_start_a_round_trip_late():
    """40 ms and a queue of 6 ms, more than an eighth, from the second round on: seen in the third,
    after eight acknowledgements."""
    sender = grow(Sender(control=CUBIC), 0.04, 1e9, 1)
    grow(sender, 0.04, 1e9, 1, queue_s=0.006)
    assert (sender.cwnd, sender.threshold) == (40, inf)
    grow(sender, 0.04, 1e9, 1, queue_s=0.006)
    assert sender.threshold == 48


def test_reno_has_no_hystart():
    assert grow(Sender(control=RENO), 0.04, 1e6, 5, queue_s=1.0).cwnd == 320


def test_a_shallow_buffer_cuts_what_slow_start_has_become():
    """64 segments of buffer: the burst of 160 overruns them after 80 % of its 80 excess segments. The
    window is 160·1.8 = 288 when that is noticed and 201 afterwards. Linux went from 288 to 201."""
    sender = grow(Sender(control=CUBIC), 0.041, 1e9, 4)
    sender.hit(part_sent(64, 80))
    sender.lose()
    assert (sender.last_max, sender.cwnd) == (288, 201)


def test_cubic_comes_back_to_its_last_maximum():
    """From 201 to 288 segments in cbrt(87/0.4) = 6.0 s; the curve's far side begins there, unless
    Reno's 0.53 segments per round trip are more. Linux was at 288 after 6 s, 328 after 10 s."""
    sender = Sender(control=CUBIC, cwnd=288)
    sender.threshold = 288
    sender.lose()
    grow(sender, 0.0407, 1e9, round(6.0 / 0.0407))
    assert sender.cwnd == pytest.approx(287, abs=2)
    sender.round(10.0, RoundTrip(path_s=0.0407, there_s=0.0, back_s=0.0), drain=1e9, rate=1e9)
    assert sender.cwnd > 290


def test_before_its_first_loss_cubic_grows_by_a_twentieth():
    sender = Sender(control=CUBIC, cwnd=100.0, threshold=100.0)
    assert grow(sender, 0.02, 1e9, 10).cwnd == pytest.approx(100 * 1.05**10, rel=0.01)


def test_a_time_out_leaves_one_segment():
    sender = Sender(control=RENO, cwnd=80.0, threshold=80.0)
    sender.time_out()
    assert (sender.cwnd, sender.threshold, sender.slow) == (1.0, 40.0, True)


def test_bbr_finds_the_pipe_and_keeps_it():
    """100 Mbit/s and 40 ms hold 333 segments, whatever its start-up overshot."""
    bbr, rate = Bbr(phase=2), 100e6 / 8 * PACKET / FRAME
    pipe = rate * 0.04 / PACKET
    highest = 0.0
    for number in range(40):
        got = min(bbr.cwnd * PACKET / 0.04, rate)
        queue_s = max(bbr.cwnd * PACKET / rate - 0.04, 0.0)
        bbr.round(0.04 * number, RoundTrip(path_s=0.04, there_s=queue_s, back_s=0.0), drain=rate, rate=got)
        highest = max(highest, bbr.cwnd)
    assert highest == pytest.approx(2.885 * pipe, rel=0.01)
    assert pipe * 0.99 <= bbr.cwnd <= pipe * 1.26


def arrival(window, luck, *, slow=False, added=1.0):
    return Arrival(window=window, rtt_s=0.1, slow=slow, added=added, luck=luck)


def test_somebody_is_always_hit_and_a_slow_start_nearly_surely():
    assert victims([arrival(10, 9.0), arrival(10, 5.0)]) == [1]
    many = arrival(100, 3.0, slow=True, added=100)
    assert victims([many, arrival(100, 30.0), arrival(100, 40.0)]) == [0]


def test_who_grows_fast_is_hit_with_all_others():
    """Four windows of 150 before their first loss add 7.5 segments each: 30 too many, 7.5 for each, and
    the chance of none is exp(-7.5). On Linux four such flows lost 12, 7, 5 and 9 segments. Adding one
    each, a flow with luck of more than 1 goes free."""
    lucks = (7.4, 1.1, 0.9, 3.0)
    assert victims([arrival(150, luck, added=7.5) for luck in lucks]) == [0, 1, 2, 3]
    assert victims([arrival(150, luck) for luck in lucks]) == [2]


def test_what_a_window_adds():
    sender = Sender(control=CUBIC, cwnd=100.0, threshold=100.0)
    assert grow(sender, 0.02, 1e9, 1).added == pytest.approx(5.0)
    sender.lose()
    assert sender.added == 0.0
    assert Sender(control=CUBIC, cwnd=20.0).added == 20.0


# -- clumps ------------------------------------------------------------

DOWN, UP = 50e6 / 8 * PACKET / FRAME, 5e6 / 8 * PACKET / FRAME


def test_a_window_clumps_as_it_did_on_linux():
    """50 Mbit/s down, 5 up, 60 ms, acknowledgements behind 0.13 s of upload: they come for
    5/0.018 = 278 Mbit/s at most, so that 82 % of a window could stand in the queue. After 25 round trips
    5 % of 0.19 s, 9.5 ms, are between. A window of 282 segments takes 67.8 ms to leave: 46 ms of it
    stand. Linux, at that window: 47 ms, then 50 ms of buffer were full and it lost."""
    found = clump(
        window=282 * PACKET, rtt_s=0.19, back_s=0.13, rounds=25, capacity=DOWN, fastest=UP / ACK_SHARE
    )
    by_hand = 282 * PACKET * (1 - DOWN * ACK_SHARE / UP) - 25 / 500 * 0.19 * DOWN
    assert found.nbytes == pytest.approx(by_hand)
    assert found.nbytes / DOWN == pytest.approx(0.046, abs=0.0005)
    assert found.part == pytest.approx(0.0678 / 0.19, rel=0.001)


def test_no_more_clumps_than_acknowledgements_wait_together():
    some = {"window": 1e6, "rtt_s": 0.1, "rounds": 0, "capacity": MB}
    assert clump(**some, back_s=0.02, fastest=4 * MB).nbytes == pytest.approx(0.75 * 0.02 * MB)
    assert clump(**some, back_s=0.02, fastest=0.5 * MB).nbytes == 0.0
    assert clump(**{**some, "window": 1e4, "rounds": 100}, back_s=0.02, fastest=4 * MB).nbytes == 0.0


def test_clumps_of_several_flows_meet_by_chance():
    """Each takes a quarter of a round trip: half the time another one is met."""
    one = Clump(nbytes=100.0, part=0.25)
    assert highest([]) == 0.0
    assert highest([one]) == 100.0
    assert highest([one, one, one]) == 200.0
    assert highest([one, Clump(nbytes=10.0, part=0.9)]) == 110.0


# -- time-outs ------------------------------------------------------------


def test_time_outs_wait_for_the_probe_and_for_the_wheel():
    """Linux, 24.8 ms of round trip: time-outs of 0.225 s, then 0.45 + 16 ms on average, and so on."""
    assert [timer_lateness_s(wait) for wait in (0.2, 0.45, 2.1)] == pytest.approx([0.0, 0.016, 0.128])
    at_s = wake_s(0.0, 1.0, 0.225, probe_s=0.05)
    assert at_s == pytest.approx(0.05 + 0.225 + 0.45 + 0.016 + 0.9 + 0.016)


# -- the tier ------------------------------------------------------------


def test_slow_start_in_closed_form():
    """As under the share tier: R·(1 + 4) + (10 MB − 15·10 segments)/r + d, since the first round that
    overfills the pipe is as good as any later one."""
    bench = Bench({"a-b": (1.25 * MB, 0.05)}, preset="tcp-cubic", tier="window")
    bench.send("x", "a", "b", 10 * MB)
    share, one_way = 1.25 * MB * PACKET / FRAME, 0.05 + FRAME / (1.25 * MB)
    by_hand = (one_way + 0.05) * 5 + (10 * MB - 10 * PACKET * 15) / share + one_way
    assert times(bench.run()) == pytest.approx({"x": by_hand}, rel=0.002)


def test_equal_flows_fill_the_link_and_differ_by_chance():
    """Four times 5 MB over 1.25 MB/s: at least 16.6 s for all, and not the same for each."""
    bench = Bench({"a-b": (1.25 * MB, 0.02)}, preset="tcp-cubic", tier="window")
    for name in "wxyz":
        bench.send(name, "a", "b", 5 * MB)
    ends = sorted(times(bench.run()).values())
    assert 20 * MB / (1.25 * MB * PACKET / FRAME) < ends[-1] < 17.5
    assert ends[0] < 0.98 * ends[-1]


def test_nothing_is_remembered_of_flows_that_are_over():
    bench = Bench({"a-b": (1e6, 0.01)}, preset="tcp-cubic", tier="window", loss=0.01, stall_timeout="5 s")
    for number in range(6):
        bench.send(str(number), "a", "b", 2_000_000, at=number / 2)
    bench.at(3.0, lambda _: bench.network.set_link("a>b", latency_s=0.002))
    bench.at(4.0, lambda _: bench.network.set_node("b", False))
    bench.env.run(60.0)
    windows = bench.network._carrier._congestion
    assert (windows._senders, windows._left, windows._ways, windows._groups) == ({}, {}, {}, {})


def test_bbr_flows_share_alike():
    bench = Bench({"a-b": (1.25 * MB, 0.02)}, preset="tcp-bbr", tier="window")
    for name in "xy":
        bench.send(name, "a", "b", 5 * MB)
    ends = sorted(times(bench.run()).values())
    assert 10 * MB / (1.25 * MB * PACKET / FRAME) < ends[1] < 8.9
    assert ends[0] > 0.9 * ends[1]

"""Options of the transport: several connections, headers, patience, tunnels, doubled and late messages."""

from itertools import pairwise

import pytest

from simulator.network.topology import FRAME_NBYTES, SEGMENT_NBYTES
from simulator.network.window import TUNNEL_SHARE
from tests.network.test_transport import MB, Bench, times


def test_connections_share_the_bytes():
    """8 MB over four connections of 2 MB at 1 MB/s: 8 s; the last of the four completes the transfer."""
    bench = Bench({"a-b": (MB, 0.0)}, connections=4)
    bench.send("x", "a", "b", 8 * MB)
    rows = bench.run() and bench.rows()
    assert bench.ends["x"] == (pytest.approx(8.0), None)
    assert [(row["attempt"], row["nbytes"], row["reason"]) for row in rows] == [
        *((n, 2 * MB, "one of several connections") for n in (1, 2, 3)),
        (4, 2 * MB, ""),
    ]


def test_connections_pass_a_window_together():
    """64 KiB per 100 ms are 0.65 MB/s each; three carry 12 MB in about 6.1 s, one in 18.3 s."""
    seconds = []
    for connections in (1, 3):
        bench = Bench({"a-b": (125 * MB, 0.05)}, preset="tcp-cubic", window="64 KiB", connections=connections)
        bench.send("x", "a", "b", 12 * MB)
        seconds.append(bench.run()["x"][0])
    assert seconds[0] / seconds[1] == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize(("restart", "end", "wasted"), [("zero", 78.0, 3 * MB), ("offset", 75.0, 0)])
def test_connections_fail_together(restart, end, wasted):
    """10 MB at 1 MB/s, cut from 3 s to 65 s, patience 60 s, pause 5 s: as with one connection, again
    at 68 s, from zero or with the 3 MB kept."""
    bench = Bench({"a-b": (MB, 0.0)}, retries=1, restart=restart, connections=3)
    bench.send("x", "a", "b", 10 * MB)
    bench.at(3.0, lambda _: bench.network.set_link("a>b", up=False))
    bench.at(65.0, lambda _: bench.network.set_link("a>b", up=True))
    assert bench.run() == {"x": (pytest.approx(end, abs=1e-5), None)}
    assert bench.ledger.totals()["failed"] == pytest.approx(wasted, abs=3)


def test_a_reset_ends_all_connections_once():
    """At 3 s, with one attempt and none after it: 3 MB of 10 are lost, in three rows."""
    bench = Bench({"a-b": (MB, 0.0)}, connections=3)
    bench.send("x", "a", "b", 10 * MB)
    bench.at(3.0, lambda _: bench.network.reset_link("a>b", "connection reset"))
    assert bench.run() == {"x": (3.0, "connection reset")}
    assert [row["reason"] for row in bench.rows()] == ["connection reset"] * 3
    assert bench.ledger.totals()["failed"] == pytest.approx(3 * MB, abs=3)


def test_fewer_bytes_than_connections():
    bench = Bench({"a-b": (MB, 0.5)}, connections=8)
    bench.send("x", "a", "b", 3)
    bench.send("y", "a", "b", 0)
    assert times(bench.run()) == pytest.approx({"x": 0.5, "y": 0.5}, abs=1e-4)
    assert [row["nbytes"] for row in bench.rows()] == [1, 1, 1, 0]


def test_headers_take_time_and_are_no_payload():
    """10 kB of headers and 90 kB of payload at 1 MB/s: 0.1 s; cut short at 15 ms, 5 kB of payload and
    all headers have left; a message of 256 B waits for its 10 kB."""
    bench = Bench({"a-b": (MB, 0.0)}, headers="10 kB")
    bench.send("x", "a", "b", 90_000)
    bench.send("m", "a", "b", 256, at=1.0, control=True)
    bench.send("y", "a", "b", 90_000, at=2.0)
    bench.at(2.015, lambda _: bench.network.drop_node("b"))
    ends = times(bench.run())
    assert ends == pytest.approx({"x": 0.1, "m": 1.010256, "y": 2.015})
    assert bench.ledger.totals()["failed"] == pytest.approx(5000, abs=1)
    assert {row[-2] for row in bench.ledger.rows("links") if row[0] == "a>b"} == {30_000}


def test_tcp_gives_up_by_itself():
    """Cut at 3 s; TCP gives up after 20 s, before the application loses patience after 60 s."""
    bench = Bench({"a-b": (MB, 0.0)}, give_up="20 s")
    bench.send("x", "a", "b", 10 * MB)
    bench.at(3.0, lambda _: bench.network.set_link("a>b", up=False))
    assert bench.run() == {"x": (pytest.approx(23.0), "connection given up")}


def test_a_tunnel_over_tcp():
    """Of 1426 bytes inside the tunnel 1374 are payload, of 1452 of its stream; a long transfer takes
    1452/1374 times as long as CUBIC alone. After an outage the window goes a second time: later still."""
    assert TUNNEL_SHARE == 1374 / 1452
    seconds = {}
    for preset in ("tcp-cubic", "vpn-over-tcp"):
        for cut in (False, True):
            bench = Bench({"a-b": (12.5 * MB, 0.02)}, preset=preset)
            bench.send("x", "a", "b", 400 * MB)
            if cut:
                bench.at(2.0, lambda _, bench=bench: bench.network.set_link("a>b", up=False))
                bench.at(12.0, lambda _, bench=bench: bench.network.set_link("a>b", up=True))
            seconds[preset, cut] = bench.run()["x"][0]
            assert bench.ledger.totals() == {"delivered": 400 * MB, "failed": 0, "in_flight": 0}
    plain = 400 * MB / (12.5 * MB * SEGMENT_NBYTES / FRAME_NBYTES)
    assert seconds["vpn-over-tcp", False] - seconds["tcp-cubic", False] == pytest.approx(
        plain * (1452 / 1374 - 1), rel=0.03
    )
    lost = {
        preset: seconds[preset, True] - seconds[preset, False] for preset in ("tcp-cubic", "vpn-over-tcp")
    }
    assert lost["vpn-over-tcp"] > lost["tcp-cubic"] + 0.02


@pytest.mark.parametrize("deliver", [False, True])
def test_doubled_messages_are_dropped_and_counted(deliver):
    bench = Bench({"a-b": (MB, 0.01)}, message_duplication=1.0, deliver_duplicates=deliver)
    bench.send("x", "a", "b", 100, control=True)
    assert bench.run()["x"][1] is None
    assert [(row["status"], row["reason"]) for row in bench.rows()] == [
        ("delivered", ""),
        ("delivered", "") if deliver else ("failed", "duplicate dropped"),
    ]
    wasted = 0 if deliver else 100
    assert bench.ledger.totals() == {"delivered": 200 - wasted, "failed": wasted, "in_flight": 0}


def test_messages_overtake_one_another_only_if_told_to():
    """100 messages, a millisecond apart, over 40 ms: in order; with half of them held up by 80 ms on
    average, many are not."""
    for probability, fewest, most in ((0.0, 0, 0), (0.5, 20, 99)):
        bench = Bench({"a-b": (MB, 0.04)}, message_reordering=probability)
        for number in range(100):
            bench.send(f"{number:02}", "a", "b", 1, at=number / 1000, control=True)
        order = sorted(times(bench.run()).items(), key=lambda end: end[1])
        late = sum(int(one) > int(other) for (one, _), (other, _) in pairwise(order))
        assert fewest <= late <= most

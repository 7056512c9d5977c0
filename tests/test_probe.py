"""A scenario's network asked for routes and times, under its faults."""

import pytest

from simulator.probe import Probe
from tests.support import run, study

OPTIONS = "algorithm: {name: gossip-averaging, epochs: 4}\n"
MB = 1_000_000


def probe(tmp_path, faults="", at_s=0.0, *overrides):
    text = OPTIONS + (f"faults: [{faults}]\n" if faults else "")
    return Probe(study(tmp_path, text, *overrides).points[0].scenario, at_s)


def test_ping_walks_the_route(tmp_path):
    echo = probe(tmp_path, "", 0.0, "sites.c.link.latency=20 ms").ping("c", "a")
    assert [(hop.link, hop.bytes_per_s, hop.is_up) for hop in echo.hops] == [
        ("c.up", 0.5 * MB, True),
        ("a.down", MB, True),
    ]
    assert (echo.bottleneck, echo.bytes_per_s, echo.obstacle) == ("c.up", 0.5 * MB, "")
    assert echo.rtt_s == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("at_s", "obstacle"), [(9.9, ""), (10, "link c.up is down"), (19.9, "link c.up is down"), (20, "")]
)
def test_faults_are_those_of_the_instant(tmp_path, at_s, obstacle):
    assert probe(tmp_path, "{at: 10 s, for: 10 s, disconnect: c}", at_s).ping("c", "a").obstacle == obstacle


def test_who_is_not_there_does_not_answer(tmp_path):
    network = probe(tmp_path, "{at: 1 h, join: b}, {at: 2 s, crash: c}", 5.0)
    assert network.ping("a", "b").obstacle == "b is not there"
    assert network.ping("c", "a").obstacle == "c has crashed"
    (failed,) = network.transfer([("c", "a")], MB)
    assert (failed.reason, failed.bytes_per_s, failed.wire_nbytes) == ("peer crashed", 0.0, 0)


def test_transfers_at_once_share(tmp_path):
    """a and b send 10 MB into the server's 1 MB/s: 20 s. c is alone on another line."""
    found = probe(tmp_path).transfer([("a", "server"), ("b", "server"), ("c", "a")], 10 * MB)
    assert [one.duration_s for one in found] == pytest.approx([20, 20, 20])
    assert [one.bytes_per_s for one in found] == pytest.approx([0.5 * MB] * 3)


def test_faults_go_on_during_a_transfer(tmp_path):
    """10 MB at 1 MB/s, cut from 4 to 9 s of it; the ideal transport goes on at once."""
    (found,) = probe(tmp_path, "{at: 104 s, for: 5 s, disconnect: a}", 100.0).transfer([("a", "b")], 10 * MB)
    assert (found.start_s, found.duration_s, found.reason) == (100.0, pytest.approx(15), "")


def test_every_question_is_asked_of_the_same_instant(tmp_path):
    """Each 10 s transfer alone ends before the cut at 12 s, also the third, after 20 s of others; one of
    20 s is cut for 60 s whether it comes first or last."""
    fault = "{at: 12 s, for: 60 s, disconnect: [a, b, c]}"
    network = probe(tmp_path, fault, 0.0, "network.transport.stall_timeout=2 min")
    pairs = [("a", "b"), ("b", "a"), ("a", "server"), ("c", "a"), ("b", "server")]
    found = [network.transfer([pair], 10 * MB)[0].duration_s for pair in pairs]
    assert found == pytest.approx([10, 10, 10, 80, 10])


def test_conditions_are_those_of_the_instant_for_every_question(tmp_path):
    """Lines are slow from 12 s on; each 10 s transfer alone knows nothing of it."""
    slow = '{site: [a, b], trace: {csv: "time (s),bandwidth (Mbit/s)\\n0,8\\n12,1", at_end: hold}}'
    network = probe(tmp_path, "", 0.0, f"network.conditions=[{slow}]")
    found = [network.transfer([pair], 10 * MB)[0].duration_s for pair in [("a", "b"), ("b", "a")] * 2]
    assert found == pytest.approx([10] * 4)


def test_queues_of_one_question_are_gone_before_the_next(tmp_path):
    """Acknowledgements of b's transfer would wait in the queue that a's left in the line of a."""
    tcp = ["network.transport.preset=tcp-cubic", "sites.a.link.down=80 Mbit/s", "sites.b.link.down=80 Mbit/s"]
    tcp += [f"sites.{name}.link.latency=5 ms" for name in "ab"]
    alone = [probe(tmp_path, "", 0.0, *tcp).transfer([pair], MB)[0] for pair in [("a", "b"), ("b", "a")]]
    network = probe(tmp_path, "", 0.0, *tcp)
    asked = [network.transfer([pair], MB)[0] for pair in [("a", "b"), ("b", "a")]]
    assert [one.duration_s for one in asked] == pytest.approx([one.duration_s for one in alone], rel=1e-9)


def test_retries_and_the_wire(tmp_path):
    """1 MB/s, 60 s of patience: cut at 4 s for 70, given up at 64, again from zero at 69 + 5 s of
    outage: 84 s; 14 MB moved."""
    overrides = "network.transport.backoff=5 s"
    (found,) = probe(tmp_path, "{at: 4 s, for: 70 s, disconnect: a}", 0.0, overrides).transfer(
        [("a", "b")], 10 * MB
    )
    assert (found.retries, found.wire_nbytes) == (1, 14 * MB)
    assert found.duration_s == pytest.approx(84)


def test_connections_are_no_retries_and_their_headers_count(tmp_path):
    """Four connections of one try, cut and tried again: one retry, and eight headers of 1000 B."""
    options = ("network.transport.connections=4", "network.transport.headers=1000 B")
    (found,) = probe(tmp_path, "", 0.0, *options).transfer([("a", "b")], MB)
    assert (found.retries, found.wire_nbytes) == (0, MB + 4000)
    fault = "{at: 0.5 s, for: 61 s, disconnect: a}"
    (found,) = probe(tmp_path, fault, 0.0, *options).transfer([("a", "b")], MB)
    assert (found.retries, found.reason) == (1, "")


def test_an_idle_link_is_brought_up_to_date_by_a_ping(tmp_path):
    """A tenth of 1 MB/s from 8 to 9 h; nobody has used the line since the run began."""
    condition = 'network.conditions=[{site: a, direction: up, daily: {"08:00-09:00": 0.1}}]'
    rates = [probe(tmp_path, "", at_s, condition).ping("a", "b").bytes_per_s for at_s in (0, 8.5 * 3600)]
    assert rates == [MB, 0.1 * MB]


def test_headers_count_on_the_wire(tmp_path):
    (found,) = probe(tmp_path, "", 0.0, "network.transport.preset=tcp-cubic").transfer(
        [("a", "b")], 1_448_000
    )
    assert found.wire_nbytes == 1_502_000


def test_a_scenario_under_simgrids_model(tmp_path):
    """Two sites with 10 ms of latency, LV08: 13.01 · 20 ms and 10/0.97 s; a run of it keeps its books."""
    options = ("sites.a.link.latency=10 ms", "sites.b.link.latency=10 ms")
    tier = ("network.transport.tier=simgrid", "network.transport.preset=tcp-cubic")
    (found,) = probe(tmp_path, "", 0.0, *options, *tier).transfer([("a", "b")], 10 * MB)
    assert found.duration_s == pytest.approx(13.01 * 0.02 + 10 / 0.97, rel=1e-9)
    assert found.wire_nbytes == round(10 * MB / 0.97)
    result = run(tmp_path, OPTIONS + "faults: [{at: 20 s, for: 30 s, crash: b}]\n", *tier)
    assert result.ledger.totals()["delivered"] > 0
    assert result.end_reason == "all protocols ended"

"""Who is there at the start, and faults of one node that overlap."""

from itertools import pairwise

import pytest

from simulator.api import TransferFailed
from simulator.scenario.schema import Fault
from simulator.sites.faults import absent_at_start
from tests.support import run, scripted

AT_20 = "uniform(20 s, 20 s)"  # constant times that overlap are refused, drawn ones may


@pytest.fixture
def ticks(monkeypatch, tmp_path):
    """Let site a tick every 10 s up to 200 s under faults; return (simulation, times of the ticks)."""

    def play(faults):
        seen = []

        def site(node, cfg):
            while node.name == "a" and node.now < 200:
                seen.append(node.now)
                yield node.sleep(10)
            yield node.sleep(max(0.0, 200 - node.now))

        with scripted(monkeypatch, site):
            return run(tmp_path, f"algorithm: {{name: scripted}}\nfaults: {faults}\n"), seen

    return play


def gaps(seen):
    return [(a, b) for a, b in pairwise(seen) if b - a > 10]


@pytest.mark.parametrize(
    ("lines", "absent"),
    [
        ([{"at": "10 s", "join": "a"}, {"at": "20 s", "leave": "a"}], {"a"}),
        ([{"at": "20 s", "join": "a"}, {"at": "10 s", "leave": "a"}], set()),
        ([{"at": "10 s", "crash": "a"}, {"at": "20 s", "join": "a"}], {"a"}),
        ([{"from": "10 s", "to": "15 s", "leave": ["a", "b"]}, {"at": "9 s", "join": "b"}], {"b"}),
        ([{"at": "exp(1 h)", "join": "a"}, {"at": "exp(1 h)", "leave": "b"}], {"a"}),
    ],
)
def test_the_earliest_join_or_leave_says_who_is_absent(lines, absent):
    faults = [Fault(**line) for line in lines]
    assert absent_at_start(faults, {}) == absent
    assert absent_at_start(faults[::-1], {}) == absent


@pytest.mark.parametrize("verb", ["crash", "leave"])
@pytest.mark.parametrize("swap", [False, True])
def test_a_short_outage_inside_a_long_one_does_not_end_it(ticks, verb, swap):
    lines = [f"{{from: 11 s, to: 150 s, {verb}: a}}", f"{{at: '{AT_20}', for: 10 s, {verb}: a}}"]
    result, seen = ticks(f"[{', '.join(lines[::-1] if swap else lines)}]")
    assert gaps(seen) == [(10.0, 150.0)]
    assert result.world.trace.outages == [("a", verb, 11.0, 150.0)]
    assert f"a {verb} goes on" in [row[6] for row in result.world.trace.faults]


def test_a_node_stays_down_while_a_crash_or_a_leave_lasts(ticks):
    _, seen = ticks("[{from: 11 s, to: 150 s, crash: a}, {from: 20 s, to: 30 s, leave: a}]")
    assert gaps(seen) == [(10.0, 150.0)]


def test_a_line_of_its_own_ends_all_crashes(ticks):
    crashes = f"{{at: 11 s, for: 139 s, crash: a}}, {{at: '{AT_20}', crash: a}}, {{at: 65 s, crash: a}}"
    result, seen = ticks(f"[{crashes}, {{at: 50 s, recover: a}}]")
    assert gaps(seen) == [(10.0, 50.0)]
    assert max(seen) == 60.0, "the end of the first crash does not end the third"
    assert result.world.trace.outages == [("a", "crash", 11.0, 50.0), ("a", "crash", 65.0, 200.0)]


def test_the_end_of_a_crash_brings_nobody_who_has_not_joined(ticks):
    _, seen = ticks("[{at: 'uniform(5 s, 6 s)', for: 5 s, crash: a}, {at: 100 s, join: a}]")
    assert min(seen) == 100.0


def test_overlapping_disconnections_last_until_the_last_ends(monkeypatch, tmp_path):
    delivered = []

    def site(node, cfg):
        while node.name == "a" and node.now < 200:
            try:
                yield node.send("b", "note")
                delivered.append(node.now)
            except TransferFailed:
                pass
            yield node.sleep(10)
        yield node.sleep(max(0.0, 200 - node.now))

    faults = f"[{{from: 15 s, to: 105 s, disconnect: b}}, {{at: '{AT_20}', for: 10 s, disconnect: b}}]"
    with scripted(monkeypatch, site):
        result = run(tmp_path, f"algorithm: {{name: scripted}}\nfaults: {faults}\n")
    assert not [time for time in delivered if 15 < time < 105]
    assert delivered[-1] > 105
    assert result.world.trace.outages == [("b", "disconnect", 15.0, 105.0)]

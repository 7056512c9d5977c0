"""Conditions in whole runs: outages and events in the trace, what never fires is told."""

from itertools import permutations

import pytest

from simulator.api import TransferFailed
from simulator.errors import ScenarioError
from tests.support import SITES, run, scripted


def conditions(text):
    return f"network.conditions=[{text}]"


def test_an_outage_is_recorded_once_for_both_directions(tmp_path):
    line = "{site: [a, b], maintenance: {daily: ['00:00-00:01']}, starts_at: '23:59'}"
    result = run(tmp_path, "algorithm: {name: local, rounds: 3}\n", conditions(line))
    end = result.virtual_time_s
    assert result.world.trace.outages == [("a", "maintenance", 60.0, end), ("b", "maintenance", 60.0, end)]
    assert [row[2:4] for row in result.world.trace.events if row[3] == "maintenance"] == [
        ("a", "maintenance"),
        ("b", "maintenance"),
    ]
    assert [row[3:6] for row in result.world.trace.conditions] == [
        (f"{site}.{way}", 60.0, "fired") for site in "ab" for way in ("up", "down")
    ]
    assert not result.warnings


def test_a_line_that_never_takes_effect_is_told(tmp_path):
    rekey = "{site: a, rekey: {every: 1 d, down: 1 s, connections: stall}}"
    lines = f"{rekey}, {{site: server, maintenance: {{from: 0 s, to: 1 s}}}}"
    result = run(tmp_path, "algorithm: {name: local, rounds: 1}\n", conditions(lines))
    (warning,) = result.warnings
    assert warning.startswith(
        "condition {site: a, rekey: {every: 1 d, down: 1 s, connections: stall}} never fired"
    )
    assert [row[5] for row in result.world.trace.conditions] == ["never fired"] * 2 + ["not applicable"]


def test_a_link_that_does_not_exist_is_told(tmp_path):
    line = "{link: backbon, maintenance: {from: 0 s, to: 1 s}}"
    with pytest.raises(
        ScenarioError, match=r'network.conditions.0.link: no link "backbon"; did you mean backbone'
    ):
        run(tmp_path, "algorithm: {name: local, rounds: 1}\n", conditions(line),
            "network.backbone.bandwidth=1 Gbit/s")  # fmt: skip


def test_the_line_of_a_server_that_the_method_has_not_is_no_slip(tmp_path):
    line = "{link: server.up, maintenance: {from: 0 s, to: 1 s}}"
    slow = "{at: 0 s, for: 1 s, set: {link: server.down, bandwidth: 1 Mbit/s}}"
    result = run(tmp_path, "algorithm: {name: local, rounds: 1}\n", conditions(line), f"faults=[{slow}]")
    ((*_, link, _, status, reason),) = result.world.trace.conditions
    assert (link, status, reason) == ("server.up", "not applicable", "server.up takes no part")
    ((*_, status, reason),) = result.world.trace.faults
    assert (status, reason) == ("not applicable", "this algorithm has no server.down")


def test_a_partition_parts_groups_and_nobody_within(monkeypatch, tmp_path):
    """a and b are one group, c and the server the other, from 15 s to 55 s, on a star of access lines."""
    heard, failed = [], []

    def site(node, cfg):
        while node.now < 100:
            for peer in node.peers:
                try:
                    yield node.send(peer, "note")
                    heard.append((node.now, node.name, peer))
                except TransferFailed as failure:
                    failed.append((node.now, failure.reason))
            yield node.sleep(10)

    faults = '[{from: 15 s, to: 55 s, partition: "tag:west; c"}]'
    sites = SITES.replace(
        "seconds_per_item: 1 s\n    link: {up: 8", "tags: [west]\n    seconds_per_item: 1 s\n    link: {up: 8"
    )
    sites = sites.replace("seconds_per_item: 2 s", "tags: [west]\n    seconds_per_item: 2 s")
    with scripted(monkeypatch, site):
        result = run(tmp_path, f"algorithm: {{name: scripted}}\nfaults: {faults}\n", sites=sites)
    assert {(src, dst) for time, src, dst in heard if 16 < time < 55} == {("a", "b"), ("b", "a")}
    assert {(src, dst) for time, src, dst in heard if time > 60} == set(permutations("abc", 2))
    assert failed
    assert all(15 <= time <= 56 and reason == "partitioned" for time, reason in failed)
    assert result.world.trace.outages == [("a b; c", "partition", 15.0, 55.0)]


def test_a_flap_is_many_disconnections_within_its_window(tmp_path):
    """Down 2 s, up 3 s by turns from 10 s to 21 s: 10-12, 15-17, 20-21."""
    faults = "[{from: 10 s, to: 21 s, flap: a, down: 2 s, up: 3 s}]"
    result = run(tmp_path, f"algorithm: {{name: local, rounds: 4}}\nfaults: {faults}\n")
    spans = [(10.0, 12.0), (15.0, 17.0), (20.0, 21.0)]
    assert result.world.trace.outages == [("a", "disconnect", *span) for span in spans]


def test_a_run_with_endless_conditions_ends(tmp_path):
    lines = (
        "{site: [a, b, c], rekey: {every: 10 s, down: 1 s, connections: reset}}, "
        "{site: a, background: {rate: 1 Mbit/s, floor: 1 Mbit/s, on: 1 s, off: 1 s}}"
    )
    faults = "[{at: 1 s, flap: b, down: 1 s, up: 9 s}]"
    result = run(tmp_path, f"algorithm: {{name: gcml, rounds: 5}}\nfaults: {faults}\n", conditions(lines))
    assert result.end_reason == "all protocols ended"

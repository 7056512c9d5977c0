"""Scoring: kinds of cases, spreads, what cannot be scored, and means where chance decides."""

import copy
from math import inf

import pytest

from simulator.network.scores import (
    by_column,
    by_tier,
    kind_of,
    obstacle,
    parts,
    score,
    spread,
    summarize,
    uncertainty,
)
from tests.network.test_cases import CASE


def changed(**changes):
    return copy.deepcopy(CASE) | changes


def lossy(loss=0.01):
    case = changed(flows=copy.deepcopy(CASE["flows"][:1]))
    case["topology"]["links"][0].update(loss=loss, latency=0.1)
    return case


def event(kind):
    return {"t": 1.0, "kind": kind, "link": "l"}


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        (CASE, "several"),
        (changed(flows=CASE["flows"][:1]), "single"),
        (lossy(), "loss"),
        (lossy() | {"events": [event("down"), event("up")]}, "outage"),
        (changed(events=[event("delay") | {"latency": 0.1}]), "trace"),
    ],
)
def test_kinds(case, kind):
    assert kind_of(case) == kind


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([0.1], (0.1, 0.1, 0.1)),
        ([0.3, 0.1], (0.2, 0.28, 0.3)),
        ([n / 100 for n in range(11)], (0.05, 0.09, 0.1)),
        ([0.1, 0.1, inf], (0.1, inf, inf)),
    ],
)
def test_spread(errors, expected):
    """The 90th percentile of 2 lies nine tenths of the way from one to the other."""
    found = spread(errors)
    assert (found.median, found.p90, found.max) == pytest.approx(expected)


def test_a_system_against_another():
    """Flows 4 and 4.4 s against 5 and 4: by rank 4/4 and 4.4/5; mean 8.4/9; makespan 4.4/5."""
    case = changed(reference={"linux": [5.0, 4.0, -1.0], "ns3": [4.0, 4.4, -1.0]})
    found = score(case, by_column("ns3"), "linux")
    assert found.flows == ((0, 4.4, 5.0), (1, 4.0, 4.0))
    assert found.errors.flows == pytest.approx((0.12, 0.0))
    assert (found.errors.mean, found.errors.makespan) == pytest.approx((1 - 8.4 / 9, 0.12))
    assert summarize([found])["mean"] == spread([found.errors.mean])
    assert list(parts([found])) == [("group", "shared"), ("kind", "several"), ("all", "all")]


def test_what_cannot_be_scored():
    dead = changed(reference={"linux": [4.0, -1.0, -1.0], "simgrid": [1.0, 1.0, 1.0]})
    assert obstacle(CASE, [], "linux") == ""
    assert obstacle(CASE, ["ns3"], "linux") == "it has no column ns3"
    assert obstacle(dead, [], "linux") == "linux has no time for its flow 1"
    eventful = dead | {"events": [event("down")]}
    assert obstacle(eventful, [], "simgrid") == "simgrid is a reference for cases without events only"
    assert obstacle(dead, [], "simgrid") == ""


def test_where_chance_decides_times_are_means_over_seeds():
    one, five = (by_tier("share", seeds=seeds)(lossy()) for seeds in (1, 5))
    assert one != five
    assert by_tier("share", seeds=1)(CASE) == by_tier("share", seeds=5)(CASE)


def test_there_are_runs_until_their_mean_is_known():
    """Of two runs 4 ± 1 s the mean is known to 1/4 by √2 · 1/√2; of many it is known better."""
    runs = [[3.0, 3.0], [5.0, 5.0]]
    assert uncertainty(CASE, runs) == pytest.approx(0.25)
    assert uncertainty(CASE, runs * 4) < 0.1
    assert uncertainty(CASE, [[3.0, inf], [5.0, 5.0]]) == inf
    assert by_tier("share")(lossy()) not in [by_tier("share", seeds=seeds)(lossy()) for seeds in (1, 5)]


def test_a_flow_that_never_ends_is_infinitely_wrong():
    cut = changed(events=[event("down")])
    assert score(cut, by_tier("share", seeds=1), "linux").errors.makespan == inf

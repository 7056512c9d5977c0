"""Reference cases: their reader, the scoring, and how far from Linux's TCP both tiers are."""

from pathlib import Path
from statistics import mean, median, quantiles

import pytest

from simulator.network.cases import compare, interchangeable, predict, read, scored

FILE = Path(__file__).parents[2] / "../shared/network/cases.json"
EVENTFUL = {"loss", "fail", "trace", "jitter"}

CASE = {
    "id": "two",
    "group": "shared",
    "topology": {
        "nodes": ["a", "b"],
        "links": [
            {"id": "l", "src": "a", "dst": "b", "bandwidth": 8e6, "bandwidth_rev": 8e6,
             "latency": 0.01, "loss": 0.0, "queue": 96128, "queue_rev": 96128}
        ],
    },
    "flows": [
        {"src": "a", "dst": "b", "bytes": 1_000_000, "start": 0.0, "kind": "tcp", "route": ["l"]},
        {"src": "a", "dst": "b", "bytes": 1_000_000, "start": 0.0, "kind": "tcp", "route": ["l"]},
        {"src": "a", "dst": "b", "bytes": 9, "start": 0, "kind": "udp", "rate": 4e6, "route": ["l"]},
    ],
    "events": [],
    "tcp": {"cc": "cubic", "wmax": 4194304},
    "reference": {"linux": [4.4, 4.0, -1.0]},
}  # fmt: skip


def test_background_is_taken_off_and_not_scored():
    """Half of 1 MB/s is left for 2 MB: 4 s by 1502/1448, and the start."""
    assert predict(CASE) == pytest.approx([4.2, 4.2], abs=0.05)


def test_interchangeable_flows_are_matched_by_rank():
    errors = compare(CASE, [4.4, 4.0], "linux")
    assert (max(errors.flows), errors.mean, errors.makespan) == pytest.approx((0, 0, 0))
    errors = compare(CASE, [4.0, 4.4 * 1.1], "linux")
    assert sorted(errors.flows) == pytest.approx([0, 0.1])
    assert errors.makespan == pytest.approx(0.1)


@pytest.fixture(scope="module")
def cases():
    if not FILE.exists():
        pytest.skip("reference cases are not beside the repository")
    return read(FILE)


def summary(errors):
    return median(errors), quantiles(errors, n=10, method="inclusive")[-1]


TIERS = pytest.mark.parametrize("tier", ["share", "window"])
SEEDS = range(1, 9)


def scores(chosen, tier):
    """Errors of the mean over seeds, of ranks among flows that are interchangeable."""
    found = []
    for case in chosen:
        runs = [predict(case, seed=seed, tier=tier) for seed in SEEDS if seed == 1 or is_random(case, tier)]
        found.append(compare(case, rank_means(case, runs), "linux"))
    return found


def is_random(case, tier):
    several = len(scored(case)) > 1
    return (several and tier == "window") or any(link["loss"] for link in case["topology"]["links"])


def rank_means(case, runs):
    means, place_of = [0.0] * len(runs[0]), {flow: place for place, flow in enumerate(scored(case))}
    for flows in interchangeable(case):
        places = [place_of[flow] for flow in flows]
        ranked = [sorted(run[place] for place in places) for run in runs]
        for rank, place in enumerate(places):
            means[place] = mean(run[rank] for run in ranked)
    return means


@TIERS
def test_one_flow_without_loss_against_linux(cases, tier):
    chosen = [case for case in cases if len(case["flows"]) == 1 and case["group"] not in EVENTFUL]
    middle, worst = summary([errors.flows[0] for errors in scores(chosen, tier)])
    print(f"one flow, {len(chosen)} cases: median {middle:.2%}, 90th percentile {worst:.2%}")
    assert middle <= 0.02
    assert worst <= 0.06


@pytest.mark.parametrize(
    ("tier", "limits"), [("share", (0.03, 0.18, 0.07, 0.16)), ("window", (0.03, 0.20, 0.04, 0.13))]
)
def test_several_flows_without_loss_against_linux(cases, tier, limits):
    """Makespan: median and 90th percentile, then the mean of a case's flows.

    The window tier's 90th percentile of makespans is set by two cases of which Linux was run once and
    chance decides: six sets of eight seeds give 13 to 18 %, all 48 seeds 16 %.
    """
    chosen = [case for case in cases if len(scored(case)) > 1 and case["group"] not in EVENTFUL]
    found = scores([case for case in chosen if "linux" in case["reference"]], tier)
    got = (*summary([errors.makespan for errors in found]), *summary([errors.mean for errors in found]))
    print(f"several flows, {len(found)} cases: " + ", ".join(f"{error:.1%}" for error in got))
    assert all(error <= limit for error, limit in zip(got, limits, strict=True)), got


@TIERS
@pytest.mark.parametrize(("group", "limits"), [("loss", (0.15, 0.30)), ("fail", (0.08, 0.16))])
def test_losses_and_outages_against_linux(cases, tier, group, limits):
    found = scores([case for case in cases if case["group"] == group], tier)
    got = summary([errors.makespan for errors in found])
    print(f"{group}, {len(found)} cases: median {got[0]:.1%}, 90th percentile {got[1]:.1%}")
    assert all(error <= limit for error, limit in zip(got, limits, strict=True)), got


@TIERS
@pytest.mark.parametrize("id", ["fail_star_site", "trace_drop_to_2M", "trace_up_4x"])
def test_outages_and_traces_one_by_one(cases, tier, id):
    (case,) = [case for case in cases if case["id"] == id]
    assert scores([case], tier)[0].makespan <= 0.05

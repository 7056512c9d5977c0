"""Reference cases: their reader, the scoring, and how far from Linux's TCP the share tier is."""

from pathlib import Path
from statistics import median, quantiles

import pytest

from simulator.network.cases import compare, predict, read

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


def test_one_flow_without_loss_against_linux(cases):
    chosen = [case for case in cases if len(case["flows"]) == 1 and case["group"] not in EVENTFUL]
    middle, worst = summary([compare(case, predict(case), "linux").flows[0] for case in chosen])
    print(f"one flow, {len(chosen)} cases: median {middle:.2%}, 90th percentile {worst:.2%}")
    assert middle <= 0.02
    assert worst <= 0.06


def test_makespan_of_several_flows_without_loss_against_linux(cases):
    chosen = [
        case
        for case in cases
        if len(case["flows"]) > 1 and case["group"] not in EVENTFUL and "linux" in case["reference"]
    ]
    chosen = [case for case in chosen if sum(flow["kind"] == "tcp" for flow in case["flows"]) > 1]
    middle, worst = summary([compare(case, predict(case), "linux").makespan for case in chosen])
    print(f"several flows, {len(chosen)} cases: makespan median {middle:.2%}, 90th percentile {worst:.2%}")
    assert middle <= 0.04
    assert worst <= 0.20


@pytest.mark.parametrize("id", ["fail_0.5s_100M_20ms_50MB", "fail_star_site", "trace_drop_to_2M"])
def test_outages_and_traces_against_linux(cases, id):
    (case,) = [case for case in cases if case["id"] == id]
    assert compare(case, predict(case), "linux").makespan <= 0.02

"""The share tier against completion times of the Linux kernel's TCP that it was not tuned on.

All files were drawn and measured by ``tools/linux_reference``; their ``meta`` tells how. Of
``linux_blind_cases.json`` nothing had been seen when the model was changed last.
"""

from pathlib import Path
from statistics import fmean, median, quantiles

import pytest

from simulator.network.cases import compare, predict, read, scored
from simulator.network.scores import by_tier, parts, score, summarize

FILE, *LATER = (Path(__file__).with_name(f"linux_{kind}cases.json") for kind in ("", "later_", "blind_"))
SEEDS = range(1, 21)


@pytest.fixture(scope="module")
def cases():
    return read(FILE)


def errors(case):
    """Relative errors of one case: of the mean of several predictions where losses are drawn."""
    seeds = SEEDS if case["group"] == "loss" else SEEDS[:1]
    predictions = [predict(case, seed=seed) for seed in seeds]
    return compare(case, [fmean(spans) for spans in zip(*predictions, strict=True)], "linux")


def check(name, values, *, middle, worst):
    found = median(values), quantiles(values, n=10, method="inclusive")[-1]
    print(f"{name}, {len(values)} cases: median {found[0]:.2%}, 90th percentile {found[1]:.2%}")
    assert found[0] <= middle
    assert found[1] <= worst


def test_every_case_has_a_time_for_every_flow_scored(cases):
    assert len(cases) >= 60
    assert len({case["id"] for case in cases}) == len(cases)
    for case in cases:
        assert all(case["reference"]["linux"][i] > 0 for i in scored(case))


@pytest.mark.parametrize(
    ("groups", "middle", "worst"),
    [
        ({"single", "window", "buffer", "cc", "asym", "multihop", "cross"}, 0.01, 0.04),
        ({"trace", "jitter"}, 0.01, 0.30),
        ({"fail"}, 0.05, 0.20),
        ({"loss"}, 0.15, 0.30),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else None,
)
def test_one_flow(cases, groups, middle, worst):
    chosen = [case for case in cases if case["group"] in groups and len(scored(case)) == 1]
    check("+".join(sorted(groups)), [errors(case).flows[0] for case in chosen], middle=middle, worst=worst)


def test_a_loss_cuts_the_window_and_not_the_queue_that_might_have_been(cases):
    """Thirteen losses follow one another before the buffer, two round trips deep, fills again."""
    (case,) = [case for case in cases if case["id"] == "loss_0.1pct_reno_100M_10ms_20MB"]
    assert errors(case).flows[0] <= 0.2


def test_several_flows(cases):
    found = [errors(case) for case in cases if len(scored(case)) > 1]
    check("makespan", [one.makespan for one in found], middle=0.03, worst=0.18)
    check("mean", [one.mean for one in found], middle=0.07, worst=0.16)


@pytest.mark.parametrize("id", ["asym_both_20_1", "asym_both_50_5", "asym_both_76_3.8_4.1ms"])
def test_a_download_waits_where_an_upload_fills_the_line(cases, id):
    """Its acknowledgements stand in the upload's queue: without it, it would take half as long."""
    (case,) = [case for case in cases if case["id"] == id]
    assert max(errors(case).flows) <= 0.03


LIMITS = {
    "single": ("flow", 0.02, 0.06),
    "several": ("makespan", 0.04, 0.20),
    "loss": ("flow", 0.15, 0.30),
    "outage": ("makespan", 0.08, 0.16),
}
"""By kind of case: what is scored, the largest median, the largest 90th percentile."""


@pytest.mark.parametrize("file", LATER, ids=lambda file: file.stem)
def test_cases_drawn_later(file):
    predictor = by_tier("share")
    found = parts([score(case, predictor, "linux") for case in read(file)])
    for kind, (measure, middle, worst) in LIMITS.items():
        spread = summarize(found["kind", kind])[measure]
        print(f"{kind}: median {spread.median:.2%}, 90th percentile {spread.p90:.2%}")
        assert spread.median <= middle
        assert spread.p90 <= worst

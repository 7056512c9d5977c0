"""Defenses against false models, by hand: each of them shrugs off what moves the mean."""

import numpy as np
import pytest

from algorithms.robust_means import clipped, krum, robust_mean, trimmed_mean
from simulator.api import Bundle

HONEST = [[1.0, 2.0], [2.0, 2.0], [3.0, 5.0], [2.0, 3.0]]
FALSE = [100.0, -100.0]


def model(values):
    return Bundle(
        arrays={
            "model": np.array(values, np.float32),
            "buffers": np.zeros(0, np.float32),
            "counters": np.zeros(0, np.int64),
        }
    )


def put_together(points, rule, weights=None, **params):
    names = [f"s{i}" for i in range(len(points))]
    weights = weights or [1 / len(points)] * len(points)
    outcome = robust_mean(
        None, model([0.0, 0.0]), *map(model, points), senders=names, weights=weights, rule=rule, **params
    )
    return outcome.arrays["model"].tolist(), outcome.meta


@pytest.mark.parametrize(
    ("rule", "params", "expected"),
    [
        ("median", {}, [2.0, 2.0]),  # 1 2 2 3 100 and -100 2 2 3 5
        ("trimmed-mean", {"trim": 0.2}, [7 / 3, 7 / 3]),  # 2 2 3 and 2 2 3
        ("krum", {"byzantine": 1, "keep": 1}, [2.0, 2.0]),
        ("krum", {"byzantine": 1, "keep": 3}, [5 / 3, 7 / 3]),  # the first, second and fourth
    ],
)
def test_one_false_model_among_five_moves_nobody_far(rule, params, expected):
    values, meta = put_together([*HONEST, FALSE], rule, **params)
    assert values == pytest.approx(expected, rel=1e-6)
    assert meta["refused"] == []
    assert ("s4" in meta["used"]) == (rule != "krum")


def test_krum_by_hand():
    # n - f - 2 = 2 nearest others. Squared distances: s0-s1 1, s0-s2 13, s0-s3 2, s1-s2 10, s1-s3 1, s2-s3 5;
    # the least two of each: 3, 2, 15, 3; the false one is 19,000 and more from everybody
    points = np.array([*HONEST, FALSE])
    assert krum(points, byzantine=1, keep=1) == [1]
    assert krum(points, byzantine=1, keep=2) == [0, 1]  # 0 and 3 are equal: the first of them
    assert krum(points[[4, 0, 1, 2, 3]], byzantine=1, keep=3) == [1, 2, 4]


def test_trimming_cuts_whole_models_from_both_ends():
    points = np.arange(10.0)[:, None] ** 2
    assert trimmed_mean(points, 0.25) == pytest.approx([np.mean([4, 9, 16, 25, 36, 49])])
    assert trimmed_mean(points, 0.05) == pytest.approx([np.mean(points)])


def test_clipping_draws_back_along_the_update():
    reference = np.array([1.0, 1.0])
    points = np.array([[4.0, 5.0], [1.0, 2.0], [1.0, 1.0], [1.0, 9.0]])  # 5, 1, 0 and 8 away
    assert clipped(points, reference, 2.5).tolist() == [[2.5, 3.0], [1, 2], [1, 1], [1, 3.5]]
    assert clipped(points, reference, "median")[0] == pytest.approx([1 + 1.8, 1 + 2.4])  # median 3


def test_clipping_weighs_as_the_mean_does():
    values, _ = put_together([[3.0, 4.0], [0.0, 1.0]], "clip", weights=[0.75, 0.25], norm=1.0)
    assert values == pytest.approx([0.45, 0.85])


@pytest.mark.parametrize("rule", ["finite", "clip", "median", "trimmed-mean"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused_by_every_rule(rule, bad):
    params = {"trim": 0.2} if rule == "trimmed-mean" else {"norm": 1e9} if rule == "clip" else {}
    values, meta = put_together([[1.0, 1.0], [bad, 1.0], [3.0, 3.0]], rule, [0.5, 0.25, 0.25], **params)
    assert meta == {"refused": ["s1"], "used": ["s0", "s2"]}
    weighted = rule in {"finite", "clip"}
    assert values == pytest.approx([5 / 3, 5 / 3] if weighted else [2.0, 2.0])


def test_with_nothing_left_the_model_before_stays():
    values, meta = put_together([[np.nan, 1.0]], "finite", [1.0])
    assert values == [0.0, 0.0]
    assert meta == {"refused": ["s0"], "used": []}
    five = [*HONEST, [np.nan, 0.0]]  # Krum is left with four
    assert put_together(five, "krum", byzantine=1)[0] == [0.0, 0.0]

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from simulator.rng import stream
from simulator.statistics.intervals import MIN_RESAMPLED, SHARE, bounds, interval, stratified_interval

SIX = [0.61, 0.66, 0.58, 0.71, 0.64, 0.52]


def test_few_values_give_student_t():
    found = interval([1.0, 2.0, 3.0])
    assert (found.mean, found.kind, found.count) == (2.0, "student", 3)
    assert found.high - 2.0 == pytest.approx(4.302652729696142 / math.sqrt(3))  # t(0.975, 2), sd 1
    assert interval([5.0]).low is None
    assert interval([]) is None


def test_enough_values_are_resampled_as_scipy_does_with_the_level_moved_outward():
    found = interval(SIX)
    width = stats.t.ppf(0.975, 5) * math.sqrt(6 / 5)
    other = stats.bootstrap(
        (SIX,), np.mean, confidence_level=1 - 2 * ndtr(-width), method="BCa", n_resamples=100_000,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert found.kind == "bootstrap"
    assert found.low == pytest.approx(other.low, abs=0.003)
    assert found.high == pytest.approx(other.high, abs=0.003)
    assert interval(SIX) == found


def test_many_values_give_the_normal_interval():
    values = stream(1, "normal").normal(3, 2, 2000)
    half = 1.96 * values.std(ddof=1) / math.sqrt(2000)
    found = interval(values.tolist())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


def test_skewed_values_give_a_skewed_interval():
    values = stream(2, "skewed").exponential(1.0, 40).tolist()
    found = interval(values)
    assert found.high - found.mean > 1.15 * (found.mean - found.low)


@pytest.mark.parametrize(("size", "least"), [(3, 0.94), (MIN_RESAMPLED, 0.92), (20, 0.93)])
def test_it_covers_the_mean_as_often_as_it_says(size, least):
    values = stream(3, "coverage", size).normal(0, 1, (size, 2000))
    found = bounds([values])
    assert least < np.mean((found.low <= 0) & (found.high >= 0)) < 0.97


def test_equal_values_have_no_width():
    for count in (4, 8):
        found = interval([0.1] * count)
        assert (found.low, found.high) == pytest.approx((0.1, 0.1))


def test_strata_count_the_same_and_are_resampled_apart():
    low, high = [0.1, 0.2, 0.3, 0.2, 0.15, 0.25, 0.18, 0.22], [0.9, 0.8] * 20
    found = stratified_interval([low, high])
    assert found.mean == pytest.approx((0.2 + 0.85) / 2)
    assert found.count == 48
    # strata far apart add nothing to the width; by Welch and Satterthwaite it is near this
    shares = np.var(low, ddof=1) / 8, np.var(high, ddof=1) / 40
    freedom = sum(shares) ** 2 / (shares[0] ** 2 / 7 + shares[1] ** 2 / 39)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(shares)) / 2
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_a_single_case_says_nothing_of_another():
    found = stratified_interval([[0.5], [0.6, 0.7]])
    assert (found.mean, found.low, found.count) == (pytest.approx(0.575), None, 3)
    assert stratified_interval([]) is None


def test_each_mean_of_a_curve_has_the_interval_that_it_has_alone():
    curve = np.stack([SIX, [2 * value for value in SIX]], axis=1)
    found, alone = bounds([curve]), interval(SIX)
    assert (found.low[0], found.high[0]) == pytest.approx((alone.low, alone.high))
    assert found.low[1] == pytest.approx(2 * alone.low)


def test_an_interval_ends_where_no_value_can_be():
    """Of 0.05, 0.1 and 0.4 Student's t gives 0.183 ± 0.470."""
    free, shares = interval([0.05, 0.1, 0.4]), interval([0.05, 0.1, 0.4], SHARE)
    assert free.low == pytest.approx(-0.286, abs=1e-3)
    assert (shares.low, shares.high) == (0.0, free.high)
    assert interval([0.6, 0.9, 0.95], SHARE).high == 1.0

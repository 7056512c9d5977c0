from itertools import product

import numpy as np
import pytest
from scipy import stats

from simulator.rng import stream
from simulator.statistics.intervals import interval
from simulator.statistics.paired import compare, probability_of_improvement, signed_rank


@pytest.mark.parametrize("size", [1, 5, 6, 9, 14])
def test_signed_rank_is_exact_as_in_scipy(size):
    gaps = stream(size, "gaps").normal(0.3, 1, size)
    assert signed_rank(gaps) == pytest.approx(stats.wilcoxon(gaps, method="exact").pvalue)


def test_six_that_all_agree_have_the_smallest_p_that_six_can_have():
    assert signed_rank([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == 2 / 64


def test_ties_are_counted_exactly_and_zeros_left_out():
    gaps = [0.1, 0.1, -0.1, 0.3, 0.3, 0.0]
    kept = np.array([gap for gap in gaps if gap])
    ranks = stats.rankdata(np.abs(kept))
    sums = [float(ranks[np.array(signs)].sum()) for signs in product([False, True], repeat=5)]
    smaller = min(ranks[kept > 0].sum(), ranks[kept < 0].sum())
    assert signed_rank(gaps) == min(1.0, 2 * np.mean(np.array(sums) <= smaller))
    assert signed_rank([0.0, 0.0]) == signed_rank([1.0, -1.0]) == 1.0


def test_a_comparison_pairs_and_rounding_is_no_difference():
    found = compare([0.3, 0.6, 0.1 + 0.2], [0.1, 0.7, 0.3])
    assert (found.better, found.worse, found.equal) == (1, 1, 1)
    assert found.difference.mean == pytest.approx(0.1 / 3)
    assert found.difference == interval([0.2, -0.1, 0.0])
    for first, second in (([], []), ([1.0], [1.0, 2.0])):
        with pytest.raises(ValueError, match="pairs need the same number"):
            compare(first, second)


def test_pairs_remove_what_seeds_have_in_common():
    seeds = stream(1, "seeds").normal(0, 1, 8)
    better = seeds + 0.1 + stream(1, "noise").normal(0, 0.01, 8)
    found = compare(better.tolist(), seeds.tolist())
    assert 0.05 < found.difference.low < 0.1 < found.difference.high < 0.15


def test_probability_of_improvement_is_the_statistic_of_mann_and_whitney():
    first = stream(1, "first").normal(0.5, 1, (6, 3))
    second = stream(1, "second").normal(0, 1, (6, 3))
    found = probability_of_improvement(first, second)
    expected = np.mean([stats.mannwhitneyu(first[:, k], second[:, k]).statistic / 36 for k in range(3)])
    assert found.mean == pytest.approx(expected)
    assert found.low < found.mean < found.high
    turned = probability_of_improvement(second, first)
    assert turned.mean == pytest.approx(1 - found.mean)
    assert turned.low == pytest.approx(1 - found.high)
    same = probability_of_improvement(first[:1], first[:1])
    assert (same.mean, same.low) == (0.5, None)
    with pytest.raises(ValueError, match="both need"):
        probability_of_improvement(first, second[:5])

import numpy as np
import pytest
from scipy import stats

from simulator.rng import stream
from simulator.statistics.ranks import friedman, holm, judge, needed_blocks


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize(("comparisons", "blocks"), [(1, 6), (2, 7), (3, 7), (4, 8), (10, 9)])
def test_so_many_blocks_are_needed(comparisons, blocks):
    assert needed_blocks(comparisons) == blocks
    gaps = np.arange(1, blocks + 1)
    assert comparisons * stats.wilcoxon(gaps, method="exact").pvalue <= 0.05
    assert comparisons * stats.wilcoxon(gaps[1:], method="exact").pvalue > 0.05


def test_friedman_by_permutation_is_near_the_chi_square_for_many_blocks():
    table = stream(1, "friedman").normal(0, 1, (40, 4)) + np.array([0.0, 0.1, 0.2, 0.4])
    expected = stats.friedmanchisquare(*table.T).pvalue
    assert friedman(table) == pytest.approx(expected, abs=0.02)
    assert friedman(table) == friedman(table)
    assert friedman(np.ones((5, 3))) == 1.0


def test_few_seeds_are_refused_in_words_and_still_ranked():
    verdict = judge({"a": [0.9] * 6, "b": [0.8] * 6, "c": [0.7] * 6})
    assert verdict.refusal == (
        "No test: 6 paired seeds cannot tell methods apart at p ≤ 0.05 in 3 comparisons, whatever they show; "
        "it takes 7, 1 more."
    )
    assert verdict.friedman_p is None
    assert [pair.p_adjusted for pair in verdict.pairs] == [None] * 3
    assert verdict.ranks == {"a": 1.0, "b": 2.0, "c": 3.0}


def test_enough_seeds_are_tested():
    noise = stream(1, "judge").normal(0, 0.01, (9, 3))
    verdict = judge({name: (noise[:, k] + gain).tolist() for k, (name, gain) in enumerate(
        {"a": 0.1, "b": 0.0, "c": 0.0}.items())})  # fmt: skip
    assert not verdict.refusal
    assert verdict.friedman_p < 0.01
    found = {(pair.first, pair.second): pair.p_adjusted for pair in verdict.pairs}
    assert found["a", "b"] == found["a", "c"] == pytest.approx(3 * 2 / 2**9)
    assert found["b", "c"] > 0.05


def test_two_methods_need_no_test_for_all():
    verdict = judge({"a": [0.9, 0.8, 0.9, 0.7, 0.9, 0.8], "b": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]})
    assert (verdict.friedman_p, verdict.pairs[0].p_adjusted) == (None, 2 / 64)
    for bad in ({"a": [1.0]}, {"a": [1.0], "b": []}, {"a": [], "b": []}):
        with pytest.raises(ValueError, match="two or more"):
            judge(bad)

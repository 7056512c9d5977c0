"""Two methods on the same seeds: what the difference is, how often one is ahead, and whether by chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from simulator.statistics.intervals import Interval, draws, interval

_DIGITS = 12  # smaller differences are rounding, and tie


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Paired differences: their mean with its interval, their signs, and the exact p-value."""

    difference: Interval
    better: int
    worse: int
    equal: int
    p: float


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare paired values, ``first`` minus ``second``.

    Raises:
        ValueError: no pairs, or not as many of one as of the other.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError(f"{len(first)} and {len(second)} values; pairs need the same number of both")
    gaps = _gaps(first, second)
    found = interval([float(gap) for gap in gaps])
    assert found is not None
    return Comparison(
        difference=found,
        better=int((gaps > 0).sum()),
        worse=int((gaps < 0).sum()),
        equal=int((gaps == 0).sum()),
        p=signed_rank(gaps),
    )


def _gaps(first: Sequence[float], second: Sequence[float]) -> np.ndarray:
    gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    return np.asarray(np.round(gaps, _DIGITS))


def signed_rank(differences: Sequence[float] | np.ndarray) -> float:
    """Return the two-sided p-value of the signed-rank test, exact with ties too.

    Zeros are left out, ties share their mean rank, and all 2^n assignments of signs are counted
    (F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945).
    """
    found = np.asarray(differences, dtype=float)
    found = found[found != 0]
    if not len(found):
        return 1.0
    doubled = np.rint(2 * rankdata(np.abs(found))).astype(int)  # mean ranks are halves
    total = int(doubled.sum())
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(chance)
        moved[rank:] = chance[: total + 1 - rank]
        chance = (chance + moved) / 2
    positive = int(doubled[found > 0].sum())
    smaller = min(positive, total - positive)
    return min(1.0, 2 * float(chance[: smaller + 1].sum()))


def probability_of_improvement(first: np.ndarray, second: np.ndarray) -> Interval:
    """Return the chance that a run of ``first`` is better than one of ``second``, mean over tasks.

    Each run of one meets each run of the other; a tie counts half (R. Agarwal and others, "Deep
    reinforcement learning at the edge of the statistical precipice", NeurIPS 2021). The interval resamples
    runs in pairs of the same seed, with all of their tasks; there, sites of a run are not independent.

    Args:
        first: scores of shape (runs, tasks); runs in the same order of seeds in both.
        second: the same shape.

    Raises:
        ValueError: the shapes differ or hold nothing.
    """
    if first.shape != second.shape or first.ndim != 2 or not first.size:
        raise ValueError(f"scores of shapes {first.shape} and {second.shape}; both need (runs, tasks)")
    gaps = np.round(first[:, None] - second[None], _DIGITS)  # (runs, runs, tasks)
    wins = ((gaps > 0) + 0.5 * (gaps == 0)).mean(axis=2)
    num = len(first)
    mean = float(wins.mean())
    if num < 2:
        return Interval(mean=mean, low=None, high=None, count=num)
    counts = draws(num, "improvement")
    drawn = np.einsum("bi,ij,bj->b", counts, wins, counts, optimize=True) / num**2
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(mean=mean, low=float(low), high=float(high), count=num, kind="bootstrap")

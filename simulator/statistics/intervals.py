"""95 % intervals of means: by the bootstrap where there is enough to resample, else by Student's t.

The bootstrap is BCa (B. Efron, "Better bootstrap confidence intervals", J. American Statistical
Association 82, 1987), with its quantiles moved outward as few values need it: by the quantile of
Student's t instead of the normal's, and by the factor by which resampling underestimates the variance
(T. Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69, 2015).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from simulator.rng import stream

NUM_DRAWS = 10_000
MIN_RESAMPLED = 6
"""Fewer values than this are not resampled: their interval is Student's t."""
_TAIL = 0.025

Kind = Literal["bootstrap", "student"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with its 95 % interval; no interval from fewer than two values.

    ``count``: how many values; ``kind``: how the interval was found, None where there is none.
    """

    mean: float
    low: float | None
    high: float | None
    count: int
    kind: Kind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """95 % intervals of several means at once; arrays of shape (means,)."""

    low: np.ndarray
    high: np.ndarray
    kind: Kind


Range = tuple[float, float]
"""The least and the largest that a value can be, where an interval ends at the latest."""

ANY: Range = (-math.inf, math.inf)
AMOUNT: Range = (0.0, math.inf)
SHARE: Range = (0.0, 1.0)


def interval(values: Sequence[float], within: Range = ANY) -> Interval | None:
    """Return the mean of independent values with its interval, None for no value."""
    return stratified_interval([values], within) if len(values) else None


def stratified_interval(strata: Sequence[Sequence[float]], within: Range = ANY) -> Interval | None:
    """Return the mean over strata of their means; each stratum is resampled for itself.

    For cases within sites: every site counts the same. No interval if a stratum has a single value, since
    how far another one would lie is not known. None for no stratum.
    """
    if not strata:
        return None
    mean = math.fsum(math.fsum(one) / len(one) for one in strata) / len(strata)
    count = sum(len(one) for one in strata)
    if any(len(one) < 2 for one in strata):
        return Interval(mean=mean, low=None, high=None, count=count)
    found = bounds([np.asarray(one, dtype=float)[:, None] for one in strata])
    low, high = max(within[0], float(found.low[0])), min(within[1], float(found.high[0]))
    return Interval(mean=mean, low=low, high=high, count=count, kind=found.kind)


def bounds(strata: Sequence[np.ndarray]) -> Bounds:
    """Return the intervals of several means over the same strata.

    Args:
        strata: arrays of shape (values >= 2, means), one per stratum.
    """
    sizes = [len(one) for one in strata]
    mean = np.mean([one.mean(axis=0) for one in strata], axis=0)
    shares = np.array([one.var(axis=0, ddof=1) / len(one) for one in strata])  # (strata, means)
    variance = shares.sum(axis=0)
    error = np.sqrt(variance) / len(strata)
    width = _t_quantile(shares, sizes)
    if sum(sizes) < MIN_RESAMPLED:
        return Bounds(low=mean - width * error, high=mean + width * error, kind="student")
    shrunk = (shares * (1 - 1 / np.array(sizes))[:, None]).sum(axis=0)
    width = width * np.sqrt(np.divide(variance, shrunk, out=np.ones_like(shrunk), where=shrunk > 0))
    low, high = _bca(strata, mean, width)
    return Bounds(low=low, high=high, kind="bootstrap")


def _t_quantile(shares: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Student's t with the degrees of freedom of Welch and Satterthwaite, n - 1 for one stratum."""
    squares = (shares**2 / (np.array(sizes) - 1)[:, None]).sum(axis=0)
    alike = np.full_like(squares, sum(sizes) - len(sizes))
    freedom = np.divide(shares.sum(axis=0) ** 2, squares, out=alike, where=squares > 0)
    return np.asarray(stdtrit(freedom, 1 - _TAIL))


def _bca(strata: Sequence[np.ndarray], mean: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of the resampled means, corrected for bias and skewness; ``width`` in standard errors."""
    drawn = np.sort(_resampled(strata), axis=0)  # (draws, means)
    slack = 1e-12 * np.maximum(1.0, np.abs(mean))  # equal means differ in their last bits
    below = ((drawn < mean - slack).mean(axis=0) + (drawn <= mean + slack).mean(axis=0)) / 2
    bias = ndtri(np.clip(below, 1 / NUM_DRAWS, 1 - 1 / NUM_DRAWS))
    influence = np.concatenate([(one - one.mean(axis=0)) / len(one) for one in strata])
    squares = (influence**2).sum(axis=0)
    cubes = (influence**3).sum(axis=0)
    skew = np.divide(cubes, 6 * squares**1.5, out=np.zeros_like(cubes), where=squares > 0)
    ends = []
    for side in (-width, width):
        level = ndtr(bias + (bias + side) / np.maximum(1 - skew * (bias + side), 0.05))
        place = np.clip(np.rint(level * (NUM_DRAWS - 1)).astype(int), 0, NUM_DRAWS - 1)
        ends.append(np.take_along_axis(drawn, place[None], axis=0)[0])
    return np.minimum(ends[0], mean), np.maximum(ends[1], mean)


def _resampled(strata: Sequence[np.ndarray]) -> np.ndarray:
    """Means of resampled strata, the same draws for the same sizes: common random numbers."""
    total = np.zeros((NUM_DRAWS, strata[0].shape[1]))
    for place, one in enumerate(strata):
        counts = draws(len(one), "stratum", place)
        total += counts @ one / len(one)
    return np.asarray(total / len(strata))


def draws(size: int, *names: str | int) -> np.ndarray:
    """Return how often each of ``size`` values is drawn, (draws, size), by a stream of that name."""
    found = stream(0, "bootstrap", size, *names).multinomial(size, [1 / size] * size, size=NUM_DRAWS)
    return found.astype(float)

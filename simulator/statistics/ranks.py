"""Several methods on the same seeds: ranks, one test for all, pairs with Holm, or a refusal.

J. Demšar, "Statistical comparisons of classifiers over multiple data sets", J. Machine Learning
Research 7, 2006; S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
J. Statistics 6, 1979.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from simulator.rng import stream
from simulator.statistics.paired import Comparison, compare

ALPHA = 0.05
NUM_PERMUTATIONS = 9_999
_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two methods compared; ``p_adjusted`` is Holm's, None where the test was refused."""

    first: str
    second: str
    comparison: Comparison
    p_adjusted: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What can be said of several methods over the same blocks (seeds).

    Attributes:
        num_blocks: seeds that all methods have.
        ranks: mean rank by method, 1 is best.
        friedman_p: chance of ranks as unequal as these among equal methods; None where refused.
        pairs: all pairs of methods, in order, or those with one of them.
        refusal: why no test was made and how many more seeds it takes; empty where tests were made.

    """

    num_blocks: int
    ranks: Mapping[str, float]
    friedman_p: float | None
    pairs: tuple[Pair, ...]
    refusal: str


def judge(
    scores: Mapping[str, Sequence[float]], *, block: str = "seed", against: str | None = None
) -> Verdict:
    """Compare methods on the same blocks, higher scores being better.

    Args:
        scores: by method, one value per block, in the same order for all.
        block: what a block is called in a refusal.
        against: compare every other method with this one only; by default all with all.

    Raises:
        ValueError: fewer than two methods, no block, or not as many blocks for all.
    """
    names = list(scores)
    if len(names) < 2 or len({len(values) for values in scores.values()}) != 1 or not len(scores[names[0]]):
        raise ValueError(f"{len(names)} methods; two or more need scores over the same blocks")
    table = np.array([scores[name] for name in names], dtype=float).T  # (blocks, methods)
    placed = _ranks(table)
    couples = list(combinations(names, 2))
    if against is not None:
        couples = [(against, name) for name in names if name != against]
    found = [(a, b, compare(scores[a], scores[b])) for a, b in couples]
    refusal = _refusal(len(table), len(found), block)
    adjusted: list[float | None] = [None] * len(found)
    if not refusal:
        adjusted = list(holm([one.p for _, _, one in found]))
    return Verdict(
        num_blocks=len(table),
        ranks=dict(zip(names, placed.mean(axis=0).tolist(), strict=True)),
        friedman_p=None if refusal or len(names) < 3 else friedman(table),
        pairs=tuple(
            Pair(first=a, second=b, comparison=one, p_adjusted=p)
            for (a, b, one), p in zip(found, adjusted, strict=True)
        ),
        refusal=refusal,
    )


def needed_blocks(num_comparisons: int, alpha: float = ALPHA) -> int:
    """Return from how many pairs on the smallest possible p, after Holm, is ``alpha`` or less."""
    needed = 1
    while num_comparisons * 2.0 ** (1 - needed) > alpha:
        needed += 1
    return needed


def _refusal(num_blocks: int, num_comparisons: int, block: str) -> str:
    needed = needed_blocks(num_comparisons)
    if num_blocks >= needed:
        return ""
    more = needed - num_blocks
    comparisons = "1 comparison" if num_comparisons == 1 else f"{num_comparisons} comparisons"
    return (
        f"No test: {num_blocks} paired {block}{'' if num_blocks == 1 else 's'} cannot tell methods apart at "
        f"p ≤ {ALPHA:g} in {comparisons}, whatever they show; it takes {needed}, {more} more."
    )


def friedman(table: np.ndarray) -> float:
    """Return the p-value of Friedman's test over (blocks, methods), by permutation within blocks.

    Valid for any number of blocks, unlike the chi-square approximation (M. Friedman, J. American
    Statistical Association 32, 1937). The draws are always the same.
    """
    placed = _ranks(table)
    spread = _spread(placed.sum(axis=0))
    drawn = stream(0, "friedman", *placed.shape)
    reached = 0
    for _ in range(NUM_PERMUTATIONS):
        reached += _spread(drawn.permuted(placed, axis=1).sum(axis=0)) >= spread - 1e-9
    return (1 + reached) / (1 + NUM_PERMUTATIONS)


def _spread(sums: np.ndarray) -> float:
    return float(((sums - sums.mean()) ** 2).sum())


def _ranks(table: np.ndarray) -> np.ndarray:
    """Ranks within blocks, 1 for the highest score, ties sharing their mean."""
    return np.asarray(rankdata(-np.round(table, _DIGITS), axis=1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values, in the order given."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted

"""Costs until a target where some runs never reach it: those are censored, not left out.

E. L. Kaplan and P. Meier, "Nonparametric estimation from incomplete observations", J. American
Statistical Association 53, 1958.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """Share of runs without the target, after each cost at which some run reached it.

    Attributes:
        at: such costs, ascending, shape (steps,).
        share: share that has not reached it from then on, shape (steps,); 1 before the first.
        reached, count: runs that reached it, and all.
        last: the largest cost seen; beyond it nothing is known.

    """

    at: np.ndarray
    share: np.ndarray
    reached: int
    count: int
    last: float

    @property
    def median(self) -> float | None:
        """The cost at which half of the runs have the target; None if fewer than half are known to."""
        below = np.flatnonzero(self.share <= 0.5 + 1e-12)
        return float(self.at[below[0]]) if len(below) else None


def kaplan_meier(costs: Sequence[float], reached: Sequence[bool]) -> Survival:
    """Estimate from each run's cost until target, or, where it was not reached, until its end.

    A run that ends at the very cost at which another has the target counts as still running there.

    Raises:
        ValueError: no run, or not as many flags as costs.
    """
    if not len(costs) or len(costs) != len(reached):
        raise ValueError(f"{len(costs)} costs and {len(reached)} flags; there must be as many, and some")
    cost, hit = np.asarray(costs, dtype=float), np.asarray(reached, dtype=bool)
    at, events = np.unique(cost[hit], return_counts=True)
    at_risk = np.array([(cost >= one).sum() for one in at], dtype=float)
    share = np.cumprod(1 - events / at_risk)
    return Survival(
        at=at,
        share=share,
        reached=int(hit.sum()),
        count=len(cost),
        last=float(cost.max()),
    )

"""Other middles of models than the mean: coordinate-wise and geometric medians.

Medians of parameters and float buffers as one vector, in float64 and in the order of the inputs. D. Yin
et al., "Byzantine-robust distributed learning", ICML 2018 (coordinates); K. Pillutla, S. Kakade, Z.
Harchaoui, "Robust aggregation for federated learning", IEEE Trans. Signal Processing 2022 (geometric).
"""

from collections.abc import Sequence

import numpy as np

from simulator.api import Bundle, TaskContext

NEAR, SMALL_STEP, MAX_STEPS = 1e-12, 1e-12, 500
"""Bounds of Weiszfeld's iteration: least distance, last step, and how many steps at most."""


def coordinate_median(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Lower weighted median of each column of ``points`` (models, values): the smallest value whose
    cumulative weight reaches half the total.
    """
    order = np.argsort(points, axis=0, kind="stable")
    reached = np.cumsum(weights[order], axis=0) >= weights.sum() / 2
    rows = np.take_along_axis(order, reached.argmax(axis=0)[None], axis=0)
    median: np.ndarray = np.take_along_axis(points, rows, axis=0)[0]
    return median


def geometric_median(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The point of the least weighted sum of distances to the rows of ``points``, by Weiszfeld's
    iteration from the weighted mean.
    """
    middle: np.ndarray = weights @ points / weights.sum()
    for _ in range(MAX_STEPS):
        pulls = weights / np.maximum(np.linalg.norm(points - middle, axis=1), NEAR)
        following = pulls @ points / pulls.sum()
        step = float(np.linalg.norm(following - middle))
        middle = following
        if step < SMALL_STEP:
            break
    return middle


def median(ctx: TaskContext, *models: Bundle, weights: Sequence[float], kind: str) -> Bundle:
    """The median model, of ``kind`` coordinate_median or geometric_median (a task function)."""
    points = np.stack(
        [np.concatenate([m.arrays["model"], m.arrays["buffers"]]).astype(np.float64) for m in models]
    )
    middle = {"coordinate_median": coordinate_median, "geometric_median": geometric_median}[kind]
    values = middle(points, np.array(weights))
    size, first = models[0].arrays["model"].size, models[0].arrays
    arrays = {
        "model": values[:size].astype(first["model"].dtype),
        "buffers": values[size:].astype(first["buffers"].dtype),
        "counters": first["counters"].copy(),
    }
    return Bundle(arrays=arrays, meta={"weights": list(weights)})

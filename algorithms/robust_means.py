"""Other middles of models than the mean, which a few false models cannot move far.

Of parameters and float buffers as one vector, in float64 and in the order of the inputs. Coordinate-wise
median and trimmed mean: D. Yin et al., "Byzantine-robust distributed learning", ICML 2018; geometric
median: K. Pillutla, S. Kakade, Z. Harchaoui, "Robust aggregation for federated learning", IEEE Trans.
Signal Processing 2022; Krum: P. Blanchard et al., "Machine learning with adversaries: Byzantine tolerant
gradient descent", NeurIPS 2017; clipping: Z. Sun et al., "Can you really backdoor federated learning?",
arXiv 1911.07963, 2019.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from algorithms.mixing import weighted_mean
from algorithms.parts import is_finite
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


def trimmed_mean(points: np.ndarray, trim: float) -> np.ndarray:
    """Mean of each column of ``points`` (models, values) without the ⌊trim·models⌋ smallest and as many of
    its largest values.
    """
    cut = int(trim * len(points) + 1e-9)  # .29 · 100 is 28.999…
    middle: np.ndarray = np.sort(points, axis=0)[cut : len(points) - cut].mean(axis=0)
    return middle


def krum(points: np.ndarray, byzantine: int, keep: int) -> list[int]:
    """Return the places of the ``keep`` rows nearest to their neighbors, in order: those with the least sum
    of squared distances to their n − byzantine − 2 nearest others, of equals the first.
    """
    squares = np.array([[float(np.sum((a - b) ** 2)) for b in points] for a in points])
    others = len(points) - byzantine - 2
    scores = [float(np.sort(np.delete(row, i))[:others].sum()) for i, row in enumerate(squares)]
    return sorted(np.argsort(scores, kind="stable")[:keep].tolist())


def clipped(points: np.ndarray, reference: np.ndarray, norm: float | Literal["median"]) -> np.ndarray:
    """Return every row drawn back to within ``norm`` (2-norm) of the reference, or within the median of
    the rows' distances.
    """
    lengths = np.linalg.norm(points - reference, axis=1)
    limit = float(np.median(lengths)) if norm == "median" else norm
    factors = np.minimum(1.0, limit / np.maximum(lengths, np.finfo(float).tiny))
    drawn: np.ndarray = reference + factors[:, None] * (points - reference)
    return drawn


def vectors(models: Sequence[Bundle]) -> np.ndarray:
    """Parameters and float buffers of models as rows, float64."""
    return np.stack(
        [np.concatenate([m.arrays["model"], m.arrays["buffers"]]).astype(np.float64) for m in models]
    )


def as_model(values: np.ndarray, like: Bundle) -> dict[str, np.ndarray]:
    """The arrays of a model from its vector; types and integers are those of another."""
    size, first = like.arrays["model"].size, like.arrays
    return {
        "model": values[:size].astype(first["model"].dtype),
        "buffers": values[size:].astype(first["buffers"].dtype),
        "counters": first["counters"].copy(),
    }


def robust_mean(
    ctx: TaskContext,
    reference: Bundle,
    *models: Bundle,
    senders: Sequence[str],
    weights: Sequence[float],
    rule: str,
    norm: float | Literal["median"] = "median",
    trim: float = 0.0,
    byzantine: int = 0,
    keep: int = 1,
    part: str = "",
) -> Bundle:
    """What is made of ``models`` under a defense (a task function); models with values that are not finite
    play no part, and the ``reference`` stays where no other is left, or too few for Krum.

    ``finite`` and ``clip`` take the mean by ``weights``; ``trimmed-mean``, ``median`` and ``krum`` know
    no weights, as a false model could claim any. Meta: names of senders ``refused`` because they are
    not finite, and ``used``.
    """
    good = [place for place, model in enumerate(models) if is_finite(model)]
    refused = [senders[place] for place in range(len(models)) if place not in good]
    if len(good) < (2 * byzantine + 3 if rule == "krum" else 1):
        arrays = {name: reference.arrays[name] for name in ("model", "buffers", "counters")}
        return Bundle(arrays=arrays, meta={"refused": refused, "used": []})
    chosen = [models[place] for place in good]
    points, used = vectors(chosen), good
    if rule == "krum":
        best = krum(points, byzantine, keep)
        used = [good[place] for place in best]
        middle = points[best].mean(axis=0)
    elif rule == "trimmed-mean":
        middle = trimmed_mean(points, trim)
    elif rule == "median":
        middle = np.median(points, axis=0)
    else:
        if rule == "clip":
            points = clipped(points, vectors([reference])[0], norm)
        shares = np.array([weights[place] for place in good])
        middle = weighted_mean(list(points), (shares / shares.sum()).tolist())
    meta = {"refused": refused, "used": [senders[place] for place in used]}
    return Bundle(arrays=as_model(middle, chosen[0]), meta=meta)


def median(ctx: TaskContext, *models: Bundle, weights: Sequence[float], kind: str) -> Bundle:
    """The median model, of ``kind`` coordinate_median or geometric_median (a task function)."""
    middle = {"coordinate_median": coordinate_median, "geometric_median": geometric_median}[kind]
    values = middle(vectors(models), np.array(weights))
    return Bundle(arrays=as_model(values, models[0]), meta={"weights": list(weights)})

"""Means of models: what servers and gossiping sites do to what they receive.

Every float entry is averaged, parameters and float buffers alike, in float64 and in the order of
the inputs (by site name, never by arrival), then cast back. Integer buffers come from the first.
"""

from collections.abc import Sequence

import numpy as np

from simulator.api import OPTIMIZER, Bundle, TaskContext

NETWORKS = "networks_beside"
"""Meta data: architectures of networks that stay at home beside a model, by number, where they differ
from the model's.
"""


def weighted_mean(arrays: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Return Σ weight·array, summed in float64 in the order given, in the type of the first array.

    An array of weight 0 plays no part: neither a value in it that is not finite nor another shape does
    harm. A single weight of 1 returns that array bit for bit.

    Raises:
        ValueError: shapes differ, or there are not as many weights as arrays.
    """
    used = [(array, weight) for array, weight in zip(arrays, weights, strict=True) if weight != 0]
    for array, _ in used:
        if array.shape != used[0][0].shape:
            raise ValueError(f"models of {array.size} and {used[0][0].size} values have no mean")
    if len(used) == 1 and used[0][1] == 1:  # no arithmetic: it would lose the sign of -0.0
        return used[0][0].copy()
    total = np.zeros(used[0][0].shape)
    for array, weight in used:
        total += weight * array.astype(np.float64)
    return total.astype(arrays[0].dtype)


def pull_shares(num_models: int, place: int, lam: float) -> list[float]:
    """Return the shares that make one model of ``num_models`` of the one in ``place``, held by ``lam``, and
    the mean of the others; one that is alone stays as it is.

    Row ``place`` of the doubly stochastic λI + (1−λ)/(n−1)·(11ᵀ − I).
    """
    if num_models == 1:
        return [1.0]
    shares = [(1 - lam) / (num_models - 1)] * num_models
    shares[place] = lam
    return shares


def merge(models: Sequence[Bundle], weights: Sequence[float]) -> dict[str, np.ndarray]:
    """Return the arrays of the weighted mean model.

    Raises:
        ValueError: weights are negative or do not sum to 1, or the models are of different networks.
    """
    if min(weights) < 0 or abs(sum(weights) - 1) > 1e-9:
        raise ValueError(f"weights of a mean are shares that sum to 1, not {list(weights)}")
    return {
        "model": weighted_mean([model.arrays["model"] for model in models], weights),
        "buffers": weighted_mean([model.arrays["buffers"] for model in models], weights),
        "counters": models[0].arrays["counters"].copy(),
    }


def mean(ctx: TaskContext, *models: Bundle, weights: Sequence[float]) -> Bundle:
    """Weighted mean of models, without any optimizer's state (a task function).

    B. McMahan et al., "Communication-efficient learning of deep networks from decentralized data",
    AISTATS 2017.
    """
    return Bundle(arrays=merge(models, weights), meta={"weights": list(weights)})


def carry(ctx: TaskContext, received: Bundle, own: Bundle) -> Bundle:
    """A received model with what stays at the site: its own optimizer's state, and networks beside the
    model (a task function).
    """
    meta = {NETWORKS: own.meta[NETWORKS]} if NETWORKS in own.meta else {}
    return Bundle(arrays=dict(received.arrays) | state_of(own), meta=meta)


def bare(ctx: TaskContext, model: Bundle) -> Bundle:
    """A model without its optimizer (a task function)."""
    return Bundle(arrays={name: array for name, array in model.arrays.items() if not is_state(name)})


def state_of(own: Bundle) -> dict[str, np.ndarray]:
    """What stays at home of an outcome: its optimizer's state."""
    return {name: array for name, array in own.arrays.items() if is_state(name)}


def is_state(name: str) -> bool:
    """Whether an array of this name stays at home."""
    return name.startswith(OPTIMIZER)


def mix(ctx: TaskContext, local: Bundle, incoming: Bundle, *, weights: Sequence[float]) -> Bundle:
    """Weighted mean of a local and an incoming model; the local optimizer's state stays with it."""
    return Bundle(arrays=merge([local, incoming], weights) | state_of(local), meta={"weights": list(weights)})

"""FedGS's mathematics: steps that count more where lesions are small, and the server's step by their sum.

P. Schutte, V. Corbetta, R. Beets-Tan, W. Silva, "FedGS: Federated gradient scaling for heterogeneous
medical image segmentation", MICCAI 2024 Workshops (DeCaF), LNCS 15274, arXiv 2408.11701.
"""

from collections.abc import Sequence
from math import log, tanh
from typing import Any

import numpy as np

from algorithms.mixing import state_of, weighted_mean
from algorithms.parts import is_finite
from simulator.api import OPTIMIZER, Bundle, TaskContext

UPDATE = "scaled_update"
"""What a site sends instead of parameters: the sum of its scaled steps, to be subtracted."""
MOMENTUM = OPTIMIZER + "server_momentum"
"""The server's momentum; it never travels."""


def scale_factor(
    foreground: Sequence[int], is_small: Sequence[bool], num_pixels: int, log_base: float
) -> float:
    """Return by how much the optimizer's step on a batch counts, at least 1.

    1 + (2/B)·Σ δ over the images with a small lesion; δ = tanh((log(A/|y|))²) with A pixels in all
    and |y| foreground pixels after augmentation, 1 where that left none.

    Args:
        foreground: |y| of each of the B images.
        is_small: whether each shows a small lesion before augmentation.
        num_pixels: A.
        log_base: base of the logarithm.
    """
    total = 0.0
    for pixels, small in zip(foreground, is_small, strict=True):
        if small:
            total += tanh((log(num_pixels / pixels) / log(log_base)) ** 2) if pixels else 1.0
    return 1.0 + 2.0 / len(foreground) * total


def factor_of(batch: Any, *, log_base: float, small_threshold: float) -> float:
    """Return the scale factor of a batch; lesions of all structures count together."""
    foreground = (batch.labels > 0).any(dim=1).flatten(1)
    is_small = [case.smallest_lesions[number] >= small_threshold for case, number in batch.items]
    return scale_factor(foreground.sum(dim=1).tolist(), is_small, foreground.shape[1], log_base)


def train_scaled(
    ctx: TaskContext,
    received: Bundle,
    own: Bundle | None = None,
    *,
    scaling: bool,
    log_base: float,
    small_threshold: float,
    epochs: int,
    first_epoch: int,
    keep_optimizer: bool,
) -> Bundle:
    """Local epochs by AdamW, and the sum of their scaled steps (a task function).

    ``own`` is the site's last outcome, for an optimizer that goes on. Meta: ``loss``, ``steps`` and
    the mean scale factor ``eta``.
    """
    pupil = ctx.pupil(received, "local", state=own)
    total: Any = None
    factors: list[float] = []

    def step(batch: Any) -> Any:
        nonlocal total
        loss = pupil.supervised(pupil.output(batch), batch)
        pupil.step(loss)
        eta = factor_of(batch, log_base=log_base, small_threshold=small_threshold) if scaling else 1.0
        factors.append(eta)
        scaled = pupil.adam_update() * eta
        total = scaled if total is None else total.add_(scaled)
        return loss.detach()

    losses, steps = ctx.epochs(step, epochs=epochs, first_epoch=first_epoch, drop_last=True)
    mean = sum(factors) / len(factors)
    trained = pupil.bundle(keep_optimizer=keep_optimizer, loss=losses, steps=steps, eta=mean)
    arrays = {UPDATE: total.cpu().numpy(), "buffers": trained.arrays["buffers"]} | state_of(trained)
    return Bundle(arrays=arrays, meta=trained.meta)


def server_step(
    ctx: TaskContext, state: Bundle, *updates: Bundle, weights: Sequence[float], server_momentum: float
) -> Bundle:
    """Subtract the mean update, with momentum if wanted, and average float buffers (a task function).

    An update with a value that is not finite, as a coarse codec can make it, is left out; meta
    ``rejected`` counts them. Integer buffers stay the server's.
    """
    good = [place for place, update in enumerate(updates) if is_finite(update, UPDATE)]
    meta = {"rejected": len(updates) - len(good)}
    if not good:
        return Bundle(arrays=state.arrays, meta=meta)
    share = sum(weights[place] for place in good)
    shares = [weights[place] / share for place in good]
    chosen = [updates[place].arrays for place in good]
    step = weighted_mean([arrays[UPDATE].astype(np.float64) for arrays in chosen], shares)
    if server_momentum and MOMENTUM in state.arrays:
        step = server_momentum * state.arrays[MOMENTUM] + step
    model = state.arrays["model"]
    arrays = {
        "model": (model.astype(np.float64) - step).astype(model.dtype),
        "buffers": weighted_mean([arrays["buffers"] for arrays in chosen], shares),
        "counters": state.arrays["counters"],
    }
    return Bundle(arrays=arrays | ({MOMENTUM: step} if server_momentum else {}), meta=meta)

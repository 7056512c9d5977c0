"""FedSM's selector: how the sites teach it whose an image is, and whom it chooses.

A. Xu et al., "Closing the generalization gap of cross-silo federated medical image segmentation",
CVPR 2022.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from simulator.api import OPTIMIZER, Bundle, TaskContext

SELECTOR, FIRST, SECOND = "selector.model", "selector.first", "selector.second"
"""Its parameters and the moments of its Adam, which travel too."""
SELECTOR_STEPS = OPTIMIZER + "selector_steps"
"""Steps of a site's Adam for the selector; never averaged."""
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


def train_selector(
    ctx: TaskContext,
    received: Bundle,
    own: Bundle,
    *,
    sites: Sequence[str],
    selector: str,
    selector_lr: float,
    epochs: int,
    first_epoch: int,
) -> Bundle:
    """One Adam step per epoch by the gradient summed over all training items, whose class is the site.

    Moments received replace the site's own; its counter of steps goes on.

    Raises:
        ArithmeticError: the gradient is not finite.
    """
    import torch  # algorithms are imported where torch is not

    module = ctx.classifier(selector, len(sites), received.arrays[SELECTOR]).train()
    parameters = list(module.parameters())
    label = sites.index(ctx.site)
    values = received.arrays[SELECTOR]
    moments = [
        received.arrays.get(name, own.arrays.get(name, np.zeros_like(values))) for name in (FIRST, SECOND)
    ]
    before = int(own.arrays[SELECTOR_STEPS][0]) if SELECTOR_STEPS in own.arrays else 0
    losses: list[float] = []

    def step(batch: Any) -> Any:
        logits = module(batch.images)
        truth = torch.full((len(logits),), label, device=logits.device)
        loss: Any = torch.nn.functional.cross_entropy(logits, truth, reduction="sum")
        loss.backward()
        return loss.detach() / len(logits)

    for epoch in range(epochs):
        module.zero_grad()
        means, _ = ctx.epochs(step, epochs=1, first_epoch=first_epoch + epoch)
        losses += means
        gradient = _flat([parameter.grad for parameter in parameters])
        if not np.isfinite(gradient).all():
            raise ArithmeticError(f"{ctx.site}: the selector diverged; lower algorithm.selector_lr")
        values, *moments = adam(values, gradient, moments, steps=before + epoch + 1, lr=selector_lr)
        module = ctx.classifier(selector, len(sites), values).train()
    arrays = {
        SELECTOR: values - received.arrays[SELECTOR],
        FIRST: moments[0],
        SECOND: moments[1],
        SELECTOR_STEPS: np.array([before + epochs]),
    }
    return Bundle(arrays=arrays, meta={"selector.loss": losses})


def adam(
    values: np.ndarray, gradient: np.ndarray, moments: Sequence[np.ndarray], *, steps: int, lr: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values and both raw moments after step number ``steps`` of Adam (Kingma, Ba, ICLR 2015)."""
    first = _BETA1 * moments[0] + (1 - _BETA1) * gradient
    second = _BETA2 * moments[1] + (1 - _BETA2) * gradient**2
    root = np.sqrt(second) / (1 - _BETA2**steps) ** 0.5 + _EPSILON
    return values - lr / (1 - _BETA1**steps) * first / root, first, second


def choose(logits: Any, gamma: float) -> tuple[Any, Any]:
    """Return by image which class segments it, −1 for the global model, and which class is likeliest.

    A personal model is chosen where its softmax exceeds ``gamma``; ``logits`` are ``(batch, classes)``.
    """
    best, likeliest = logits.double().softmax(dim=1).max(dim=1)
    return likeliest.where(best > gamma, -1), likeliest


def _flat(tensors: Sequence[Any]) -> np.ndarray:
    import torch  # algorithms are imported where torch is not

    values: np.ndarray = torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).cpu().numpy()
    return values


def values_of(module: Any) -> np.ndarray:
    """The parameters of a classifier, one flat array."""
    return _flat(list(module.parameters()))

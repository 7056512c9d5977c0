"""The proximal term of FedProx: T. Li et al., "Federated optimization in heterogeneous networks",
MLSys 2020.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from simulator.api import Bundle, TaskContext


def proximal(received: np.ndarray, mu: float) -> Callable[[Tensor], Tensor]:
    """Return the penalty (mu/2)·‖w − w_received‖² of a model's flat parameters.

    It covers trainable parameters only, never buffers. With Adam its gradient passes through the
    adaptive scaling like any other.
    """
    anchor = torch.tensor(received)

    def penalty(parameters: Tensor) -> Tensor:
        nonlocal anchor
        anchor = anchor.to(parameters.device)  # moves once
        return mu / 2 * (parameters - anchor).square().sum()

    return penalty


def train_near(
    ctx: TaskContext, start: Bundle, anchor: Bundle, *, mu: float, epochs: int, first_epoch: int
) -> Bundle:
    """Local epochs of a model held near another one (a task function); its optimizer goes on."""
    penalty = proximal(anchor.arrays["model"], mu)
    return ctx.train(start, epochs=epochs, first_epoch=first_epoch, penalty=penalty)


def train_prox(ctx: TaskContext, received: Bundle, *, mu: float, epochs: int, first_epoch: int) -> Bundle:
    """Local epochs held near the model they start from (a task function)."""
    return train_near(ctx, received, received, mu=mu, epochs=epochs, first_epoch=first_epoch)

"""Optimizers, and their state as flat arrays of a bundle.

A state entry is one array over all parameters, ``optimizer.exp_avg`` for example, in the order of
``model``; ``optimizer.step`` counts the steps behind it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from simulator.api import OPTIMIZER
from simulator.learning.models import flatten, unflatten
from simulator.scenario.task import Optimizer

_STEP = OPTIMIZER + "step"
_STATE_KEYS = {"momentum": "momentum_buffer"}  # our name -> torch's, where they differ


def make_optimizer(settings: Optimizer, parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    """Return torch's fused optimizer over ``parameters``."""
    lr, decay = settings.lr, settings.weight_decay
    if settings.name == "sgd":
        return torch.optim.SGD(parameters, lr=lr, weight_decay=decay, momentum=settings.momentum, fused=True)
    kind = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
    return kind(parameters, lr=lr, weight_decay=decay, amsgrad=settings.amsgrad, fused=True)


def _entries(settings: Optimizer) -> tuple[str, ...]:
    if settings.name == "sgd":
        return ("momentum",) if settings.momentum else ()
    return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if settings.amsgrad else ()))


def load_state(
    optimizer: torch.optim.Optimizer,
    settings: Optimizer,
    parameters: Sequence[Tensor],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Continue from the state in ``arrays``, if there is one."""
    if _STEP not in arrays:
        return
    step = float(arrays[_STEP][0])
    for name in _entries(settings):
        tensors = [torch.empty_like(parameter) for parameter in parameters]
        unflatten(arrays[OPTIMIZER + name], tensors)
        for parameter, tensor in zip(parameters, tensors, strict=True):
            optimizer.state[parameter][_STATE_KEYS.get(name, name)] = tensor
    if settings.name != "sgd":
        for parameter in parameters:
            optimizer.state[parameter]["step"] = torch.full((), step, device=parameter.device)


def dump_state(
    optimizer: torch.optim.Optimizer,
    settings: Optimizer,
    parameters: Sequence[Tensor],
    num_steps: int,
) -> dict[str, np.ndarray]:
    """Return the state of ``parameters`` after ``num_steps`` steps in all."""
    if num_steps == 0:
        return {}
    arrays = {_STEP: np.array([num_steps], dtype=np.int64)}
    for name in _entries(settings):
        key = _STATE_KEYS.get(name, name)
        tensors = [_moment(optimizer, parameter, key) for parameter in parameters]
        arrays[OPTIMIZER + name] = flatten(tensors, torch.float32)
    return arrays


def _moment(optimizer: torch.optim.Optimizer, parameter: Tensor, key: str) -> Tensor:
    """An entry of the state of one parameter; zeros before its first gradient, as of a head that no loss
    reaches.
    """
    found: Tensor | None = optimizer.state[parameter].get(key)
    return torch.zeros_like(parameter) if found is None else found


@torch.no_grad()
def adam_update(
    optimizer: torch.optim.Optimizer, settings: Optimizer, parameters: Sequence[Tensor]
) -> Tensor:
    """Return what Adam's last step subtracted from ``parameters``, flat, without decoupled weight decay.

    lr/(1 − β1ⁱ) · m / (√v/√(1 − β2ⁱ) + ε), from the moments as the step left them.

    Raises:
        ValueError: the optimizer keeps no moments.
    """
    if settings.name == "sgd":
        raise ValueError("sgd has no moments; use adam or adamw")
    group = optimizer.param_groups[0]
    beta1, beta2 = group["betas"]
    moments = [
        torch.cat([_moment(optimizer, parameter, name).reshape(-1) for parameter in parameters])
        for name in ("exp_avg", "max_exp_avg_sq" if settings.amsgrad else "exp_avg_sq")
    ]
    step = float(next(state["step"] for state in optimizer.state.values() if "step" in state))
    root = moments[1].sqrt_().div_((1 - beta2**step) ** 0.5).add_(group["eps"])
    return moments[0].div_(root).mul_(group["lr"] / (1 - beta1**step))


def num_steps(arrays: Mapping[str, np.ndarray]) -> int:
    """Steps behind the state in ``arrays``."""
    return int(arrays[_STEP][0]) if _STEP in arrays else 0

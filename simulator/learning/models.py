"""Models between tasks and in memory: flat arrays of a bundle, and modules they are loaded into.

``model`` holds all parameters in the module's order, ``buffers`` its float buffers, ``counters``
its integer buffers, each flat. A process keeps one module per network and role and copies weights
into it, whatever the number of sites.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from simulator.api import Bundle
from simulator.learning.networks import NetworkSpec, build
from simulator.rng import draw_seed

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Of a module; looked up once, as that takes longer than copying a small model."""

    layers: list[nn.Module]
    parameters: list[nn.Parameter]
    floats: list[Tensor]
    counters: list[Tensor]


_PARTS: WeakKeyDictionary[nn.Module, _Parts] = WeakKeyDictionary()


@lru_cache(maxsize=8)
def resident(spec: NetworkSpec, device: str, channels_last: bool, role: str) -> nn.Module:
    """Return this process's module for a network and role; its weights are whatever was loaded last.

    Roles tell apart modules that are in use at the same time ("local", "incoming").
    """
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are never used
        module = build(spec).to(device)
    if channels_last:
        layout = torch.channels_last if spec.spatial_dims == 2 else torch.channels_last_3d
        # torch's annotation of this overload misses the 3-D layout's type
        module = module.to(memory_format=layout)  # type: ignore[call-overload]
    return module


def new_weights(spec: NetworkSpec, seed: int) -> dict[str, Array]:
    """Return the arrays of a freshly initialized model; the same for equal seeds on any device."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return weights_of(build(spec))


def init_seed(seed: int, site: str, *, shared: bool, member: int = 0) -> int:
    """The seed of initial weights: of all sites (``shared``), or of this one; of one network there or
    another (``member``).
    """
    purpose = f"init {member}" if member else "init"
    return draw_seed(seed, purpose) if shared else draw_seed(seed, purpose, site)


def flatten(tensors: Sequence[Tensor], dtype: torch.dtype) -> Array:
    """Return the values of all tensors one after another, each in its logical order."""
    if not tensors:
        return torch.empty(0, dtype=dtype).numpy()
    flat = torch.cat([tensor.detach().reshape(-1).to(dtype) for tensor in tensors])
    return flat.cpu().numpy()


@torch.no_grad()
def unflatten(array: Array, tensors: Sequence[Tensor]) -> None:
    """Copy a flat array into ``tensors``.

    Raises:
        ValueError: the number of values differs.
    """
    expected = sum(tensor.numel() for tensor in tensors)
    if array.size != expected:
        raise ValueError(f"{array.size} values for a network of {expected}; is it another network's model?")
    if not tensors:
        return
    # arrays decoded from a message may be read-only, which torch does not know
    flat = torch.from_numpy(array if array.flags.writeable else array.copy()).to(tensors[0].device)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, values in zip(tensors, parts, strict=True):
        tensor.copy_(values.view(tensor.shape))


def _parts(module: nn.Module) -> _Parts:
    found = _PARTS.get(module)
    if found is None:
        buffers = list(module.buffers())
        found = _PARTS[module] = _Parts(
            layers=list(module.modules()),
            parameters=list(module.parameters()),
            floats=[buffer for buffer in buffers if buffer.is_floating_point()],
            counters=[buffer for buffer in buffers if not buffer.is_floating_point()],
        )
    return found


def parameters_of(module: nn.Module) -> list[nn.Parameter]:
    """Return a module's parameters, in a list of their own."""
    return list(_parts(module).parameters)


def begin_training(module: nn.Module) -> None:
    """Put a module into training mode, all of it learning, whatever it was used for before."""
    parts = _parts(module)
    if not all(layer.training for layer in parts.layers):
        module.train()
    for parameter in parts.parameters:
        parameter.requires_grad_(True)


def weights_of(module: nn.Module) -> dict[str, Array]:
    """Return the arrays of a module's model, in memory of their own."""
    parts = _parts(module)
    return {
        "model": flatten(parts.parameters, torch.float32),
        "buffers": flatten(parts.floats, torch.float32),
        "counters": flatten(parts.counters, torch.int64),
    }


def load_weights(module: nn.Module, model: Bundle) -> None:
    """Copy a model into a module.

    Raises:
        ValueError: it is the model of another network.
    """
    parts = _parts(module)
    unflatten(model.arrays["model"], parts.parameters)
    unflatten(model.arrays["buffers"], parts.floats)
    unflatten(model.arrays["counters"], parts.counters)


def is_finite(arrays: Mapping[str, Array]) -> bool:
    """Whether all parameters and float buffers of a model are finite."""
    return all(bool(np.isfinite(arrays[name]).all()) for name in ("model", "buffers"))

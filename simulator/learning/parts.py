"""Parts of a network: which parameters and buffers are its head, its batch normalization, and so on.

A part is named; ``"-head"`` is everything but the head. ``batch_norm`` is found by the type of
layers; other parts are regular expressions that the network's registry entry declares.
"""

import re
from collections.abc import Iterable

import numpy as np
from torch import Tensor, nn

from simulator.errors import ScenarioError
from simulator.learning.networks import NetworkSpec
from simulator.registry import registry, suggest

BATCH_NORM = "batch_norm"


def names_of(module: nn.Module, part: str, spec: NetworkSpec) -> frozenset[str]:
    """Return the names of the parameters and buffers of a part.

    Raises:
        ScenarioError: the network has no such part.
    """
    names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
    if part.startswith("-"):
        return frozenset(names) - names_of(module, part[1:], spec)
    if part == BATCH_NORM:
        layers = [name for name, layer in module.named_modules() if _is_batch_norm(layer)]
        chosen = {name for name in names if name.rpartition(".")[0] in layers}
    else:
        known = registry("networks")[spec.name].parts
        if part not in known:
            hint = suggest(part, [*known, BATCH_NORM])
            raise ScenarioError(f'task.network: "{spec.name}" has no part "{part}"{hint}')
        chosen = {name for name in names if re.search(known[part], name)}
    if not chosen:
        raise ScenarioError(f'task.network: "{spec.name}" as set here has no {part}; choose another network')
    return frozenset(chosen)


def _is_batch_norm(layer: nn.Module) -> bool:
    return isinstance(layer, nn.modules.batchnorm._BatchNorm)


def masks(module: nn.Module, part: str, spec: NetworkSpec) -> dict[str, np.ndarray]:
    """Return which entries of ``model``, ``buffers`` and ``counters`` belong to a part, as booleans."""
    chosen = names_of(module, part, spec)
    buffers = list(module.named_buffers())
    return {
        "model": _entries(module.named_parameters(), chosen),
        "buffers": _entries(((n, values) for n, values in buffers if values.is_floating_point()), chosen),
        "counters": _entries(
            ((n, values) for n, values in buffers if not values.is_floating_point()), chosen
        ),
    }


def _entries(tensors: Iterable[tuple[str, Tensor]], chosen: frozenset[str]) -> np.ndarray:
    flags = [np.full(values.numel(), name in chosen) for name, values in tensors]
    return np.concatenate([np.zeros(0, dtype=bool), *flags])


def freeze_rest(module: nn.Module, part: str, spec: NetworkSpec) -> list[nn.Parameter]:
    """Let only a part learn; return its parameters. Batch normalization outside the part uses its
    running statistics and keeps them.
    """
    chosen = names_of(module, part, spec)
    learning = []
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in chosen)
        if name in chosen:
            learning.append(parameter)
    for name, layer in module.named_modules():
        if _is_batch_norm(layer) and not any(own.rpartition(".")[0] == name for own in chosen):
            layer.eval()
    return learning


def bottleneck(module: nn.Module, spec: NetworkSpec) -> str:
    """Return the name of the layer whose output are the features at the lowest resolution.

    Raises:
        ScenarioError: the network does not say which.
    """
    pattern: str = registry("networks")[spec.name].bottleneck
    names = [str(name) for name, _ in module.named_modules() if pattern and re.search(pattern, name)]
    if not names:
        raise ScenarioError(f'task.network: "{spec.name}" names no bottleneck; choose another network')
    return max(names, key=len)

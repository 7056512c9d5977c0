"""Convolutions whose gradients have the same bits twice in bf16 on a CPU too.

Where a map has an edge of one or two voxels, oneDNN's gradient of the weights in bf16 (``jit_bf16:
avx512_core_bf16``, as in torch 2.13) differs from one time to the next. In float32 it does not, and such maps
cost next to nothing.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

_SMALL = 2  # voxels; all of 2,400 convolutions tried on maps with longer edges were reproducible


def _in_float32_if_small(convolve: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    if images.is_cpu and torch.is_autocast_enabled("cpu") and min(images.shape[2:]) <= _SMALL:
        with torch.autocast("cpu", enabled=False):
            return convolve(images.float())
    return convolve(images)


class CarefulConv2d(nn.Conv2d):
    """``nn.Conv2d``, the same parameters by the same names."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolve ``(batch, channels, y, x)``."""
        return _in_float32_if_small(super().forward, images)


class CarefulConv3d(nn.Conv3d):
    """``nn.Conv3d``, the same parameters by the same names."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolve ``(batch, channels, z, y, x)``."""
        return _in_float32_if_small(super().forward, images)


_CAREFUL: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: CarefulConv2d, nn.Conv3d: CarefulConv3d}


def use_careful_convolutions(network: nn.Module) -> None:
    """Make every convolution of a network a careful one."""
    for layer in network.modules():
        layer.__class__ = _CAREFUL.get(type(layer), type(layer))

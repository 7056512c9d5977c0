"""Linear interpolation and maximum pooling that give the same bits twice on a GPU too.

There the gradients of torch's own functions add up in no fixed order. Its deterministic mode refuses that of
pooled volumes; that of interpolation it refuses too or, in torch 2.13, makes of sorted sums over indices. On
a CPU torch's functions run; what runs elsewhere is the same mathematics.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
_MAX_POOL = {4: functional.max_pool2d, 5: functional.max_pool3d}


def resized(images: Tensor, size: Sequence[int], *, align_corners: bool = False) -> Tensor:
    """Interpolate ``(batch, channels, *item)`` linearly to ``(batch, channels, *size)``.

    Elsewhere than on a CPU as one matrix product per axis, in float32.
    """
    if images.is_cpu:
        how = _LINEAR[images.ndim]
        return functional.interpolate(images, size=list(size), mode=how, align_corners=align_corners)
    with torch.autocast(images.device.type, enabled=False):
        found = images.float()
        for axis in range(images.ndim - 1, 1, -1):
            weights = _weights(images.shape[axis], size[axis - 2], align_corners, images.device)
            found = functional.linear(found.movedim(axis, -1), weights).movedim(-1, axis)
    return found.to(images.dtype)


def _weights(before: int, after: int, align_corners: bool, device: torch.device) -> Tensor:
    """What each voxel of an axis adds to each new one, float32 ``(after, before)``."""
    places = torch.arange(after, dtype=torch.float32, device=device)
    if align_corners:
        places = places * ((before - 1) / max(after - 1, 1))
    else:
        places = ((places + 0.5) * (before / after) - 0.5).clamp(0, before - 1)
    voxels = torch.arange(before, dtype=torch.float32, device=device)
    return (1 - (places[:, None] - voxels).abs()).clamp(min=0)


def max_pooled(images: Tensor, factor: int) -> Tensor:
    """The largest values of ``(batch, channels, *item)`` in windows of that edge which do not overlap.

    Volumes elsewhere than on a CPU slice by slice, then across; of equal values the first one counts, as
    in torch.
    """
    if images.is_cpu or images.ndim == 4:
        return _MAX_POOL[images.ndim](images, factor)
    batch, channels, depth = images.shape[:3]
    slices = functional.max_pool2d(images.transpose(1, 2).flatten(0, 1), factor)
    height, width = slices.shape[2:]
    columns = slices.reshape(batch, depth, channels, height * width).transpose(1, 2)
    return functional.max_pool2d(columns, (factor, 1)).reshape(batch, channels, -1, height, width)


class LinearResize(nn.Module):
    """Enlarge by a whole factor, as ``nn.Upsample`` does with linear interpolation."""

    def __init__(self, factor: int, *, align_corners: bool) -> None:
        super().__init__()
        self._factor, self._align_corners = factor, align_corners

    def forward(self, images: Tensor) -> Tensor:
        """``(batch, channels, *item)`` to edges ``factor`` times as long."""
        size = [self._factor * edge for edge in images.shape[2:]]
        return resized(images, size, align_corners=self._align_corners)


def use_linear_resize(network: nn.Module) -> None:
    """Put :class:`LinearResize` in place of each ``nn.Upsample`` that enlarges linearly by a whole factor."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Upsample) and layer.mode in _LINEAR.values():
                factor = _whole_factor(layer)
                if factor:
                    setattr(parent, name, LinearResize(factor, align_corners=bool(layer.align_corners)))


def _whole_factor(layer: nn.Upsample) -> int:
    """By what a layer enlarges every axis, 0 if that is not one whole number."""
    scales = layer.scale_factor if isinstance(layer.scale_factor, tuple) else (layer.scale_factor,)
    found = {0.0 if scale is None else float(scale) for scale in scales}
    factor = int(max(found))
    return factor if found == {factor} else 0

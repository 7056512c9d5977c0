"""Augmentation on tensors; one named stream per kind and epoch, so no kind changes another's draws.

| kind | what | how often |
|---|---|---|
| flip | each spatial axis | ½ each |
| rotate90 | in the plane of the last two axes: 0, 90, 180, 270°; not square: 0 or 180° | always |
| gamma | intensities to a power in [0.7, 1.5] within each channel's own range | 0.3 |
| noise | Gaussian, standard deviation up to 0.1 (of normalized intensities) | 0.3 |

Ranges of gamma and noise are those of nnU-Net (Isensee et al., Nature Methods 2021), rounded.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

_GAMMA = (0.7, 1.5)
_NOISE = 0.1
_OFTEN = 0.3

Rng = Callable[..., np.random.Generator]


class Augmentation:
    """The draws of one epoch, for items in the order in which they are visited."""

    def __init__(self, kinds: Sequence[str], rng: Rng, epoch: int, num_items: int, spatial_dims: int) -> None:
        self._kinds = frozenset(kinds)
        self._spatial_dims = spatial_dims
        flip, rotate, gamma = (rng(kind, epoch) for kind in ("flip", "rotate90", "gamma"))
        self._flips = flip.random((num_items, spatial_dims)) < 0.5
        self._turns = rotate.integers(0, 4, num_items)
        low, high = np.log(_GAMMA)
        self._gammas = np.where(
            gamma.random(num_items) < _OFTEN, np.exp(gamma.uniform(low, high, num_items)), 1.0
        )
        self._noise = rng("noise", epoch)
        self._sigmas = np.where(
            self._noise.random(num_items) < _OFTEN, self._noise.uniform(0, _NOISE, num_items), 0.0
        )

    def geometry(self, item: int, tensor: Tensor) -> Tensor:
        """Flip and rotate ``(channels, *item)``; called alike for image and label."""
        if "flip" in self._kinds:
            axes = [1 + int(axis) for axis in np.flatnonzero(self._flips[item])]
            tensor = tensor.flip(axes) if axes else tensor
        if "rotate90" in self._kinds:
            turns = int(self._turns[item])
            if tensor.shape[-1] != tensor.shape[-2]:
                turns = 2 * (turns % 2)
            tensor = torch.rot90(tensor, turns, (-2, -1)) if turns else tensor
        return tensor

    def intensity(self, items: slice, images: Tensor) -> Tensor:
        """Gamma and noise on a batch ``(batch, channels, *item)`` of the given places in the order."""
        if "gamma" in self._kinds:
            for place, gamma in enumerate(self._gammas[items]):
                if gamma != 1.0:
                    images[place] = _gamma(images[place], float(gamma))
        if "noise" in self._kinds:
            for place, sigma in enumerate(self._sigmas[items]):
                if sigma > 0:
                    noise = self._noise.standard_normal(images.shape[1:], dtype=np.float32)
                    images[place] += torch.from_numpy(noise).to(images.device) * float(sigma)
        return images


def _gamma(image: Tensor, gamma: float) -> Tensor:
    axes = tuple(range(1, image.ndim))
    low, high = image.amin(axes, keepdim=True), image.amax(axes, keepdim=True)
    extent = (high - low).clamp(min=1e-6)
    return ((image - low) / extent).pow(gamma) * extent + low

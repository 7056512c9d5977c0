"""Classifiers as torch modules, from images to logits of classes; none has buffers."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from simulator.learning import classifiers as counts
from simulator.learning.models import unflatten
from simulator.registry import registry, resolve


class AveragePool(nn.Module):
    """The image averaged to ``edge`` times ``edge`` windows, as torch's ``AdaptiveAvgPool2d`` has them.

    As two matrix products, because that layer's gradient on a GPU is not reproducible.
    """

    def __init__(self, edge: int) -> None:
        super().__init__()
        self._edge = edge

    def forward(self, images: Tensor) -> Tensor:
        """``(batch, channels, y, x)`` to ``(batch, channels, edge, edge)``."""
        rows, columns = (self._windows(size).to(images) for size in images.shape[-2:])
        return rows @ images @ columns.T

    def _windows(self, size: int) -> Tensor:
        """Weights of the pixels of one axis in each window, ``(edge, size)``."""
        windows = torch.zeros(self._edge, size)
        for number in range(self._edge):
            start, stop = number * size // self._edge, -(-(number + 1) * size // self._edge)
            windows[number, start:stop] = 1 / (stop - start)
        return windows


class Projected(nn.Module):
    """A classifier of images; of a volume it sees the mean along the first axis."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """``(batch, channels, *item)`` to logits ``(batch, classes)``."""
        logits: Tensor = self.network(images.mean(dim=2) if images.ndim == 5 else images)
        return logits


def vgg11(num_channels: int, num_classes: int) -> nn.Module:
    """Build VGG-11 without batch normalization."""
    layers: list[nn.Module] = []
    above = num_channels
    for block in counts.VGG11:
        for channels in block:
            layers += [nn.Conv2d(above, channels, 3, padding=1), nn.ReLU()]
            above = channels
        layers.append(nn.MaxPool2d(2))
    layers += [AveragePool(counts.VGG_POOLED), nn.Flatten()]
    width = above * counts.VGG_POOLED**2
    for _ in range(2):
        layers += [nn.Linear(width, counts.VGG_HIDDEN), nn.ReLU(), nn.Dropout(0.5)]
        width = counts.VGG_HIDDEN
    return nn.Sequential(*layers, nn.Linear(width, num_classes))


def small_cnn(num_channels: int, num_classes: int) -> nn.Module:
    """Build three strided convolutions and a linear layer."""
    layers: list[nn.Module] = []
    above = num_channels
    for channels in counts.SMALL_CNN:
        layers += [nn.Conv2d(above, channels, 3, stride=2, padding=1), nn.ReLU()]
        above = channels
    pooled = above * counts.SMALL_POOLED**2
    return nn.Sequential(
        *layers, AveragePool(counts.SMALL_POOLED), nn.Flatten(), nn.Linear(pooled, num_classes)
    )


def linear(num_channels: int, num_classes: int) -> nn.Module:
    """Build a linear layer on a small image."""
    pooled = num_channels * counts.LINEAR_POOLED**2
    return nn.Sequential(AveragePool(counts.LINEAR_POOLED), nn.Flatten(), nn.Linear(pooled, num_classes))


@lru_cache(maxsize=2)
def resident(name: str, num_channels: int, num_classes: int, device: str) -> nn.Module:
    """Return this process's module of a classifier; its weights are whatever was loaded last."""
    return new(name, num_channels, num_classes, 0).to(device)


def new(name: str, num_channels: int, num_classes: int, seed: int) -> nn.Module:
    """Return a module on the CPU with fresh weights, the same for equal seeds."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Projected(resolve(registry("classifiers")[name].build)(num_channels, num_classes))


def load(module: nn.Module, weights: np.ndarray) -> None:
    """Copy flat weights into a module, which has no gradients then.

    Raises:
        ValueError: they are another classifier's.
    """
    unflatten(weights, list(module.parameters()))
    module.zero_grad()

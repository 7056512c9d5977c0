"""SD-UTNet: content maps are segmented; with a vector of style they give the image back.

P. Schutte et al., "FedGS: Federated gradient scaling for heterogeneous medical image segmentation",
MICCAI 2024 Workshops (DeCaF), arXiv 2408.11701, after "Disentangled representation learning in cardiac
image analysis" (Chartsias et al., Med. Image Anal. 2019). Written from a description. The segmentor
gives logits; the scenario's loss makes probabilities of them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from simulator.errors import ScenarioError
from simulator.learning.nets.utnet import UTNet, xavier
from simulator.learning.nets.utnet_sizes import (
    CONTENT,
    DIVISOR,
    LAYERS,
    MLP,
    SEGMENTOR,
    STYLE,
    STYLE_HIDDEN,
    SDUTNetSettings,
)

SUPERVISED, KL, STYLE_ERROR, IMAGE_ERROR = 10.0, 0.01, 1.0, 1.0
"""Weights of the terms of the loss."""


class StyleEncoder(nn.Module):
    """The style of an image: mean and log variance of 8 numbers."""

    def __init__(self, num_channels: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        above = num_channels
        for channels in STYLE:
            layers += [nn.Conv2d(above, channels, 3, stride=2, padding=1)]
            layers += [nn.BatchNorm2d(channels), nn.LeakyReLU(0.2)]
            above = channels
        pixels = shape[0] * shape[1] >> 2 * len(STYLE)
        layers += [nn.Flatten(), nn.Linear(above * pixels, STYLE_HIDDEN)]
        self.body = nn.Sequential(*layers, nn.BatchNorm1d(STYLE_HIDDEN), nn.LeakyReLU(0.03))
        self.mean, self.log_variance = (nn.Linear(STYLE_HIDDEN, CONTENT) for _ in range(2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A draw of the style, its mean and its log variance, each ``(batch, 8)``.

        Raises:
            ScenarioError: a single image cannot be normalized over its batch.
        """
        if len(images) < 2:
            raise ScenarioError(
                "task.batch_size: sd-utnet normalizes styles over a batch and met one of a single image; "
                "choose another batch size, or a method that drops batches that are not full (fedgs)"
            )
        hidden = self.body(images)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        return mean + torch.randn_like(mean) * (0.5 * log_variance).exp(), mean, log_variance


class Decoder(nn.Module):
    """From content and style to an image, by adaptive instance normalization."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in ((CONTENT, MLP), (MLP, MLP), (MLP, 2 * LAYERS * CONTENT)):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.mlp = nn.Sequential(*layers)
        self.layers = nn.ModuleList(nn.Conv2d(CONTENT, CONTENT, 3, padding=1) for _ in range(LAYERS))
        self.last = nn.Conv2d(CONTENT, num_channels, 3, padding=1)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """``(batch, 8, y, x)`` and ``(batch, 8)`` to ``(batch, channels, y, x)``."""
        factors = self.mlp(style).view(len(style), LAYERS, 2, CONTENT, 1, 1)
        for number, layer in enumerate(self.layers):
            scale, shift = factors[:, number].unbind(dim=1)
            content = functional.instance_norm(layer(content)) * scale + shift
        image: Tensor = self.last(content).tanh()
        return image


class SDUTNet(nn.Module):
    """Content encoder, segmentor, style encoder and decoder; the last two work in training alone."""

    supervised_weight = SUPERVISED

    def __init__(self, num_channels: int, num_outputs: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.content = UTNet(num_channels, CONTENT)
        layers: list[nn.Module] = []
        for c_in in (CONTENT, SEGMENTOR):
            layers += [nn.Conv2d(c_in, SEGMENTOR, 3, padding=1), nn.BatchNorm2d(SEGMENTOR), nn.ReLU()]
        self.segmentor = nn.Sequential(*layers, nn.Conv2d(SEGMENTOR, num_outputs, 1))
        self.style = StyleEncoder(num_channels, shape)
        self.decoder = Decoder(num_channels)
        self._auxiliary: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        """``(batch, channels, y, x)`` to logits ``(batch, outputs, y, x)``."""
        content: Tensor = self.content(images).tanh()
        if self.training:
            self._auxiliary = self._disentangled(images, content)
        logits: Tensor = self.segmentor(content)
        return logits

    def take_auxiliary(self) -> Tensor:
        """Return the auxiliary loss of the last pass in training, once.

        Raises:
            ValueError: there was no such pass.
        """
        found, self._auxiliary = self._auxiliary, None
        if found is None:
            raise ValueError("no pass in training since the auxiliary loss was taken")
        return found

    def _disentangled(self, images: Tensor, content: Tensor) -> Tensor:
        """KL of the style to a normal distribution, and errors of style and image after a round trip."""
        style, mean, log_variance = self.style(images)
        restored = self.decoder(content, style)
        again, _, _ = self.style(restored)
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1).mean()
        errors = STYLE_ERROR * (again - style).abs().mean() + IMAGE_ERROR * (restored - images).abs().mean()
        total: Tensor = KL * kl + errors
        return total


def sd_utnet(settings: SDUTNetSettings, num_channels: int, num_outputs: int, spatial_dims: int) -> nn.Module:
    """Build SD-UTNet for items of one size, padded to a multiple of 128.

    Raises:
        ScenarioError: items differ in size.
    """
    if settings.image_size is None:
        raise ScenarioError("task.patch_size: sd-utnet needs items of one size; set a patch size")
    shape = tuple(-(-edge // DIVISOR) * DIVISOR for edge in settings.image_size)
    return xavier(SDUTNet(num_channels, num_outputs, shape))

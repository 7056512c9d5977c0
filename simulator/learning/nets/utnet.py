"""UTNet: a U-Net of residual blocks whose lower levels attend to their image at a reduced size.

Y. Gao, M. Zhou, D. Metaxas, "UTNet: a hybrid transformer architecture for medical image segmentation",
MICCAI 2021. Written from a description; where that is silent, the position bias joins the scaled
products of queries and keys, and interpolation is bilinear with aligned corners.
"""

from functools import partial

import torch
from torch import Tensor, nn

from simulator.learning.nets.utnet_sizes import ATTENTION, CHANNELS, REDUCED, UTNetSettings
from simulator.learning.resizing import resized

_aligned = partial(resized, align_corners=True)


def separable(c_in: int, c_out: int) -> nn.Module:
    """A convolution per channel, then one of points."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_in, 3, padding=1, groups=c_in, bias=False), nn.Conv2d(c_in, c_out, 1, bias=False)
    )


class Residual(nn.Module):
    """Two convolutions, each after normalization and ReLU, beside a shortcut."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for above in (c_in, c_out):
            layers += [nn.BatchNorm2d(above), nn.ReLU(), nn.Conv2d(above, c_out, 3, padding=1, bias=False)]
        self.body = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if c_in != c_out:
            self.shortcut = nn.Sequential(
                nn.BatchNorm2d(c_in), nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False)
            )

    def forward(self, features: Tensor) -> Tensor:
        """``(batch, c_in, y, x)`` to ``(batch, c_out, y, x)``."""
        found: Tensor = self.body(features) + self.shortcut(features)
        return found


class Attention(nn.Module):
    """Every pixel attends to 8x8 keys and values, with a learned bias by relative position."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.bias = nn.Parameter(torch.zeros((2 * REDUCED - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        cells = torch.cartesian_prod(torch.arange(REDUCED), torch.arange(REDUCED))
        offset = cells[:, None] - cells[None] + REDUCED - 1
        self.register_buffer("index", offset[..., 0] * (2 * REDUCED - 1) + offset[..., 1])
        self.out = separable(channels, channels)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Queries ``(batch, channels, y, x)``, keys and values of any size."""
        batch, channels, height, width = queries.shape
        q, k, v = (
            features.reshape(batch, self.heads, channels // self.heads, -1)
            for features in (queries, _aligned(keys, (REDUCED,) * 2), _aligned(values, (REDUCED,) * 2))
        )
        scores = (q.transpose(2, 3) @ k) * (channels // self.heads) ** -0.5 + self._bias(height, width)
        found = (scores.softmax(dim=-1) @ v.transpose(2, 3)).transpose(2, 3)
        result: Tensor = self.out(found.reshape(batch, channels, height, width))
        return result

    def _bias(self, height: int, width: int) -> Tensor:
        """The bias of each pixel's cell to each key, ``(heads, y·x, keys)``."""
        index = self.get_buffer("index")
        rows = torch.arange(height, device=index.device) * REDUCED // height
        columns = torch.arange(width, device=index.device) * REDUCED // width
        cells = (rows[:, None] * REDUCED + columns[None]).reshape(-1)
        return self.bias[index[cells]].permute(2, 0, 1)


class PointwiseBlock(nn.Module):
    """What follows attention: normalization, ReLU and a convolution of points, beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 1, bias=False)
        )

    def forward(self, features: Tensor) -> Tensor:
        """``(batch, channels, y, x)`` to the same."""
        found: Tensor = features + self.body(features)
        return found


class SelfAttention(nn.Module):
    """A level that attends to itself."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.project = separable(channels, 3 * channels)
        self.attention = Attention(channels, heads)
        self.points = PointwiseBlock(channels)

    def forward(self, features: Tensor) -> Tensor:
        """``(batch, channels, y, x)`` to the same."""
        found = features + self.attention(*self.project(self.norm(features)).chunk(3, dim=1))
        result: Tensor = self.points(found)
        return result


class AttentionUp(nn.Module):
    """A level that attends to the one below it."""

    def __init__(self, c_in: int, c_out: int, heads: int) -> None:
        super().__init__()
        self.norm_below, self.norm = nn.BatchNorm2d(c_in), nn.BatchNorm2d(c_out)
        self.shortcut = nn.Conv2d(c_in, c_out, 1)
        self.project_below, self.project = separable(c_in, 2 * c_out), separable(c_out, c_out)
        self.attention = Attention(c_out, heads)
        self.points = PointwiseBlock(c_out)

    def forward(self, below: Tensor, skipped: Tensor) -> Tensor:
        """``(batch, c_in, y/2, x/2)`` and ``(batch, c_out, y, x)`` to the size of the second."""
        keys, values = self.project_below(self.norm_below(below)).chunk(2, dim=1)
        found = self.attention(self.project(self.norm(skipped)), keys, values)
        result: Tensor = self.points(found + _aligned(self.shortcut(below), skipped.shape[2:]))
        return result


class PlainUp(nn.Module):
    """The level below, enlarged, with the channels of this one."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(c_in, c_out, 1)

    def forward(self, below: Tensor, skipped: Tensor) -> Tensor:
        """``(batch, c_in, y/2, x/2)`` to ``(batch, c_out, y, x)``."""
        found: Tensor = self.shortcut(_aligned(below, skipped.shape[2:]))
        return found


class UTNet(nn.Module):
    """Encoder, decoder with skipped connections, and a 1x1 convolution."""

    def __init__(self, num_channels: int, num_outputs: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList()
        for level, channels in enumerate(CHANNELS):
            above = CHANNELS[level - 1] if level else num_channels
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if level else []
            layers.append(Residual(above, channels))
            if level in ATTENTION:
                blocks, heads = ATTENTION[level]
                layers += [SelfAttention(channels, heads) for _ in range(blocks)]
            else:
                layers.append(Residual(channels, channels))
            self.encoder.append(nn.Sequential(*layers))
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(CHANNELS) - 1)):
            channels, below = CHANNELS[level : level + 2]
            joined = [Residual(2 * channels, channels)]
            if level in ATTENTION:
                self.up.append(AttentionUp(below, channels, ATTENTION[level + 1][1]))
            else:
                self.up.append(PlainUp(below, channels))
                joined.append(Residual(channels, channels))
            self.decoder.append(nn.Sequential(*joined))
        self.head = nn.Conv2d(CHANNELS[0], num_outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """``(batch, channels, y, x)``, edges multiples of 128, to logits ``(batch, outputs, y, x)``."""
        levels = [images]
        for down in self.encoder:
            levels.append(down(levels[-1]))
        features = levels.pop()
        for up, block in zip(self.up, self.decoder, strict=True):
            skipped = levels.pop()
            features = block(torch.cat([up(features, skipped), skipped], dim=1))
        logits: Tensor = self.head(features)
        return logits


def xavier(network: nn.Module) -> nn.Module:
    """Draw weights of convolutions and linear layers by Xavier's normal rule; biases are 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def utnet(settings: UTNetSettings, num_channels: int, num_outputs: int, spatial_dims: int) -> nn.Module:
    """Build UTNet."""
    return xavier(UTNet(num_channels, num_outputs))

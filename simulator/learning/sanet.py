"""SA-Net as a torch module, see :mod:`simulator.learning.sanet_size` for its source and counts."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from simulator.learning.losses import Output
from simulator.learning.resizing import max_pooled, resized
from simulator.learning.sanet_size import REDUCTION, SanetSettings

_CONV: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_INSTANCE: dict[int, type[nn.Module]] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_BATCH: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_SLOPE = 0.01


def sanet(settings: SanetSettings, num_channels: int, num_structures: int, spatial_dims: int) -> nn.Module:
    """Build an SA-Net; ``num_structures`` counts output channels."""
    network = SaNet(settings, num_channels, num_structures, spatial_dims)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if settings.activation == "relu":
                nn.init.xavier_uniform_(layer.weight)
            else:
                nn.init.kaiming_normal_(layer.weight, a=_SLOPE)
    return network


class _Layers:
    """Makes the layers that all parts share: convolutions, linear layers, norms, the activation."""

    def __init__(self, settings: SanetSettings, dims: int) -> None:
        self.dims, self._settings = dims, settings

    def conv(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Module:
        return _CONV[self.dims](c_in, c_out, kernel, stride, padding=kernel // 2, bias=self._settings.bias)

    def linear(self, c_in: int, c_out: int) -> nn.Linear:
        return nn.Linear(c_in, c_out, bias=self._settings.bias)

    def normalized(
        self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, *, norm: str = "instance"
    ) -> nn.Sequential:
        kind = _BATCH if norm == "batch" else _INSTANCE
        return nn.Sequential(self.conv(c_in, c_out, kernel, stride), kind[self.dims](c_out, affine=True))

    def activation(self) -> nn.Module:
        return nn.ReLU() if self._settings.activation == "relu" else nn.LeakyReLU(_SLOPE)


def _pooled(features: Tensor) -> Tensor:
    """Means over space, ``(batch, channels)``."""
    return features.flatten(2).mean(dim=2)


def _spread(weights: Tensor, features: Tensor) -> Tensor:
    """``(batch, channels)`` with as many axes as ``features``."""
    return weights.reshape(*weights.shape, *[1] * (features.ndim - 2))


class _Block(nn.Module):
    """Two convolutions, squeeze-and-excitation, and a residual connection."""

    def __init__(
        self, layers: _Layers, c_in: int, c_out: int, stride: int = 1, *, norm: str = "instance"
    ) -> None:
        super().__init__()
        self.first = layers.normalized(c_in, c_out, stride=stride, norm=norm)
        self.second = layers.normalized(c_out, c_out, norm=norm)
        self.squeeze = layers.linear(c_out, c_out // REDUCTION)
        self.excite = layers.linear(c_out // REDUCTION, c_out)
        same = stride == 1 and c_in == c_out
        self.shortcut = nn.Identity() if same else layers.normalized(c_in, c_out, 1, stride, norm=norm)
        self.activation = layers.activation()

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.activation(self.first(x)))
        scale = torch.sigmoid(self.excite(self.activation(self.squeeze(_pooled(y)))))
        out: Tensor = self.activation(y * _spread(scale, y) + self.shortcut(x))
        return out


class _DecoderLevel(nn.Module):
    """What comes up from below plus the attended scales of the encoder, through one block.

    The scales are brought to this level's size and channels; per channel their weights sum to 1.
    """

    def __init__(self, layers: _Layers, channels: Sequence[int], level: int, num_scales: int) -> None:
        super().__init__()
        own, scales = channels[level], range(num_scales)
        self.level = level
        self.up = layers.normalized(channels[level + 1], own, 1)
        self.resize = nn.ModuleList(
            nn.Identity() if scale == level else layers.normalized(channels[scale], own, 1)
            for scale in scales
        )
        self.squeeze = layers.linear(own, own // REDUCTION)
        self.excite = nn.ModuleList(layers.linear(own // REDUCTION, own) for _ in scales)
        self.activation = layers.activation()
        self.block = _Block(layers, own, own)

    def forward(self, below: Tensor, encoded: list[Tensor]) -> Tensor:
        size = list(encoded[self.level].shape[2:])
        scales = [self._fitted(x, layer, size) for x, layer in zip(encoded, self.resize, strict=True)]
        hidden = self.activation(self.squeeze(_pooled(torch.stack(scales).sum(dim=0))))
        weights = torch.stack([excite(hidden) for excite in self.excite]).softmax(dim=0)
        attended = [x * _spread(weight, x) for x, weight in zip(scales, weights, strict=True)]
        out: Tensor = self.block(torch.stack(attended).sum(dim=0) + self._fitted(below, self.up, size))
        return out

    def _fitted(self, x: Tensor, layer: nn.Module, size: list[int]) -> Tensor:
        """Channels and size of this level; every step is taken where there are fewer voxels."""
        factor = x.shape[2] // size[0]
        if factor > 1:
            x = max_pooled(x, factor)
        x = layer(x)
        if list(x.shape[2:]) != size:
            x = resized(x, size)
        return x


class SaNet(nn.Module):
    """Returns the main head's logits, in training with auxiliary heads a list, the main one first."""

    def __init__(self, settings: SanetSettings, num_channels: int, num_outputs: int, dims: int) -> None:
        super().__init__()
        layers, channels, depth = _Layers(settings, dims), settings.channels, len(settings.blocks)
        self.stem = nn.Sequential(layers.normalized(num_channels, channels[0]), layers.activation())
        self.encoder = nn.ModuleList(
            _encoder_level(layers, channels, level, num_blocks)
            for level, num_blocks in enumerate(settings.blocks)
        )
        self.center = _center(layers, settings)
        self.num_scales = settings.num_scales
        self.decoder = nn.ModuleList(
            _DecoderLevel(layers, channels, level, self.num_scales) for level in range(depth)
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.main = layers.conv(2 * channels[0], num_outputs, 1)
        num_auxiliary = 0 if settings.auxiliary == "none" else depth - 1
        self.auxiliary = nn.ModuleList(
            layers.conv(channels[level], num_outputs, 1) for level in range(1, num_auxiliary + 1)
        )
        self.full_size = settings.auxiliary == "full"

    def forward(self, x: Tensor) -> Output:
        """Logits ``(batch, outputs, *spatial)``."""
        first = features = self.stem(x)
        encoded: list[Tensor] = []
        for level in self.encoder:
            features = level(features)
            encoded.append(features)
        features = self.center(features)
        scales = [*encoded, features][: self.num_scales]
        decoded: list[Tensor] = []  # from the top
        for level in reversed(self.decoder):
            features = level(features, scales)
            decoded.insert(0, features)
        # the stem's features at the main head are what the published counts leave room for
        logits: Tensor = self.main(self.dropout(torch.cat([decoded[0], first], dim=1)))
        if not self.training or not self.auxiliary:
            return logits
        others = [head(found) for head, found in zip(self.auxiliary, decoded[1:], strict=True)]
        if self.full_size:
            size = list(logits.shape[2:])
            others = [resized(head, size) for head in others]
        return [logits, *others]


def _encoder_level(layers: _Layers, channels: Sequence[int], level: int, num_blocks: int) -> nn.Sequential:
    above, stride = (channels[level - 1], 2) if level else (channels[0], 1)
    first = _Block(layers, above, channels[level], stride)
    rest = (_Block(layers, channels[level], channels[level]) for _ in range(num_blocks - 1))
    return nn.Sequential(first, *rest)


def _center(layers: _Layers, settings: SanetSettings) -> nn.Sequential:
    above, own = settings.channels[-2:]
    norm = settings.center_norm
    if settings.center == "level":
        return nn.Sequential(_Block(layers, above, own, 2, norm=norm))
    center: list[nn.Module] = []
    for turn in range(settings.center_convs):
        c_in, stride = (own, 1) if turn else (above, 2)
        center += [layers.normalized(c_in, own, stride=stride, norm=norm), layers.activation()]
    return nn.Sequential(*center)

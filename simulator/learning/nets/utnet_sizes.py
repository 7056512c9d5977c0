"""UTNet and its disentangled form: settings and exact counts, without torch.

Y. Gao, M. Zhou, D. Metaxas, "UTNet: a hybrid transformer architecture for medical image segmentation",
MICCAI 2021; as P. Schutte et al., "FedGS", MICCAI 2024 Workshops (DeCaF), use it. Floating-point
operations are two per multiply-add of convolutions, linear layers and the two products of an attention.
"""

import math
from dataclasses import dataclass
from typing import Literal

from simulator.errors import ScenarioError
from simulator.registry import ModelSize, Network, Settings

CHANNELS = (32, 64, 128, 256, 512)
"""From the top level to the bottom."""
ATTENTION = {2: (1, 2), 3: (2, 4), 4: (4, 8)}
"""Blocks and heads of the encoder's levels that have attention; the decoder has one at levels 2 and 3,
with the heads of the level below it.
"""
REDUCED = 8
"""Keys and values are interpolated to this edge."""
DIVISOR = REDUCED << (len(CHANNELS) - 1)
"""Each edge at the bottom is a multiple of the reduced edge."""
CONTENT, SEGMENTOR, STYLE, STYLE_HIDDEN, MLP = 8, 64, (16, 32, 64, 128), 32, 256
"""Channels of the disentangled network: content maps (also entries of the style), segmentor, style
encoder, its hidden layer, and the decoder's MLP.
"""
LAYERS = 3
"""Convolutions of the decoder whose output the style scales and shifts."""


class UTNetSettings(Settings):
    """UTNet for 2-D items: residual blocks with attention at the lower levels, batch normalization."""

    name: Literal["utnet"] = "utnet"

    @property
    def divisor(self) -> int:
        """Every edge is padded to a multiple of it."""
        return DIVISOR


class SDUTNetSettings(Settings):
    """The disentangled UTNet: content maps are segmented, and with a style vector give the image back.

    In training its loss is 10 times the scenario's, and .01 KL + |z~ − z| + |reconstruction − image|.
    """

    name: Literal["sd-utnet"] = "sd-utnet"
    image_size: tuple[int, ...] | None = None

    @property
    def divisor(self) -> int:
        """Every edge is padded to a multiple of it."""
        return DIVISOR


@dataclass(slots=True, kw_only=True)
class _Tally:
    """Adds up layers."""

    parameters: int = 0
    normed: int = 0  # channels of all batch normalizations
    counters: int = 0
    flop: float = 0.0

    def conv(
        self, c_in: int, c_out: int, pixels: int, kernel: int, *, groups: int = 1, bias: bool = False
    ) -> None:
        weights = c_in // groups * c_out * kernel**2
        self.parameters += weights + c_out * bias
        self.flop += 2.0 * weights * pixels

    def linear(self, n_in: int, n_out: int) -> None:
        self.parameters += (n_in + 1) * n_out
        self.flop += 2.0 * n_in * n_out

    def norm(self, channels: int) -> None:
        self.parameters += 2 * channels
        self.normed += channels
        self.counters += 1

    def residual(self, c_in: int, c_out: int, pixels: int) -> None:
        for above in (c_in, c_out):
            self.norm(above)
            self.conv(above, c_out, pixels, 3)
        if c_in != c_out:
            self.norm(c_in)
            self.conv(c_in, c_out, pixels, 1)

    def separable(self, c_in: int, c_out: int, pixels: int) -> None:
        self.conv(c_in, c_in, pixels, 3, groups=c_in)
        self.conv(c_in, c_out, pixels, 1)

    def products(self, channels: int, pixels: int, heads: int) -> None:
        """Queries with keys, and weights with values; the position bias and its index."""
        self.flop += 2 * 2.0 * pixels * REDUCED**2 * channels
        self.parameters += (2 * REDUCED - 1) ** 2 * heads
        self.counters += REDUCED**4

    def transform(self, channels: int, pixels: int, heads: int) -> None:
        """Attention of a level to itself."""
        self.separable(channels, 3 * channels, pixels)
        self.finish(channels, pixels, heads)
        self.norm(channels)

    def finish(self, channels: int, pixels: int, heads: int) -> None:
        """What attention does with queries, keys and values."""
        self.products(channels, pixels, heads)
        self.separable(channels, channels, pixels)
        self.norm(channels)
        self.conv(channels, channels, pixels, 1)

    def look_up(self, c_in: int, c_out: int, pixels: tuple[int, int], heads: int) -> None:
        """Attention of a level to the one below it."""
        self.norm(c_in)
        self.norm(c_out)
        self.conv(c_in, c_out, pixels[0], 1, bias=True)
        self.separable(c_in, 2 * c_out, pixels[0])
        self.separable(c_out, c_out, pixels[1])
        self.finish(c_out, pixels[1], heads)


def _padded(item_shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    if len(item_shape) != 2:
        raise ScenarioError(f"task.network: {name} is for 2-D items; choose unet for volumes")
    return tuple(math.ceil(edge / DIVISOR) * DIVISOR for edge in item_shape)


def _count_utnet(tally: _Tally, num_channels: int, num_outputs: int, num_pixels: int) -> None:
    pixels = [num_pixels >> 2 * level for level in range(len(CHANNELS))]
    tally.residual(num_channels, CHANNELS[0], pixels[0])
    tally.residual(CHANNELS[0], CHANNELS[0], pixels[0])
    for level in range(1, len(CHANNELS)):
        above, channels = CHANNELS[level - 1 : level + 1]
        tally.residual(above, channels, pixels[level])
        blocks, heads = ATTENTION.get(level, (0, 0))
        if not blocks:
            tally.residual(channels, channels, pixels[level])
        for _ in range(blocks):
            tally.transform(channels, pixels[level], heads)
    for level in reversed(range(len(CHANNELS) - 1)):
        channels, below = CHANNELS[level : level + 2]
        if level in ATTENTION:
            tally.look_up(below, channels, (pixels[level + 1], pixels[level]), ATTENTION[level + 1][1])
        else:
            tally.conv(below, channels, pixels[level], 1, bias=True)
        tally.residual(2 * channels, channels, pixels[level])
        if level not in ATTENTION:
            tally.residual(channels, channels, pixels[level])
    tally.conv(CHANNELS[0], num_outputs, pixels[0], 1, bias=True)


def _size(tally: _Tally, head: tuple[int, int]) -> ModelSize:
    return ModelSize(
        num_parameters=tally.parameters,
        num_buffers=2 * tally.normed,
        num_counters=tally.counters,
        forward_flop=tally.flop,
        parts={"head": head, "batch_norm": (2 * tally.normed, 2 * tally.normed)},
    )


def utnet_size(
    settings: UTNetSettings, num_channels: int, num_outputs: int, item_shape: tuple[int, ...]
) -> ModelSize:
    """Count UTNet.

    Raises:
        ScenarioError: items are volumes.
    """
    tally = _Tally()
    _count_utnet(tally, num_channels, num_outputs, math.prod(_padded(item_shape, "utnet")))
    return _size(tally, ((CHANNELS[0] + 1) * num_outputs, 0))


def sd_utnet_size(
    settings: SDUTNetSettings, num_channels: int, num_outputs: int, item_shape: tuple[int, ...]
) -> ModelSize:
    """Count the disentangled UTNet; a pass in training, which has a style encoder twice and a decoder.

    Raises:
        ScenarioError: items are volumes.
    """
    shape = _padded(item_shape, "sd-utnet")
    pixels, tally = math.prod(shape), _Tally()
    for _ in range(2):  # the style of the image and of its reconstruction; parameters count once
        tally.parameters = tally.normed = tally.counters = 0
        above = num_channels
        for level, channels in enumerate(STYLE, start=1):
            tally.conv(above, channels, pixels >> 2 * level, 3, bias=True)
            tally.norm(channels)
            above = channels
        tally.linear(above * (pixels >> 2 * len(STYLE)), STYLE_HIDDEN)
        tally.norm(STYLE_HIDDEN)
        for _ in ("mean", "log-variance"):
            tally.linear(STYLE_HIDDEN, CONTENT)
    _count_utnet(tally, num_channels, CONTENT, pixels)
    for n_in, n_out in ((CONTENT, MLP), (MLP, MLP), (MLP, 2 * LAYERS * CONTENT)):
        tally.linear(n_in, n_out)
    for c_out in (*(CONTENT,) * LAYERS, num_channels):
        tally.conv(CONTENT, c_out, pixels, 3, bias=True)
    rest = tally.parameters, 2 * tally.normed
    for c_in in (CONTENT, SEGMENTOR):
        tally.conv(c_in, SEGMENTOR, pixels, 3, bias=True)
        tally.norm(SEGMENTOR)
    tally.conv(SEGMENTOR, num_outputs, pixels, 1, bias=True)
    return _size(tally, (tally.parameters - rest[0], 2 * tally.normed - rest[1]))


UTNET = Network(
    settings=UTNetSettings,
    size=utnet_size,
    build="simulator.learning.nets.utnet:utnet",
    parts={"head": r"^head\."},
    bottleneck=r"^encoder\.4$",
    summary="U-Net with attention at its lower levels, 2-D",
    source="Gao, Zhou, Metaxas, MICCAI 2021",
)
SD_UTNET = Network(
    settings=SDUTNetSettings,
    size=sd_utnet_size,
    build="simulator.learning.nets.sd_utnet:sd_utnet",
    parts={"head": r"^segmentor\."},
    bottleneck=r"^content\.encoder\.4$",
    summary="UTNet that also disentangles content and style, 2-D",
    source="Schutte et al., FedGS, MICCAI Workshops (DeCaF) 2024",
)

"""SA-Net as scenarios name it, and its exact counts, without torch.

Y. Yuan, "Automatic Brain Tumor Segmentation with Scale Attention Network", BrainLes 2020 (LNCS 12658,
2021): a residual encoder-decoder with squeeze-and-excitation whose skip connections weigh all scales
of the encoder. The authors of GCML use it as backbone. What is published of it leaves choices open;
those made here give the authors' counts exactly for their BraTS variants (4,124,700 parameters and
1,155 buffer entries at width 12; 16,484,544 and 2,307 at width 24). Other choices would too: which
ones the authors made is not known. Their PanSeg variant (10,312,711 parameters) is not reproduced.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from simulator.errors import ScenarioError
from simulator.registry import ModelSize, Network, Settings

REDUCTION = 4
"""Of squeeze-and-excitation and of scale attention."""


class SanetSettings(Settings):
    """SA-Net.

    ``width`` channels at the top level, twice as many at each level below and in the center, at most
    ``max_channels``; ``blocks`` residual blocks in each level of the encoder, one in the decoder. The
    center has ``center_convs`` convolutions under ``center_norm``; everything else is normalized per
    channel and item. ``auxiliary`` heads sit on all levels of the decoder below the top, their logits
    resized to ``full`` size (as ``jaccard_focal`` wants) or left at their ``own`` (``jaccard_ce``), or there
    are none. ``dropout`` comes before the main head.
    """

    name: Literal["sanet"] = "sanet"
    width: Annotated[int, Field(ge=4, multiple_of=4)] = 12
    blocks: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2)] = (3, 5, 3, 1)
    max_channels: Annotated[int, Field(ge=4, multiple_of=4)] | None = None
    center_convs: Annotated[int, Field(ge=1)] = 3
    center_norm: Literal["batch", "instance"] = "batch"
    activation: Literal["relu", "leaky_relu"] = "relu"
    auxiliary: Literal["full", "own", "none"] = "full"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level from the top, and of the center."""
        limit = self.max_channels or math.inf
        return tuple(int(min(self.width * 2**level, limit)) for level in range(len(self.blocks) + 1))

    @property
    def divisor(self) -> int:
        """Every spatial edge is padded to a multiple of it."""
        return int(2 ** len(self.blocks))


@dataclass(slots=True, kw_only=True)
class _Count:
    """Adds up layers, none of which has a bias but normalization."""

    dims: int
    parameters: int = 0
    flop: float = 0.0

    def convolution(self, c_in: int, c_out: int, voxels: int, kernel: int = 3) -> None:
        """A convolution without normalization; ``voxels`` of its output."""
        weights = c_in * c_out * kernel**self.dims
        self.parameters += weights
        self.flop += 2.0 * weights * voxels

    def normalized(self, c_in: int, c_out: int, voxels: int, kernel: int = 3) -> None:
        self.convolution(c_in, c_out, voxels, kernel)
        self.parameters += 2 * c_out

    def block(self, c_in: int, c_out: int, voxels: int) -> None:
        """A residual block with squeeze-and-excitation."""
        self.normalized(c_in, c_out, voxels)
        self.normalized(c_out, c_out, voxels)
        self.convolution(c_out, c_out // REDUCTION, 1, kernel=1)
        self.convolution(c_out // REDUCTION, c_out, 1, kernel=1)
        if c_in != c_out:
            self.normalized(c_in, c_out, voxels, kernel=1)


def sanet_size(
    settings: SanetSettings, num_channels: int, num_structures: int, item_shape: tuple[int, ...]
) -> ModelSize:
    """Count one SA-Net; ``num_structures`` counts output channels.

    Raises:
        ScenarioError: an item shrinks to a single voxel, which normalization cannot handle.
    """
    dims, depth, channels = len(item_shape), len(settings.blocks), settings.channels
    shape = [math.ceil(edge / settings.divisor) * settings.divisor for edge in item_shape]
    voxels = [math.prod(edge >> level for edge in shape) for level in range(depth + 1)]
    if voxels[-1] < 2:
        raise ScenarioError(
            f"task.network.blocks: items of {'x'.join(map(str, item_shape))} shrink to one voxel "
            f"below {depth} levels; use fewer levels or larger items"
        )
    count = _Count(dims=dims)
    count.normalized(num_channels, channels[0], voxels[0])
    for level, num_blocks in enumerate(settings.blocks):
        for block in range(num_blocks):
            above = channels[max(level - 1, 0)]
            is_first = block == 0 and level > 0
            count.block(above if is_first else channels[level], channels[level], voxels[level])
            if is_first and above == channels[level]:  # a stride needs the projection as well
                count.normalized(above, channels[level], voxels[level], kernel=1)
    for turn in range(settings.center_convs):
        count.normalized(channels[-1] if turn else channels[-2], channels[-1], voxels[-1])
    encoder = count.parameters
    for level in range(depth):
        _decoder_level(count, channels, voxels, level)
    trunk = count.parameters
    count.convolution(2 * channels[0], num_structures, voxels[0], kernel=1)
    for level in range(1, depth if settings.auxiliary != "none" else 0):
        count.convolution(channels[level], num_structures, voxels[level], kernel=1)
    buffers = 2 * channels[-1] * settings.center_convs if settings.center_norm == "batch" else 0
    parts = {"head": (count.parameters - trunk, 0), "decoder": (count.parameters - encoder, 0)}
    if buffers:
        parts["batch_norm"] = buffers, buffers
    return ModelSize(
        num_parameters=count.parameters,
        num_buffers=buffers,
        num_counters=settings.center_convs if buffers else 0,
        forward_flop=count.flop,
        parts=parts,
        num_heads=1 if settings.auxiliary == "none" else depth,
    )


def _decoder_level(count: _Count, channels: tuple[int, ...], voxels: list[int], level: int) -> None:
    """What comes up from below, attention over all scales of the encoder, and one block."""
    own, depth = channels[level], len(channels) - 1
    count.normalized(channels[level + 1], own, voxels[level + 1], kernel=1)
    for other in range(depth):
        if other != level:
            count.normalized(channels[other], own, voxels[max(other, level)], kernel=1)
    count.convolution(own, own // REDUCTION, 1, kernel=1)
    for _ in range(depth):
        count.convolution(own // REDUCTION, own, 1, kernel=1)
    count.block(own, own, voxels[level])


SANET = Network(
    settings=SanetSettings,
    size=sanet_size,
    build="simulator.learning.sanet:sanet",
    parts={"head": r"^(main|auxiliary)\.", "decoder": r"^(decoder|main|auxiliary)\."},
    bottleneck=r"^center$",
    summary="SA-Net: residual blocks with squeeze-and-excitation, attention over scales, deep supervision",
    source="Yuan, Scale Attention Network, BrainLes 2020; the layout is ours, fitted to the published counts",
)

"""SA-Net as scenarios name it, and its exact counts, without torch.

Y. Yuan, "Automatic Brain Tumor Segmentation with Scale Attention Network", BrainLes 2020 (LNCS 12658,
2021): a residual encoder-decoder with squeeze-and-excitation whose skip connections weigh all scales
of the encoder. The authors of GCML use it as backbone. What is published of it leaves choices open;
those made here give the authors' counts exactly: 4,124,700 parameters and 1,155 buffer entries for
BraTS at width 12, 16,484,544 and 2,307 at width 24, and, with the settings that docs/networks.md
gives, 10,312,711 and none for PanSeg ("v2"). Other choices would too: which ones the authors made is
not known.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.errors import ScenarioError
from simulator.registry import ModelSize, Network, Settings

REDUCTION = 4
"""Of squeeze-and-excitation and of scale attention."""


def _later(default: object) -> Any:
    """A setting that older scenarios do not know: left out of a dump at its default, so that their
    tasks keep their keys and seeds.
    """
    return Field(exclude_if=lambda value: value == default)


class SanetSettings(Settings):
    """SA-Net.

    ``width`` channels at the top level, twice as many at each level below and in the center, at most
    ``max_channels``; ``blocks`` residual blocks in each level of the encoder, one in the decoder. The
    center has ``center_convs`` convolutions, or is one ``level`` more of the encoder: a residual block
    that the attention weighs too. It has ``center_norm``; everything else is normalized per channel and
    item. With ``bias`` all convolutions and linear layers have one. ``auxiliary`` heads sit on all levels
    of the decoder below the top, their logits resized to ``full`` size (as ``jaccard_focal`` wants) or left
    at their ``own`` (``jaccard_ce``), or there are none. ``dropout`` comes before the main head.
    """

    name: Literal["sanet"] = "sanet"
    width: Annotated[int, Field(ge=4, multiple_of=4)] = 12
    blocks: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2)] = (3, 5, 3, 1)
    max_channels: Annotated[int, Field(ge=4, multiple_of=4)] | None = None
    center: Annotated[Literal["convolutions", "level"], _later("convolutions")] = "convolutions"
    center_convs: Annotated[int, Field(ge=1)] = 3
    center_norm: Literal["batch", "instance"] = "batch"
    bias: Annotated[bool, _later(False)] = False
    activation: Literal["relu", "leaky_relu"] = "relu"
    auxiliary: Literal["full", "own", "none"] = "full"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2

    @model_validator(mode="after")
    def _convolutions_of_a_center_that_has_them(self) -> "SanetSettings":
        if self.center == "level" and self.center_convs != type(self).model_fields["center_convs"].default:
            raise ValueError("center_convs: a center that is a level has one residual block; remove it")
        return self

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level from the top, and of the center."""
        limit = self.max_channels or math.inf
        return tuple(int(min(self.width * 2**level, limit)) for level in range(len(self.blocks) + 1))

    @property
    def num_scales(self) -> int:
        """How many scales the attention weighs."""
        return len(self.blocks) + (self.center == "level")

    @property
    def divisor(self) -> int:
        """Every spatial edge is padded to a multiple of it."""
        return int(2 ** len(self.blocks))


@dataclass(slots=True, kw_only=True)
class _Count:
    """Adds up layers, all of them with ``bias`` or none."""

    dims: int
    bias: bool
    parameters: int = 0
    flop: float = 0.0

    def convolution(self, c_in: int, c_out: int, voxels: int, kernel: int = 3) -> None:
        """A convolution without normalization; ``voxels`` of its output."""
        weights = c_in * c_out * kernel**self.dims
        self.parameters += weights + self.bias * c_out
        self.flop += 2.0 * weights * voxels

    def linear(self, c_in: int, c_out: int) -> None:
        """A linear layer on pooled features."""
        self.convolution(c_in, c_out, 1, kernel=1)

    def normalized(self, c_in: int, c_out: int, voxels: int, kernel: int = 3) -> None:
        """A convolution and its normalization."""
        self.convolution(c_in, c_out, voxels, kernel)
        self.parameters += 2 * c_out

    def block(self, c_in: int, c_out: int, voxels: int, *, is_strided: bool = False) -> None:
        """A residual block with squeeze-and-excitation; a stride needs a projection."""
        self.normalized(c_in, c_out, voxels)
        self.normalized(c_out, c_out, voxels)
        self.linear(c_out, c_out // REDUCTION)
        self.linear(c_out // REDUCTION, c_out)
        if is_strided or c_in != c_out:
            self.normalized(c_in, c_out, voxels, kernel=1)


def sanet_size(
    settings: SanetSettings, num_channels: int, num_structures: int, item_shape: tuple[int, ...]
) -> ModelSize:
    """Count one SA-Net; ``num_structures`` counts output channels.

    Raises:
        ScenarioError: an item shrinks to a single voxel, which normalization cannot handle.
    """
    depth, channels = len(settings.blocks), settings.channels
    voxels = _voxels(settings, item_shape)
    count = _Count(dims=len(item_shape), bias=settings.bias)
    count.normalized(num_channels, channels[0], voxels[0])
    for level, num_blocks in enumerate(settings.blocks):
        count.block(channels[max(level - 1, 0)], channels[level], voxels[level], is_strided=level > 0)
        for _ in range(num_blocks - 1):
            count.block(channels[level], channels[level], voxels[level])
    num_norms = _center(count, settings, voxels[-1])
    encoder = count.parameters
    for level in range(depth):
        _decoder_level(count, settings, voxels, level)
    trunk = count.parameters
    count.convolution(2 * channels[0], num_structures, voxels[0], kernel=1)
    for level in range(1, depth if settings.auxiliary != "none" else 0):
        count.convolution(channels[level], num_structures, voxels[level], kernel=1)
    buffers = 2 * channels[-1] * num_norms if settings.center_norm == "batch" else 0
    parts = {"head": (count.parameters - trunk, 0), "decoder": (count.parameters - encoder, 0)}
    if buffers:
        parts["batch_norm"] = buffers, buffers
    return ModelSize(
        num_parameters=count.parameters,
        num_buffers=buffers,
        num_counters=num_norms if buffers else 0,
        forward_flop=count.flop,
        parts=parts,
        num_heads=1 if settings.auxiliary == "none" else depth,
    )


def _voxels(settings: SanetSettings, item_shape: tuple[int, ...]) -> list[int]:
    """Voxels at each level from the top, and in the center."""
    depth = len(settings.blocks)
    shape = [math.ceil(edge / settings.divisor) * settings.divisor for edge in item_shape]
    voxels = [math.prod(edge >> level for edge in shape) for level in range(depth + 1)]
    if voxels[-1] < 2:
        raise ScenarioError(
            f"task.network.blocks: items of {'x'.join(map(str, item_shape))} shrink to one voxel "
            f"below {depth} levels; use fewer levels or larger items"
        )
    return voxels


def _center(count: _Count, settings: SanetSettings, voxels: int) -> int:
    """Add the center; return how many normalizations it has."""
    above, own = settings.channels[-2:]
    if settings.center == "level":
        count.block(above, own, voxels, is_strided=True)
        return 3  # two convolutions and the projection
    for turn in range(settings.center_convs):
        count.normalized(own if turn else above, own, voxels)
    return settings.center_convs


def _decoder_level(count: _Count, settings: SanetSettings, voxels: list[int], level: int) -> None:
    """What comes up from below, attention over the scales of the encoder, and one block."""
    channels, scales = settings.channels, range(settings.num_scales)
    own = channels[level]
    count.normalized(channels[level + 1], own, voxels[level + 1], kernel=1)
    for scale in scales:
        if scale != level:
            count.normalized(channels[scale], own, voxels[max(scale, level)], kernel=1)
    count.linear(own, own // REDUCTION)
    for _ in scales:
        count.linear(own // REDUCTION, own)
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

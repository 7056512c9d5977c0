"""MONAI's DynUNet and SegResNet as scenarios name them, and their exact counts, without torch."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from simulator.errors import ScenarioError
from simulator.registry import ModelSize, Network, Settings

Channels = Annotated[int, Field(ge=1)]


class DynUNetSettings(Settings):
    """MONAI's ``DynUNet``, the network of nnU-Net: two convolutions of edge 3 per level, leaky ReLU,
    instance normalization; ``channels`` from the top level to the bottom, each half the size.
    """

    name: Literal["dynunet"] = "dynunet"
    channels: Annotated[tuple[Channels, ...], Field(min_length=3)] = (32, 64, 128, 256)
    residual: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    def divisor(self) -> int:
        """Every spatial edge is padded to a multiple of it."""
        return int(2 ** (len(self.channels) - 1))


class SegResNetSettings(Settings):
    """MONAI's ``SegResNet``: pre-activated residual blocks, ``width`` channels at the top and twice as
    many at each level below, linear resizing up; group normalization with 8 groups.
    """

    name: Literal["segresnet"] = "segresnet"
    width: Annotated[int, Field(ge=8, multiple_of=8)] = 8
    blocks_down: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2)] = (1, 2, 2, 4)
    blocks_up: Annotated[int, Field(ge=1)] = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    def divisor(self) -> int:
        """Every spatial edge is padded to a multiple of it."""
        return int(2 ** (len(self.blocks_down) - 1))


@dataclass(slots=True, kw_only=True)
class _Count:
    """Adds up layers of one network."""

    shape: tuple[int, ...]  # of an item, padded
    parameters: int = 0
    flop: float = 0.0

    def convolution(self, c_in: int, c_out: int, level: int, kernel: int = 3, *, norms: int = 0) -> None:
        """A convolution without bias whose output lies on ``level``, and ``norms`` normalized channels."""
        weights = c_in * c_out * kernel ** len(self.shape)
        self.parameters += weights + 2 * norms
        self.flop += 2.0 * weights * math.prod(edge >> level for edge in self.shape)


def _counter(name: str, num_levels: int, divisor: int, item_shape: tuple[int, ...]) -> _Count:
    shape = tuple(math.ceil(edge / divisor) * divisor for edge in item_shape)
    if math.prod(shape) // divisor ** len(shape) < 2:
        raise ScenarioError(
            f"task.network.{name}: items of {'x'.join(map(str, item_shape))} shrink to one voxel "
            f"in {num_levels} levels; use fewer levels or larger items"
        )
    return _Count(shape=shape)


def _dynunet_block(count: _Count, c_in: int, c_out: int, level: int, *, shortcut: bool) -> None:
    count.convolution(c_in, c_out, level, norms=c_out)
    count.convolution(c_out, c_out, level, norms=c_out)
    if shortcut:
        count.convolution(c_in, c_out, level, kernel=1, norms=c_out)


def dynunet_size(
    settings: DynUNetSettings, num_channels: int, num_structures: int, item_shape: tuple[int, ...]
) -> ModelSize:
    """Count one DynUNet; ``num_structures`` counts output channels.

    Raises:
        ScenarioError: an item shrinks to a single voxel, which normalization cannot handle.
    """
    channels = settings.channels
    count = _counter("channels", len(channels), settings.divisor, item_shape)
    above = num_channels
    for level, own in enumerate(channels):
        changes = level > 0 or own != above
        _dynunet_block(count, above, own, level, shortcut=settings.residual and changes)
        above = own
    encoder = count.parameters
    for level, own in enumerate(channels[:-1]):
        count.convolution(channels[level + 1], own, level + 1, kernel=2)  # transposed: counted by its input
        _dynunet_block(count, 2 * own, own, level, shortcut=False)
    trunk = count.parameters
    count.convolution(channels[0], num_structures, 0, kernel=1)
    count.parameters += num_structures
    return _size(count, trunk, encoder)


def segresnet_size(
    settings: SegResNetSettings, num_channels: int, num_structures: int, item_shape: tuple[int, ...]
) -> ModelSize:
    """Count one SegResNet; ``num_structures`` counts output channels.

    Raises:
        ScenarioError: an item shrinks to a single voxel, which normalization cannot handle.
    """
    channels = [settings.width * 2**level for level in range(len(settings.blocks_down))]
    count = _counter("blocks_down", len(channels), settings.divisor, item_shape)
    above = num_channels
    for level, (own, num_blocks) in enumerate(zip(channels, settings.blocks_down, strict=True)):
        count.convolution(above, own, level)
        for _ in range(2 * num_blocks):
            count.convolution(own, own, level, norms=own)
        above = own
    encoder = count.parameters
    for level, own in enumerate(channels[:-1]):
        count.convolution(channels[level + 1], own, level + 1, kernel=1)
        for _ in range(2 * settings.blocks_up):
            count.convolution(own, own, level, norms=own)
    trunk = count.parameters
    count.convolution(channels[0], num_structures, 0, kernel=1, norms=channels[0])
    count.parameters += num_structures
    return _size(count, trunk, encoder)


def _size(count: _Count, trunk: int, encoder: int) -> ModelSize:
    parts = {"head": (count.parameters - trunk, 0), "decoder": (count.parameters - encoder, 0)}
    return ModelSize(num_parameters=count.parameters, num_buffers=0, forward_flop=count.flop, parts=parts)


DYNUNET = Network(
    settings=DynUNetSettings,
    size=dynunet_size,
    build="simulator.learning.networks:dynunet",
    parts={"head": r"^output_block\.", "decoder": r"^(upsamples|output_block)\."},
    bottleneck=r"^bottleneck$",
    summary="the network of nnU-Net, 2-D and 3-D",
    source="Isensee et al., nnU-Net, Nature Methods 18, 2021 (MONAI's DynUNet)",
)
SEGRESNET = Network(
    settings=SegResNetSettings,
    size=segresnet_size,
    build="simulator.learning.networks:segresnet",
    parts={"head": r"^conv_final\.", "decoder": r"^(up_layers|up_samples|conv_final)\."},
    bottleneck=r"^down_layers\.\d+$",
    summary="residual encoder-decoder with a heavy encoder, 2-D and 3-D",
    source="Myronenko, 3D MRI brain tumor segmentation, BrainLes 2018 (MONAI's SegResNet)",
)

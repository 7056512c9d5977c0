"""The networks that scenarios can name, and what each costs, without torch.

The counts are exact: parameters and buffers as the built module has them, floating-point
operations as ``torch.utils.flop_counter`` counts them (two per multiply-add, convolutions only).
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.errors import ScenarioError
from simulator.registry import ModelSize, Network, Settings

_KERNEL = 3  # edge of every convolution of MONAI's UNet but the 1x1 shortcuts
_LARGEST_GROUPS = 8


def num_outputs(loss: str, num_structures: int) -> int:
    """Return the output channels of a network: one per structure, and a background for softmax."""
    return num_structures + 1 if loss == "jaccard_ce" else num_structures


class UNetSettings(Settings):
    """MONAI's ``UNet``: residual units, PReLU, stride-2 convolutions down, transposed ones up.

    ``channels`` from the top level to the bottom; ``strides`` one per level but the last, 2 each
    unless given. ``norm: group`` takes the largest number of groups up to 8 that divides all
    channel counts and the outputs, because MONAI normalizes the last layers too.
    """

    name: Literal["unet"] = "unet"
    channels: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2)] = (16, 32, 64, 128)
    strides: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    num_res_units: Annotated[int, Field(ge=0)] = 2
    norm: Literal["instance", "group", "batch"] = "instance"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _one_stride_per_step(self) -> "UNetSettings":
        if len(self.level_strides) != len(self.channels) - 1:
            raise ValueError(
                f"{len(self.channels)} channels need {len(self.channels) - 1} strides, "
                f"found {len(self.level_strides)}"
            )
        return self

    @property
    def level_strides(self) -> tuple[int, ...]:
        """The stride from each level to the next."""
        return (2,) * (len(self.channels) - 1) if self.strides is None else self.strides

    @property
    def divisor(self) -> int:
        """Every spatial edge is padded to a multiple of it."""
        return math.prod(self.level_strides)

    def num_groups(self, outputs: int) -> int:
        """Groups of every group normalization."""
        common = math.gcd(*self.channels, outputs)
        return max(groups for groups in range(1, _LARGEST_GROUPS + 1) if common % groups == 0)


class DeclaredNetworkSettings(Settings):
    """A network known by its numbers alone, for plans."""

    name: Literal["declared"] = "declared"
    num_parameters: Annotated[int, Field(ge=1)]
    num_buffers: Annotated[int, Field(ge=0)] = 0
    num_counters: Annotated[int, Field(ge=0)] = 0
    forward_flop: Annotated[float, Field(gt=0)]
    parts: dict[str, tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]] = Field(
        default_factory=dict, description="parameters and buffers of named parts"
    )


@dataclass(slots=True, kw_only=True)
class _Count:
    """Adds up the layers of one UNet."""

    norm: str
    spatial_dims: int
    parameters: int = 0
    buffers: int = 0
    counters: int = 0
    norm_parameters: int = 0
    flop: float = 0.0

    def convolution(self, c_in: int, c_out: int, voxels: int, kernel: int = _KERNEL) -> None:
        weights = c_in * c_out * kernel**self.spatial_dims
        self.parameters += weights + c_out
        self.flop += 2.0 * weights * voxels

    def activation(self, channels: int) -> None:
        """Normalization, dropout and PReLU with its one slope."""
        self.parameters += 1 + (0 if self.norm == "instance" else 2 * channels)
        if self.norm == "batch":
            self.norm_parameters += 2 * channels
            self.buffers += 2 * channels
            self.counters += 1

    def down(self, c_in: int, c_out: int, voxels: int, stride: int, num_units: int) -> None:
        """One level of the encoder; ``voxels`` of its output."""
        for unit in range(max(num_units, 1)):
            self.convolution(c_out if unit else c_in, c_out, voxels)
            self.activation(c_out)
        if num_units and stride != 1:
            self.convolution(c_in, c_out, voxels)
        elif num_units and c_in != c_out:
            self.convolution(c_in, c_out, voxels, kernel=1)

    def up(self, c_in: int, c_out: int, voxels: tuple[int, int], num_units: int, is_top: bool) -> None:
        """One level of the decoder; ``voxels`` of its input and of its output."""
        self.convolution(c_in, c_out, voxels[0])
        if num_units or not is_top:
            self.activation(c_out)
        if num_units:
            self.convolution(c_out, c_out, voxels[1])
            if not is_top:
                self.activation(c_out)


def unet_size(
    settings: UNetSettings, num_channels: int, num_structures: int, item_shape: tuple[int, ...]
) -> ModelSize:
    """Count one UNet; ``num_structures`` counts output channels, see :func:`num_outputs`.

    Raises:
        ScenarioError: an item shrinks to a single voxel, which normalization cannot handle.
    """
    channels, units = settings.channels, settings.num_res_units
    shape = [math.ceil(edge / settings.divisor) * settings.divisor for edge in item_shape]
    voxels = [math.prod(shape)]
    for stride in settings.level_strides:
        voxels.append(voxels[-1] // stride ** len(shape))
    if voxels[-1] < 2:
        raise ScenarioError(
            f"task.network.channels: items of {'x'.join(map(str, item_shape))} shrink to one voxel "
            f"in {len(channels)} levels; use fewer levels or larger items"
        )
    count = _Count(norm=settings.norm, spatial_dims=len(item_shape))
    above = num_channels
    for level, stride in enumerate(settings.level_strides):
        count.down(above, channels[level], voxels[level + 1], stride, units)
        above = channels[level]
    count.down(above, channels[-1], voxels[-1], 1, units)
    encoder = count.parameters, count.buffers
    for level in reversed(range(len(channels) - 1)):
        bottom = level == len(channels) - 2
        below = channels[level] + (channels[-1] if bottom else channels[level])
        out = channels[level - 1] if level else num_structures
        rest = count.parameters, count.buffers
        count.up(below, out, (voxels[level + 1], voxels[level]), units, level == 0)
    parts = {
        "head": (count.parameters - rest[0], count.buffers - rest[1]),
        "decoder": (count.parameters - encoder[0], count.buffers - encoder[1]),
    }
    if count.norm_parameters:
        parts["batch_norm"] = count.norm_parameters, count.buffers
    return ModelSize(
        num_parameters=count.parameters,
        num_buffers=count.buffers,
        num_counters=count.counters,
        forward_flop=count.flop,
        parts=parts,
    )


def declared_size(
    settings: DeclaredNetworkSettings, num_channels: int, num_structures: int, item_shape: tuple[int, ...]
) -> ModelSize:
    """Return the numbers as declared."""
    return ModelSize(
        num_parameters=settings.num_parameters,
        num_buffers=settings.num_buffers,
        num_counters=settings.num_counters,
        forward_flop=settings.forward_flop,
        parts=settings.parts,
    )


UNET = Network(
    settings=UNetSettings,
    size=unet_size,
    build="simulator.learning.networks:unet",
    # MONAI nests levels: "2" follows one or more "1.submodule" for each level below the top
    parts={"head": r"^model\.2\.", "decoder": r"^model\.(1\.submodule\.)*2\."},
    bottleneck=r"^model(\.1\.submodule)+$",
    summary="U-Net with residual units, 2-D and 3-D",
    source="Kerfoot et al., Left-ventricle quantification using residual U-Net, STACOM 2018 (MONAI's UNet)",
)
DECLARED = Network(
    settings=DeclaredNetworkSettings,
    size=declared_size,
    build=None,
    summary="parameters and floating-point operations as declared, for plans only",
    source="the scenario",
)

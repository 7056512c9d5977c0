"""From a scenario's network to a torch module."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.unet import UNet
from torch import Tensor, nn

from simulator.errors import ScenarioError
from simulator.learning.activations import use_one_slope
from simulator.learning.architectures import UNetSettings
from simulator.learning.architectures_monai import DynUNetSettings, SegResNetSettings
from simulator.learning.convolutions import use_careful_convolutions
from simulator.learning.resizing import use_linear_resize
from simulator.registry import registry, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Everything that decides a module: registered name, settings and channel counts.

    A network returns logits ``(batch, outputs, *spatial)``, or a list of them, the main head first.
    Settings may have a ``divisor`` (all spatial edges are padded to a multiple of it). A network that
    adds to the scenario's loss is an :class:`OwnLoss` too.
    """

    name: str
    settings: Any  # frozen pydantic settings, hashable
    num_channels: int
    num_outputs: int
    spatial_dims: int

    @property
    def divisor(self) -> int:
        """What spatial edges must be a multiple of."""
        return int(getattr(self.settings, "divisor", 1))


@runtime_checkable
class OwnLoss(Protocol):
    """A network with a loss of its own beside the scenario's.

    ``supervised_weight`` is a factor on the scenario's loss; ``take_auxiliary()`` gives, once, what the
    last forward pass in training adds to that, a differentiable scalar.
    """

    supervised_weight: float

    def take_auxiliary(self) -> Tensor:
        """Give the auxiliary loss."""


def network_spec(
    network: Mapping[str, Any],
    num_channels: int,
    num_outputs: int,
    spatial_dims: int,
    item_shape: Sequence[int] | None = None,
) -> NetworkSpec:
    """Return the specification of a scenario's ``network`` section.

    Settings with an ``image_size`` that the scenario leaves open get that of an item.
    """
    name = network["name"]
    settings = registry("networks")[name].settings.model_validate(network)
    if item_shape is not None and getattr(settings, "image_size", item_shape) is None:
        settings = settings.model_copy(update={"image_size": tuple(item_shape)})
    return NetworkSpec(
        name=name,
        settings=settings,
        num_channels=num_channels,
        num_outputs=num_outputs,
        spatial_dims=spatial_dims,
    )


def build(spec: NetworkSpec) -> nn.Module:
    """Return a new module with weights drawn from torch's current generator.

    Raises:
        ScenarioError: the network is only declared.
    """
    reference = registry("networks")[spec.name].build
    if reference is None:
        raise ScenarioError(
            f'task.network: "{spec.name}" can only be planned with; choose a network that can be built'
        )
    network = resolve(reference)(spec.settings, spec.num_channels, spec.num_outputs, spec.spatial_dims)
    assert isinstance(network, nn.Module)
    use_one_slope(network)
    use_linear_resize(network)
    use_careful_convolutions(network)
    return network


def unet(settings: UNetSettings, num_channels: int, num_structures: int, spatial_dims: int) -> nn.Module:
    """Build MONAI's ``UNet``; ``num_structures`` counts output channels."""
    norm: Any = settings.norm
    if settings.norm == "group":
        norm = ("group", {"num_groups": settings.num_groups(num_structures)})
    network: nn.Module = UNet(
        spatial_dims=spatial_dims,
        in_channels=num_channels,
        out_channels=num_structures,
        channels=settings.channels,
        strides=settings.level_strides,
        num_res_units=settings.num_res_units,
        norm=norm,
        dropout=settings.dropout,
    )
    return network


def dynunet(
    settings: DynUNetSettings, num_channels: int, num_structures: int, spatial_dims: int
) -> nn.Module:
    """Build MONAI's ``DynUNet``; ``num_structures`` counts output channels."""
    depth = len(settings.channels)
    network: nn.Module = DynUNet(
        spatial_dims=spatial_dims,
        in_channels=num_channels,
        out_channels=num_structures,
        kernel_size=[3] * depth,
        strides=[1] + [2] * (depth - 1),
        upsample_kernel_size=[2] * (depth - 1),
        filters=settings.channels,
        dropout=settings.dropout or None,
        res_block=settings.residual,
    )
    return network


def segresnet(
    settings: SegResNetSettings, num_channels: int, num_structures: int, spatial_dims: int
) -> nn.Module:
    """Build MONAI's ``SegResNet``; ``num_structures`` counts output channels."""
    network: nn.Module = SegResNet(
        spatial_dims=spatial_dims,
        init_filters=settings.width,
        in_channels=num_channels,
        out_channels=num_structures,
        dropout_prob=settings.dropout or None,
        blocks_down=settings.blocks_down,
        blocks_up=(settings.blocks_up,) * (len(settings.blocks_down) - 1),
    )
    return network

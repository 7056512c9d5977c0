import pytest
import torch
from monai.networks.nets.segresnet import SegResNet
from torch import nn
from torch.nn import functional

from simulator.learning import resizing
from simulator.learning.resizing import LinearResize, max_pooled, resized, use_linear_resize


class Elsewhere(torch.Tensor):
    """A tensor that says it is not on the CPU."""

    is_cpu = False


def both(function, images, *args, **how):
    """What a function gives on the CPU and elsewhere, and the gradients of a weighted sum of that."""
    found = []
    for kind in (torch.Tensor, Elsewhere):
        own = images.clone().requires_grad_()
        result = function(own.as_subclass(kind), *args, **how).as_subclass(torch.Tensor)
        weights = torch.linspace(-1, 1, result.numel()).reshape(result.shape)
        (gradient,) = torch.autograd.grad((result * weights).sum(), own)
        found.append((result.detach(), gradient))
    return found


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("before", "after"),
    [((7, 5), (14, 10)), ((6, 8), (3, 4)), ((1, 1), (4, 3)), ((5, 3), (1, 1)), ((4, 6, 5), (8, 12, 7))],
)
def test_interpolation_is_the_same_mathematics_elsewhere(before, after, align_corners):
    images = torch.rand((2, 3, *before), generator=torch.Generator().manual_seed(1))
    here, there = both(resized, images, after, align_corners=align_corners)
    mode = {2: "bilinear", 3: "trilinear"}[len(before)]
    assert torch.equal(
        here[0], functional.interpolate(images, size=after, mode=mode, align_corners=align_corners)
    )
    torch.testing.assert_close(there, here, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_pooled_volumes_and_their_gradients_are_equal_elsewhere(layout):
    images = torch.randint(0, 3, (2, 3, 4, 8, 6), generator=torch.Generator().manual_seed(1)).float()
    assert len(images.unique()) == 3, "most windows have several largest values"
    here, there = both(max_pooled, images.to(memory_format=layout), 2)
    assert torch.equal(here[0], functional.max_pool3d(images, 2))
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))


def test_upsampling_layers_are_replaced():
    network = SegResNet(spatial_dims=3, init_filters=8, blocks_down=(1, 1), blocks_up=(1,))
    images, names = torch.rand(1, 1, 8, 8, 8), list(network.state_dict())
    expected = network(images)
    use_linear_resize(network)
    assert any(isinstance(layer, LinearResize) for layer in network.modules())
    assert not any(isinstance(layer, nn.Upsample) for layer in network.modules())
    assert torch.equal(network(images), expected)
    assert list(network.state_dict()) == names


@pytest.mark.parametrize(
    ("layer", "replaced"),
    [
        (nn.Upsample(scale_factor=3, mode="bilinear", align_corners=True), True),
        (nn.Upsample(scale_factor=(2, 2), mode="bilinear"), True),
        (nn.Upsample(scale_factor=1.5, mode="bilinear"), False),
        (nn.Upsample(size=(9, 9), mode="bilinear"), False),
        (nn.Upsample(scale_factor=2, mode="nearest"), False),
    ],
    ids=str,
)
def test_a_layer_does_the_same_when_replaced(layer, replaced):
    network, images = nn.Sequential(layer), torch.rand(1, 2, 4, 6)
    expected = network(images)
    use_linear_resize(network)
    assert isinstance(network[0], LinearResize) == replaced
    assert torch.equal(network(images), expected)


def test_weights_of_an_axis_sum_to_one():
    weights = resizing._weights(5, 13, False, torch.device("cpu"))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(13))

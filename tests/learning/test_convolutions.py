import pytest
import torch

from simulator.learning.convolutions import CarefulConv2d, CarefulConv3d
from simulator.learning.networks import build, network_spec
from simulator.learning.training import initial, train
from tests.learning import toy


def gradients(convolution, images):
    convolution.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        result = convolution(images)
    result.float().square().sum().backward()
    return convolution.weight.grad.clone()


@pytest.mark.parametrize("edges", [(2, 2, 2), (2, 4, 6), (2, 5, 3), (4, 2), (1, 3)])
def test_gradients_of_small_maps_are_reproducible_in_bf16(edges):
    torch.manual_seed(1)
    kind = {2: CarefulConv2d, 3: CarefulConv3d}[len(edges)]
    convolution, images = kind(16, 32, 3, padding=1), torch.randn(3, 16, *edges)
    first = gradients(convolution, images)
    for _ in range(5):
        torch.rand(100_000)  # other values in the memory that is used next
        assert torch.equal(gradients(convolution, images), first)


def test_larger_maps_stay_in_bf16():
    convolution = CarefulConv2d(2, 2, 3, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        kinds = [convolution(torch.ones(1, 2, edge, 8)).dtype for edge in (2, 3)]
    assert kinds == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("name", ["unet", "dynunet", "segresnet", "sanet"])
def test_a_network_with_small_maps_learns_the_same_bits_twice(toy_registry, name):
    settings = {
        "unet": {"channels": [16, 16, 16, 16]},
        "dynunet": {"channels": [16, 16, 16, 16]},
        "segresnet": {"blocks_down": [1, 1, 1, 1]},
        "sanet": {"width": 8, "blocks": [1, 1, 1]},
    }
    network = {"name": name} | settings[name]
    recipe = toy.recipe(dataset={"dims": 3}, precision="bf16") | {"network": network}
    bundles = [toy.prepared(recipe)]
    found = []
    for _ in range(3):
        ctx = toy.context(recipe, bundles=bundles)
        found.append(train(ctx, initial(ctx), epochs=1, first_epoch=0))
    assert toy.same(found[0], found[1])
    assert toy.same(found[0], found[2])


def test_every_convolution_of_a_network_is_careful():
    network = build(network_spec({"name": "unet", "channels": [4, 8]}, 1, 1, 3))
    plain = {type(layer) for layer in network.modules() if isinstance(layer, torch.nn.Conv3d)}
    assert plain == {CarefulConv3d}

import itertools

import pytest
import torch
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

from simulator.errors import ScenarioError
from simulator.learning.architectures import DECLARED, UNET, UNetSettings, num_outputs
from simulator.learning.networks import build, network_spec

CONFIGURATIONS = [
    UNetSettings(channels=channels, strides=strides, num_res_units=units, norm=norm)
    for (channels, strides), units, norm in itertools.product(
        [((4, 8), None), ((8, 8, 16), None), ((4, 8, 8), (2, 1)), ((4, 8), (1,))],
        [0, 1, 2],
        ["instance", "group", "batch"],
    )
]


@pytest.mark.parametrize("dims", [2, 3])
def test_size_equals_the_counts_of_the_built_module(toy_registry, dims):
    shape = (16, 24, 8)[:dims]
    for settings, outputs in itertools.product(CONFIGURATIONS, [1, 3]):
        module = build(network_spec(settings.model_dump(mode="json"), 2, outputs, dims))
        with FlopCounterMode(display=False) as counter:
            module(torch.zeros(1, 2, *shape))
        size = UNET.size(settings, 2, outputs, shape)
        assert size.num_parameters == sum(p.numel() for p in module.parameters()), settings
        assert size.num_buffers == sum(b.numel() for b in module.buffers() if b.is_floating_point())
        assert size.forward_flop == counter.get_total_flops(), settings


def test_size_counts_the_padded_item():
    settings = UNetSettings(channels=(4, 8, 16))
    assert UNET.size(settings, 1, 1, (13, 16)) == UNET.size(settings, 1, 1, (16, 16))


def test_softmax_has_a_background_channel():
    assert num_outputs("jaccard_ce", 2) == 3
    assert num_outputs("dice_ce", 2) == 2


def test_an_item_that_shrinks_to_one_voxel_is_refused():
    with pytest.raises(ScenarioError, match="items of 8x8 shrink to one voxel in 4 levels"):
        UNET.size(UNetSettings(), 1, 1, (8, 8))


def test_strides_must_fit_the_channels():
    with pytest.raises(ValidationError, match="3 channels need 2 strides, found 1"):
        UNetSettings(channels=(4, 8, 8), strides=(2,))


def test_group_norm_takes_groups_that_divide_all_channels():
    assert UNetSettings(channels=(16, 32)).num_groups(4) == 4
    assert UNetSettings(channels=(16, 32)).num_groups(3) == 1
    assert UNetSettings(channels=(32, 64)).num_groups(16) == 8


def test_a_declared_network_has_its_declared_size_and_cannot_be_built(toy_registry):
    network = {"name": "declared", "num_parameters": 10, "forward_flop": 5.0}
    size = DECLARED.size(DECLARED.settings.model_validate(network), 1, 1, (8, 8))
    assert (size.num_parameters, size.num_buffers, size.forward_flop) == (10, 0, 5.0)
    with pytest.raises(ScenarioError, match="can only be planned with"):
        build(network_spec(network, 1, 1, 2))

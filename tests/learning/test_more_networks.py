"""SA-Net, DynUNet and SegResNet: counts known without torch are those of the built module."""

import operator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from simulator.api import Bundle
from simulator.errors import ScenarioError
from simulator.learning.networks import build, network_spec
from simulator.learning.parts import bottleneck, masks
from simulator.learning.sanet_size import SanetSettings
from simulator.learning.training import initial
from simulator.registry import registry
from tests.learning import toy

SANETS = st.fixed_dictionaries({
    "name": st.just("sanet"),
    "width": st.sampled_from([4, 8]),
    "blocks": st.lists(st.integers(1, 2), min_size=2, max_size=3).map(tuple),
    "max_channels": st.sampled_from([None, 8, 12]),
    "center_norm": st.sampled_from(["batch", "instance"]),
    "bias": st.booleans(),
    "auxiliary": st.sampled_from(["full", "own", "none"]),
})  # fmt: skip
CENTERS = st.one_of(st.fixed_dictionaries({"center_convs": st.integers(1, 3)}), st.just({"center": "level"}))
DYNUNETS = st.fixed_dictionaries({
    "name": st.just("dynunet"),
    "channels": st.lists(st.sampled_from([2, 4, 5]), min_size=3, max_size=4).map(tuple),
    "residual": st.booleans(),
})  # fmt: skip
SEGRESNETS = st.fixed_dictionaries({
    "name": st.just("segresnet"),
    "width": st.just(8),
    "blocks_down": st.lists(st.integers(1, 2), min_size=2, max_size=3).map(tuple),
    "blocks_up": st.integers(1, 2),
})  # fmt: skip
PANSEG = {
    "name": "sanet", "blocks": (1, 2, 2, 2, 1), "max_channels": 320, "center": "level",
    "center_norm": "instance", "bias": True, "activation": "leaky_relu", "auxiliary": "own", "dropout": 0,
}  # fmt: skip
SMALLEST = [
    {"name": "sanet", "width": 4, "blocks": (1, 1)},
    {"name": "sanet", "width": 4, "blocks": (1, 1), "center": "level", "bias": True},
    {"name": "dynunet", "channels": (4, 4, 8)},
    {"name": "segresnet", "blocks_down": (1, 1)},
]


@settings(max_examples=40, deadline=None)
@given(
    st.one_of(st.builds(operator.or_, SANETS, CENTERS), DYNUNETS, SEGRESNETS),
    st.sampled_from([1, 3]),
    st.sampled_from([2, 3]),
)
def test_size_equals_the_counts_of_the_built_module(network, outputs, dims):
    shape = (24, 16, 16)[:dims]
    entry = registry("networks")[network["name"]]
    size = entry.size(entry.settings.model_validate(network), 2, outputs, tuple(e - 1 for e in shape))
    module = build(network_spec(network, 2, outputs, dims))
    buffers = list(module.buffers())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        result = module(torch.zeros(1, 2, *shape))
    assert size.num_parameters == sum(p.numel() for p in module.parameters())
    assert size.num_buffers == sum(b.numel() for b in buffers if b.is_floating_point())
    assert size.num_counters == sum(b.numel() for b in buffers if not b.is_floating_point())
    assert size.forward_flop == counter.get_total_flops()
    heads = [result] if isinstance(result, torch.Tensor) else result
    assert len(heads) == size.num_heads
    assert heads[0].shape == (1, outputs, *shape)


@pytest.mark.parametrize(
    ("width", "parameters", "buffer_entries"), [(12, 4_124_700, 1_155), (24, 16_484_544, 2_307)]
)
def test_sa_net_has_the_published_counts_of_the_brats_variants(width, parameters, buffer_entries):
    """Payload in fp32: 16,503,432 and 65,947,416 bytes, counters as 8 bytes each."""
    entry = registry("networks")["sanet"]
    size = entry.size(entry.settings(width=width), 4, 3, (128, 128, 128))
    assert size.num_parameters == parameters
    assert size.num_buffers + size.num_counters == buffer_entries
    payload = 4 * (size.num_parameters + size.num_buffers) + 8 * size.num_counters
    assert payload == {12: 16_503_432, 24: 65_947_416}[width]


def test_sa_net_has_the_published_count_of_the_panseg_variant():
    """SA-Net v2; payload in fp32: 41,250,844 bytes."""
    entry = registry("networks")["sanet"]
    size = entry.size(entry.settings.model_validate(PANSEG), 1, 2, (64, 160, 160))
    assert (size.num_parameters, size.num_buffers + size.num_counters) == (10_312_711, 0)
    module = build(network_spec(PANSEG, 1, 2, 3))
    assert sum(p.numel() for p in module.parameters()) == 10_312_711
    assert not list(module.buffers())


def test_settings_that_came_later_keep_the_keys_of_older_scenarios():
    dumped = SanetSettings().model_dump()
    assert not {"bias", "center"} & dumped.keys()
    panseg = SanetSettings.model_validate(PANSEG)
    assert SanetSettings.model_validate(panseg.model_dump()) == panseg


def test_a_center_that_is_a_level_takes_no_convolutions():
    with pytest.raises(ValueError, match=r"center_convs: a center that is a level has one residual block"):
        SanetSettings(center="level", center_convs=2)


@pytest.mark.parametrize("network", SMALLEST, ids=lambda network: "-".join(map(str, network.values())))
@pytest.mark.parametrize("dims", [2, 3])
def test_they_train_and_their_parts_are_as_declared(toy_registry, network, dims):
    recipe = toy.recipe(dataset={"dims": dims}, loss="jaccard_focal")
    recipe["network"] = network
    ctx = toy.context(recipe)
    model = initial(ctx)
    trained = ctx.train(model, epochs=2, first_epoch=0)
    assert trained.meta["loss"][1] < trained.meta["loss"][0]
    module = ctx.module("local")
    size = registry("networks")[network["name"]].size(ctx.spec.settings, 2, 2, (16,) * dims)
    for part, (parameters, buffers) in size.parts.items():
        found = masks(module, part, ctx.spec)
        assert (found["model"].sum(), found["buffers"].sum()) == (parameters, buffers), part
    pupil = ctx.pupil(Bundle(arrays=model.arrays), "local")
    batch = next(iter(_batches(ctx)))
    features = pupil.output_and_features(batch)[1]
    assert features.shape[0] == len(batch.images)
    assert bottleneck(module, ctx.spec)


def _batches(ctx):
    from simulator.learning.batches import epoch_batches, training_items

    return epoch_batches(ctx, training_items(ctx), 0)


def test_auxiliary_heads_learn_with_their_loss_and_are_silent_in_prediction(toy_registry):
    for auxiliary, loss in (("full", "jaccard_focal"), ("own", "jaccard_ce")):
        recipe = toy.recipe(loss=loss, dataset={"exclusive": True, "size": 15})
        recipe["network"] = {"name": "sanet", "width": 4, "blocks": [1, 1, 1], "auxiliary": auxiliary}
        ctx = toy.context(recipe)
        pupil = ctx.pupil(initial(ctx), "local")
        batch = next(iter(_batches(ctx)))
        output = pupil.output(batch)
        sides = [15, 15, 15] if auxiliary == "full" else [15, 8, 4]
        assert [head.shape[-1] for head in output] == sides
        pupil.supervised(output, batch).backward()
        assert all(layer.weight.grad.abs().sum() > 0 for layer in pupil.module.auxiliary)
        pupil.module.eval()
        assert isinstance(pupil.module(torch.zeros(1, 2, 16, 16)), torch.Tensor)


@pytest.mark.parametrize("network", SMALLEST, ids=lambda network: "-".join(map(str, network.values())))
def test_an_item_that_shrinks_to_one_voxel_is_refused(network):
    entry = registry("networks")[network["name"]]
    with pytest.raises(ScenarioError, match=r"^task\.network\.\w+: items of 2x2 shrink to one voxel"):
        entry.size(entry.settings.model_validate(network), 1, 1, (2, 2))

"""Parts of a network: what belongs to them, and that only they learn."""

import numpy as np
import pytest

from simulator.errors import ScenarioError
from simulator.learning.architectures import unet_size
from simulator.learning.networks import build, network_spec
from simulator.learning.parts import masks, names_of
from simulator.learning.training import initial
from tests.learning import toy

BATCH = {"name": "unet", "channels": [4, 8], "norm": "batch", "num_res_units": 1}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("network", [BATCH, {"name": "unet", "norm": "instance"}], ids=["batch", "instance"])
def test_the_declared_sizes_of_parts_are_the_real_ones(network, dims):
    spec = network_spec(network, 1, 2, dims)
    module = build(spec)
    size = unet_size(spec.settings, 1, 2, (32,) * dims)
    assert set(size.parts) == {"head", "decoder"} | ({"batch_norm"} if network is BATCH else set())
    for part, counts in size.parts.items():
        found = masks(module, part, spec)
        assert (found["model"].sum(), found["buffers"].sum()) == counts


def test_a_part_and_the_rest_make_the_whole():
    spec = network_spec(BATCH, 1, 1, 2)
    module = build(spec)
    names = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    assert names_of(module, "head", spec) | names_of(module, "-head", spec) == names
    assert not names_of(module, "head", spec) & names_of(module, "-head", spec)


@pytest.mark.parametrize(
    ("part", "message"), [("hed", "did you mean head"), ("batch_norm", "has no batch_norm")]
)
def test_a_part_that_is_not_there_is_an_error(part, message):
    spec = network_spec({"name": "unet"}, 1, 1, 2)
    with pytest.raises(ScenarioError, match=message):
        names_of(build(spec), part, spec)


@pytest.mark.parametrize("only", ["head", "-head", "batch_norm"])
def test_only_the_part_learns_and_frozen_statistics_stay(toy_registry, only):
    ctx = toy.context(toy.recipe(network=BATCH))
    before = initial(ctx)
    after = ctx.train(before, epochs=1, first_epoch=0, keep_optimizer=False, only=only)
    part = ctx.mask(only)
    moved = before.arrays["model"] != after.arrays["model"]
    assert moved[part["model"]].any()
    assert not moved[~part["model"]].any()
    statistics = before.arrays["buffers"] != after.arrays["buffers"]
    assert statistics.any() == part["buffers"].any()
    assert not statistics[~part["buffers"]].any()


def test_nothing_stays_frozen(toy_registry):
    """The module is resident: the next use must not inherit what this one froze."""
    ctx = toy.context(toy.recipe(network=BATCH))
    before = initial(ctx)
    alone = ctx.train(before, epochs=1, first_epoch=0, keep_optimizer=False)
    ctx.train(before, epochs=1, first_epoch=0, keep_optimizer=False, only="head")
    again = ctx.train(before, epochs=1, first_epoch=0, keep_optimizer=False)
    np.testing.assert_array_equal(alone.arrays["model"], again.arrays["model"])
    np.testing.assert_array_equal(alone.arrays["buffers"], again.arrays["buffers"])

import json

import numpy as np
import pytest
import torch

from simulator.errors import Diverged
from simulator.learning.batches import epoch_batches, training_items
from simulator.learning.loop import _dropout_stream, forward
from simulator.learning.models import load_weights, weights_of
from simulator.learning.networks import build
from simulator.learning.training import initial, train, train_pooled
from tests.learning import toy

# exact comparisons use SGD: Adam makes full-size steps of the rounding noise in gradients that are zero
# in truth, as that of a bias before a normalization
SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9, "clip_norm": None}


def by_hand(ctx, model, epochs, penalty=None):
    """A plain loop: unfused optimizer, a module of its own."""
    network = build(ctx.spec)
    load_weights(network, model)
    settings = ctx.recipe.optimizer
    optimizer = torch.optim.SGD(network.parameters(), lr=settings.lr, momentum=settings.momentum)
    for epoch in range(epochs):
        for batch in epoch_batches(ctx, training_items(ctx), epoch):
            optimizer.zero_grad()
            loss = ctx.loss.train(network(batch.images), batch.labels)
            if penalty is not None:
                loss = loss + penalty(torch.cat([p.flatten() for p in network.parameters()]))
            loss.backward()
            if settings.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
            optimizer.step()
    return weights_of(network)["model"]


@pytest.mark.parametrize("clip_norm", [None, 0.05])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_loop_is_a_plain_loop(toy_registry, dims, clip_norm):
    ctx = toy.context(toy.recipe(dataset={"dims": dims}, optimizer=SGD | {"clip_norm": clip_norm}))
    model = initial(ctx)
    trained = train(ctx, model, epochs=2, first_epoch=0)
    np.testing.assert_allclose(trained.arrays["model"], by_hand(ctx, model, 2), rtol=1e-4, atol=1e-5)
    assert trained.meta["steps"] == {2: 6, 3: 2}[dims]


def test_a_penalty_joins_the_loss(toy_registry):
    ctx = toy.context(toy.recipe(optimizer=SGD))
    model = initial(ctx)

    def penalty(parameters):
        return parameters.square().sum()

    trained = ctx.train(model, epochs=1, first_epoch=0, penalty=penalty)
    expected = by_hand(ctx, model, 1, penalty)
    np.testing.assert_allclose(trained.arrays["model"], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(by_hand(ctx, model, 1) - expected).max() > 1e-3
    plain = ctx.train(model, epochs=1, first_epoch=0)
    assert plain.meta["loss"][0] == pytest.approx(trained.meta["loss"][0], rel=0.2), "without the penalty"


VARIANTS = {
    "2-D": {},
    "bf16": {"precision": "bf16"},
    "3-D patches": {"dataset": {"dims": 3}, "patch_size": [8, 8, 8], "patches_per_case": 2},
    "dropout": {"network": {"dropout": 0.3}},
    "batch norm": {"network": {"norm": "batch"}},
    "momentum": {"optimizer": {"name": "sgd", "momentum": 0.9}},
    "softmax": {"loss": "jaccard_ce", "dataset": {"exclusive": True}},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_two_tasks_continue_each_other_bit_for_bit_and_the_loss_falls(toy_registry, changes):
    ctx = toy.context(toy.recipe(**changes))
    model = initial(ctx)
    whole = train(ctx, model, epochs=6, first_epoch=0)
    torch.manual_seed(99)  # the global generator must not matter
    first = train(ctx, model, epochs=2, first_epoch=0)
    second = train(ctx, first, epochs=4, first_epoch=2)
    assert toy.same(whole, second)
    assert whole.meta["loss"] == first.meta["loss"] + second.meta["loss"]
    assert whole.meta["loss"][-1] < whole.meta["loss"][0]
    json.dumps(whole.meta, allow_nan=False)


def test_dropout_is_drawn_by_site_and_epoch(toy_registry):
    def draw(site, epoch):
        with _dropout_stream(toy.context(toy.recipe(), site=site), epoch):
            return float(torch.rand(()))

    assert draw("a", 0) == draw("a", 0)
    assert len({draw("a", 0), draw("a", 1), draw("b", 0)}) == 3


def test_the_global_generator_is_left_alone(toy_registry):
    ctx = toy.context(toy.recipe(network={"dropout": 0.3}))
    before = torch.random.get_rng_state()
    train(ctx, initial(ctx), epochs=1, first_epoch=0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_sites_that_share_the_resident_module_do_not_touch_each_other(toy_registry):
    north, south = (toy.context(toy.recipe(network={"norm": "batch"}), site=site) for site in ("n", "s"))
    model = initial(north)
    alone = train(north, model, epochs=1, first_epoch=0)
    train(south, initial(south), epochs=1, first_epoch=0)
    assert toy.same(train(north, model, epochs=1, first_epoch=0), alone)


def test_initial_weights_are_shared_or_not(toy_registry):
    def initials(init, sites=("a", "b"), seed=1):
        return [initial(toy.context(toy.recipe(init=init), site=site, seed=seed)) for site in sites]

    assert toy.same(*initials("shared"))
    assert not toy.same(*initials("independent"))
    assert not toy.same(initials("shared")[0], initials("shared", seed=2)[0])


def test_without_keeping_it_the_optimizer_starts_fresh(toy_registry):
    ctx = toy.context(toy.recipe())
    first = train(ctx, initial(ctx), epochs=1, first_epoch=0)
    bare = type(first)(arrays={name: first.arrays[name] for name in ("model", "buffers", "counters")})
    fresh = ctx.train(first, epochs=1, first_epoch=1, keep_optimizer=False)
    assert set(fresh.arrays) == {"model", "buffers", "counters"}
    assert np.array_equal(fresh.arrays["model"], train(ctx, bare, epochs=1, first_epoch=1).arrays["model"])
    assert not np.array_equal(
        fresh.arrays["model"], train(ctx, first, epochs=1, first_epoch=1).arrays["model"]
    )


def test_pooled_training_sees_the_cases_of_all_sites(toy_registry):
    bundles = [toy.prepared(toy.recipe(), site=site) for site in ("a", "b")]
    pooled = toy.context(toy.recipe(), site="server", bundles=bundles)
    assert train_pooled(pooled, initial(pooled), epochs=1, first_epoch=0).meta["steps"] == 5


def test_a_value_that_is_not_finite_is_an_error_with_the_recipe(toy_registry):
    ctx = toy.context(toy.recipe(optimizer={"lr": 1e30, "clip_norm": None}))
    with pytest.raises(Diverged) as caught:
        train(ctx, initial(ctx), epochs=2, first_epoch=0)
    task, site, recipe = caught.value.args
    assert (task, site) == ("training", "north")
    assert json.loads(recipe)["optimizer"]["lr"] == 1e30


def test_no_epochs_change_nothing(toy_registry):
    ctx = toy.context(toy.recipe())
    model = initial(ctx)
    trained = train(ctx, train(ctx, model, epochs=1, first_epoch=0), epochs=0, first_epoch=1)
    assert toy.same(trained, train(ctx, model, epochs=1, first_epoch=0))


def test_images_of_any_size_pass_through_padded(toy_registry):
    ctx = toy.context(toy.recipe())
    network = build(ctx.spec).eval()
    images = torch.randn(1, 2, 15, 16, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images, (0, 0, 0, 1))
    output = forward(network, images, ctx.spec.divisor, "fp32")
    assert torch.equal(output, network(padded)[:, :, :15])
    heads = forward(lambda x: [x, x[..., ::2]], images, 2, "bf16")
    assert [tuple(head.shape) for head in heads] == [(1, 2, 15, 16), (1, 2, 15, 8)]

"""The learning rate that falls when validation stands still."""

import math

import numpy as np
import pytest

from algorithms.contrast import Contrast
from simulator.api import Bundle
from simulator.errors import ScenarioError
from simulator.learning.context import Context
from simulator.learning.plateau import FallingRate, falling_rate
from simulator.learning.training import initial, train
from simulator.scenario.task import Plateau
from tests.learning import toy
from tests.support import SITES, run

SGD = {"name": "sgd", "lr": 0.05, "clip_norm": None}
RULE = {"hold_epochs": 2, "patience_epochs": 1, "factor": 0.5, "floor": 0.02}


@pytest.mark.parametrize(
    ("losses", "rates"),
    [
        ([3, 2, 1, 0.5, 0.4], [1, 1, 1, 1, 1]),
        ([1, 2, 2, 2, 0.5, 0.6], [1, 1, 1, 0.3, 0.3, 0.3]),
        ([1, 2, 2, 2, 2, 2], [1, 1, 1, 0.3, 0.09, 0.05]),
        ([1, 1, math.nan, 1, 0.9, 0.9], [1, 1, 1, 0.3, 0.3, 0.3]),
    ],
)
def test_it_falls_after_the_hold_whenever_the_best_epoch_is_too_far_behind(losses, rates):
    rule = Plateau(hold_epochs=4, patience_epochs=2, factor=0.3, floor=0.05)
    rate = FallingRate(rule=rule, lr=1.0)
    seen = []
    for loss in losses:
        rate.after_epoch(loss)
        seen.append(rate.lr)
        rate = falling_rate(rule, 7.0, rate.state())  # nothing is lost on the way through the store
    assert seen == pytest.approx(rates)


def test_a_rate_below_the_floor_is_not_raised():
    rate = FallingRate(rule=Plateau(hold_epochs=1, patience_epochs=1), lr=1e-9)
    for _ in range(3):
        rate.after_epoch(1.0)
    assert rate.lr == 1e-9


@pytest.fixture
def ctx(toy_registry, monkeypatch):
    """A site whose validation never improves after its first epoch."""
    monkeypatch.setattr(Context, "validate", lambda self, model, role="local": (1.0, 0.0))
    return toy.context(toy.recipe(optimizer=SGD | {"plateau": RULE}))


def test_training_goes_on_at_the_lower_rate(ctx):
    start = initial(ctx)
    before = train(ctx, start, epochs=2, first_epoch=0)
    assert before.arrays["optimizer.plateau"].tolist() == [0.025, 1.0, 1.0, 2.0]
    after = train(ctx, before, epochs=1, first_epoch=2)
    plain = [toy.context(toy.recipe(optimizer=SGD | {"lr": lr})) for lr in (0.05, 0.025)]
    expected = train(plain[0], start, epochs=2, first_epoch=0)
    expected = train(plain[1], expected, epochs=1, first_epoch=2)
    np.testing.assert_allclose(after.arrays["model"], expected.arrays["model"], rtol=1e-5, atol=1e-6)
    assert toy.same(after, train(ctx, start, epochs=3, first_epoch=0))


def test_the_incoming_model_learns_at_the_receivers_rate(ctx):
    start = initial(ctx)
    slow = Bundle(arrays=start.arrays | {"optimizer.plateau": np.array([1e-9, 1.0, 1.0, 9.0])})
    plan = {"epochs": 1, "first_epoch": 0, "coupling": Contrast()}
    own, other = ctx.train_together(slow, start, **plan)
    assert own.arrays["optimizer.plateau"].tolist() == [1e-9, 1.0, 1.0, 10.0]
    assert "optimizer.plateau" not in other.arrays
    for model in (own, other):
        np.testing.assert_allclose(model.arrays["model"], start.arrays["model"], atol=1e-6)


def test_measuring_moves_nothing(toy_registry):
    """The validation between epochs leaves weights, statistics and chance as they were."""
    network = {"norm": "batch", "dropout": 0.2}
    plain = toy.recipe(network=network)
    watched = toy.recipe(network=network, optimizer={"plateau": {"hold_epochs": 100}})
    trained = [
        train(ctx, initial(ctx), epochs=2, first_epoch=0) for ctx in map(toy.context, (plain, watched))
    ]
    for name in trained[0].arrays:
        assert np.array_equal(trained[0].arrays[name], trained[1].arrays[name])


def test_it_needs_validation_cases(tmp_path):
    text = "algorithm: {name: local, rounds: 1}\n"
    rule = "task.optimizer.plateau={hold_epochs: 2}"
    run(tmp_path, text, rule)
    with pytest.raises(
        ScenarioError, match=r"^task\.optimizer\.plateau: needs validation cases, and b has none"
    ):
        run(tmp_path, text, rule, sites=SITES.replace("{train: 20, val: 2", "{train: 20, val: 0"))

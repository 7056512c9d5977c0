import dataclasses
import json

import numpy as np
import pytest
import torch

from algorithms.contrast import Contrast
from algorithms.mutual import merge_and_gate, stage, transfer
from simulator.api import Bundle
from simulator.errors import Diverged
from simulator.learning.batches import epoch_batches, training_items
from simulator.learning.models import load_weights, weights_of
from simulator.learning.networks import build
from simulator.learning.together import train_two
from simulator.learning.training import initial, train
from tests.learning import toy

SETTINGS = {
    "epochs": 1, "first_epoch": 3, "contrast": "correct_wrong", "region": "union", "dilation": 1,
    "lam": 1.0, "beta": 1.0, "margin": 0.693, "b": 0.0, "temperature": 1.0, "heads": "main",
    "update": "simultaneous", "merge": "val_weighted", "gate": False, "optimizer_after_merge": "keep",
    "num_cases_local": 3, "num_cases_incoming": 1,
}  # fmt: skip
WEIGHTS = ("model", "buffers", "counters")


def model_of(bundle):
    return Bundle(arrays={name: bundle.arrays[name] for name in WEIGHTS})


def pair(**changes):
    """A context, its warmed-up local model, and another site's model."""
    ctx = toy.context(toy.recipe(**changes))
    local = train(ctx, initial(ctx), epochs=3, first_epoch=0)
    other = toy.context(toy.recipe(**changes), site="south")
    return ctx, local, model_of(train(other, initial(other), epochs=2, first_epoch=0))


def together(ctx, local, incoming, **changes):
    options = {"epochs": 1, "first_epoch": 3, "coupling": Contrast()} | changes
    return ctx.train_together(local, incoming, **options)


def by_hand(ctx, models, alternating):
    """Two plain loops side by side: each model's own loss, optimizer and clipping."""
    networks = [build(ctx.spec) for _ in models]
    for network, model in zip(networks, models, strict=True):
        load_weights(network, model)
    settings = ctx.recipe.optimizer
    optimizers = [torch.optim.SGD(network.parameters(), lr=settings.lr) for network in networks]

    def step(who, other_logits, batch):
        logits = networks[who](batch.images)
        loss = ctx.loss.train(logits, batch.labels) + Contrast()(logits, other_logits, batch.labels)
        optimizers[who].zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(networks[who].parameters(), settings.clip_norm)
        optimizers[who].step()

    for batch in epoch_batches(ctx, training_items(ctx), 3):
        with torch.no_grad():
            logits = [network(batch.images) for network in networks]
        step(0, logits[1], batch)
        if alternating:
            with torch.no_grad():
                logits[0] = networks[0](batch.images)
        step(1, logits[0], batch)
    return [weights_of(network)["model"] for network in networks]


@pytest.mark.parametrize("alternating", [False, True])
def test_one_backward_over_the_sum_is_two_loops_side_by_side(toy_registry, alternating):
    # SGD, because Adam blows up rounding noise where the true gradient is zero
    ctx, local, incoming = pair(optimizer={"name": "sgd", "lr": 0.05, "clip_norm": 0.1})
    models = [model_of(local), incoming]
    got = together(ctx, *models, alternating=alternating)
    for one, expected in zip(got, by_hand(ctx, models, alternating), strict=True):
        np.testing.assert_allclose(one.arrays["model"], expected, rtol=1e-4, atol=1e-5)
    other_way = together(ctx, *models, alternating=not alternating)
    assert not toy.same(got[1], other_way[1])


def test_without_coupling_each_model_trains_as_if_alone(toy_registry):
    ctx, local, incoming = pair()
    own, other = together(ctx, local, incoming, coupling=Contrast(lam=0.0))
    alone = train(ctx, local, epochs=1, first_epoch=3)
    np.testing.assert_allclose(own.arrays["model"], alone.arrays["model"], rtol=1e-4, atol=1e-5)
    for name in ("step", "exp_avg_sq"):
        np.testing.assert_allclose(
            own.arrays[f"optimizer.{name}"], alone.arrays[f"optimizer.{name}"], rtol=1e-2, atol=1e-6
        )
    fresh = train(ctx, incoming, epochs=1, first_epoch=3)
    np.testing.assert_allclose(other.arrays["model"], fresh.arrays["model"], rtol=1e-4, atol=1e-5)
    assert set(other.arrays) == set(WEIGHTS)


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
@pytest.mark.parametrize(
    "changes", [{}, {"precision": "bf16"}, {"loss": "jaccard_ce", "dataset": {"exclusive": True}}]
)
def test_a_stage_is_deterministic_and_reports(toy_registry, update, changes):
    ctx, local, incoming = pair(**changes)
    one = stage(ctx, local, incoming, **SETTINGS | {"update": update})
    assert toy.same(one, stage(ctx, local, incoming, **SETTINGS | {"update": update}))
    assert set(one.arrays) == set(local.arrays)
    assert one.meta["merge"] == "val_weighted"
    assert one.meta["accepted"] is True
    assert one.meta["rejected"] is None
    losses = one.meta["val_loss"]
    share = losses["incoming"] / (losses["incoming"] + losses["local"])
    assert one.meta["weights"] == pytest.approx([share, 1 - share])
    json.dumps(one.meta, allow_nan=False)


def test_keeping_the_local_model_is_bit_identical(toy_registry):
    ctx, local, incoming = pair(network={"norm": "batch"})
    own, other = together(ctx, local, incoming)
    for rule, expected in (("keep_local", own), ("keep_incoming", other)):
        kept = stage(ctx, local, incoming, **SETTINGS | {"merge": rule})
        for name in ("model", "buffers"):
            assert kept.arrays[name].tobytes() == expected.arrays[name].tobytes()
        assert np.array_equal(kept.arrays["counters"], own.arrays["counters"]), "counters stay local"
        assert np.array_equal(kept.arrays["optimizer.exp_avg"], own.arrays["optimizer.exp_avg"])


def test_the_mean_merges_parameters_and_buffers(toy_registry):
    ctx, local, incoming = pair(network={"norm": "batch"})
    own, other = together(ctx, local, incoming)
    merged = stage(ctx, local, incoming, **SETTINGS | {"merge": "case_weighted"})
    assert merged.meta["weights"] == [0.75, 0.25]
    for name in ("model", "buffers"):
        expected = 0.75 * own.arrays[name].astype(float) + 0.25 * other.arrays[name]
        np.testing.assert_allclose(merged.arrays[name], expected, rtol=1e-6)


def test_the_optimizer_may_be_reset(toy_registry):
    ctx, local, incoming = pair()
    merged = stage(ctx, local, incoming, **SETTINGS | {"optimizer_after_merge": "reset"})
    assert set(merged.arrays) == set(WEIGHTS)


@dataclasses.dataclass
class Judge:
    """A context that only validates: by the first parameter."""

    losses: dict
    site: str = "north"

    def validate(self, model):
        loss = self.losses[float(model.arrays["model"][0])]
        return loss, 1 - loss


def trained(value):
    arrays = {
        "model": np.array([value], np.float32), "buffers": np.zeros(0, np.float32),
        "counters": np.zeros(0, np.int64), "optimizer.step": np.array([4]),
    }  # fmt: skip
    return Bundle(arrays=arrays, meta={"loss": [0.5]})


def gated(losses, rule="mean", gate=True, after="keep"):
    return merge_and_gate(
        Judge(losses), trained(0.0), trained(1.0), (1, 1), rule=rule, gate=gate, optimizer_after_merge=after
    )


def test_the_gate_keeps_the_local_model_if_the_merged_one_is_worse():
    worse = {0.0: 0.3, 1.0: 0.3, 0.5: 0.31}
    refused = gated(worse, after="reset")
    assert refused.arrays["model"].tolist() == [0.0]
    assert refused.arrays["optimizer.step"].tolist() == [4], "nothing was merged, nothing is reset"
    assert (refused.meta["accepted"], refused.meta["weights"]) == (False, [1.0, 0.0])
    assert refused.meta["val_loss"] == {"local": 0.3, "incoming": 0.3, "merged": 0.31}
    assert gated(worse, gate=False).arrays["model"].tolist() == [0.5]
    equal = gated({0.0: 0.3, 1.0: 0.9, 0.5: 0.3})
    assert (equal.arrays["model"].tolist(), equal.meta["accepted"]) == ([0.5], True)


def test_the_gate_judges_a_model_that_is_taken_whole_by_its_known_loss():
    assert gated({0.0: 0.3, 1.0: 0.4}, rule="keep_incoming").arrays["model"].tolist() == [0.0]
    assert gated({0.0: 0.3, 1.0: 0.2}, rule="best_val").arrays["model"].tolist() == [1.0]


@pytest.mark.parametrize("merged", [float("nan"), float("inf")])
def test_the_gate_refuses_a_merged_model_without_a_finite_loss(merged):
    outcome = gated({0.0: 0.3, 1.0: 0.3, 0.5: merged})
    assert outcome.arrays["model"].tolist() == [0.0]
    assert outcome.meta["val_loss"]["merged"] is None


def test_the_gate_needs_validation_cases():
    nothing = dict.fromkeys((0.0, 1.0, 0.5), float("nan"))
    with pytest.raises(ValueError, match="the gate needs validation cases"):
        gated(nothing)
    assert gated(nothing, gate=False).arrays["model"].tolist() == [0.5]
    assert gated(nothing, rule="keep_local").arrays["model"].tolist() == [0.0]


def test_an_incoming_model_that_is_not_finite_is_rejected_and_the_site_trains_alone(toy_registry):
    ctx, local, incoming = pair()
    alone = train(ctx, local, epochs=1, first_epoch=3)
    broken = {"model": incoming.arrays["model"].copy()}
    broken["model"][5] = np.nan
    outcome = stage(ctx, local, Bundle(arrays=dict(incoming.arrays) | broken), **SETTINGS)
    assert outcome.meta["rejected"] == "the incoming model is not finite"
    assert toy.same(outcome, alone)
    broken["model"] = incoming.arrays["model"] * 1e30
    outcome = stage(ctx, local, Bundle(arrays=dict(incoming.arrays) | broken), **SETTINGS)
    assert outcome.meta["rejected"] == "the loss is not finite"
    assert outcome.meta["accepted"] is False
    assert toy.same(outcome, alone)
    json.dumps(outcome.meta, allow_nan=False)


def test_a_local_model_that_diverges_by_itself_is_an_error(toy_registry):
    ctx, local, incoming = pair()
    broken = Bundle(arrays=dict(local.arrays) | {"model": local.arrays["model"] * 1e30})
    with pytest.raises(Diverged):
        stage(ctx, broken, incoming, **SETTINGS)


KEEP_INCOMING = SETTINGS | {"merge": "keep_incoming", "optimizer_after_merge": "reset"}
SMALL = {"name": "unet", "channels": [2, 4], "num_res_units": 0, "norm": "batch"}


def test_a_kept_model_of_another_network_is_kept_whole(toy_registry):
    """The local model is of the other network; the outcome is the incoming one, its counters too."""
    ctx, _, incoming = pair(network={"norm": "batch"})
    other = toy.context(toy.recipe(network=SMALL))
    local = dataclasses.replace(initial(other), network=other.recipe.model_dump(mode="json")["network"])
    outcome = transfer(ctx, incoming, local, **KEEP_INCOMING)
    assert outcome.network is None, "that of the first input"
    for name in WEIGHTS:
        assert outcome.arrays[name].shape == incoming.arrays[name].shape
    own, trained = together(ctx, local, incoming, coupling=Contrast(lam=1.0, margin=0.693))
    assert outcome.arrays["model"].tobytes() == trained.arrays["model"].tobytes()
    assert outcome.arrays["counters"].tolist() == trained.arrays["counters"].tolist()
    assert outcome.arrays["counters"].size != own.arrays["counters"].size
    broken = dict(incoming.arrays) | {"model": incoming.arrays["model"] * np.nan}
    with pytest.raises(ValueError, match="is not finite, and north cannot go on with its own"):
        transfer(ctx, Bundle(arrays=broken), local, **KEEP_INCOMING)


def test_with_equal_networks_a_transfer_is_the_stage_with_its_inputs_swapped(toy_registry):
    ctx, local, incoming = pair()
    expected = stage(ctx, local, incoming, **KEEP_INCOMING)
    assert toy.same(transfer(ctx, incoming, local, **KEEP_INCOMING), expected)
    broken = Bundle(arrays=dict(incoming.arrays) | {"model": incoming.arrays["model"] * np.nan})
    assert (
        transfer(ctx, broken, local, **KEEP_INCOMING).meta["rejected"] == "the incoming model is not finite"
    )


def test_both_models_see_the_batches_of_a_plain_epoch(toy_registry, monkeypatch):
    """Common random numbers: the stage's epoch has the images of local training's epoch."""
    seen = []
    ctx, local, incoming = pair()
    batches = [batch.images for batch in epoch_batches(ctx, training_items(ctx), 3)]

    def coupling(own, other, target):
        seen.append(target)
        return Contrast()(own, other, target)

    train_two(
        ctx, local, incoming, epochs=1, first_epoch=3, coupling=coupling, alternating=False, all_heads=False
    )
    labels = [batch.labels for batch in epoch_batches(ctx, training_items(ctx), 3)]
    assert len(seen) == 2 * len(batches)
    assert all(torch.equal(one, two) for one, two in zip(seen[::2], labels, strict=True))

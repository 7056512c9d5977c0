"""FedGS against its vectors, by hand, and against FedAvg."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from algorithms import gradient_scaling
from algorithms.gradient_scaling import scale_factor
from algorithms.mixing import merge
from simulator.api import Bundle
from simulator.learning import training
from simulator.learning.lesions import smallest_ratio
from simulator.learning.models import load_weights, weights_of
from simulator.learning.optimizers import adam_update, make_optimizer
from simulator.scenario.task import Optimizer
from tests.learning import toy
from tests.vectors import close, load

ROUNDS = load("fedgs_rounds")
ARRAYS, SETTINGS = ROUNDS["arrays"], ROUNDS["hyper_parameters"]
PARAMETERS = ("c1.weight", "bn.weight", "bn.bias", "c2.weight", "c2.bias")
STATISTICS = ("bn.running_mean", "bn.running_var")
ARMS = list(SETTINGS["scaling"])


class Net(nn.Module):
    """The vector's network."""

    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(2)
        self.c2 = nn.Conv2d(2, 2, 1)

    def forward(self, images):
        return torch.softmax(self.c2(torch.relu(self.bn(self.c1(images)))), dim=1)


class VectorContext:
    """One site of the vector: its batches in their order, its loss, and torch's own AdamW."""

    def __init__(self, site, **changes):
        folder = f"inputs/site{site}/batch"
        numbers = sorted({name.split("/")[2] for name in ARRAYS if name.startswith(folder)})
        self._batches = [
            SimpleNamespace(
                images=torch.tensor(ARRAYS[f"inputs/site{site}/{number}/image"]),
                labels=torch.tensor(ARRAYS[f"inputs/site{site}/{number}/mask"]).float(),
            )
            for number in numbers
        ]
        for batch in self._batches:
            masks = batch.labels[:, 0].bool().numpy()
            case = SimpleNamespace(smallest_lesions=[smallest_ratio(mask) for mask in masks])
            batch.items = tuple((case, item) for item in range(len(batch.images)))
        settings = {"name": "adamw", "lr": SETTINGS["lr"], "weight_decay": SETTINGS["weight_decay"]}
        self.settings = Optimizer(**(settings | changes))

    def pupil(self, model, role, *, state=None, only=None):
        module = Net().train()
        load_weights(module, model)
        parameters = list(module.parameters())
        optimizer = make_optimizer(self.settings, parameters)

        def step(total):
            optimizer.zero_grad()
            total.backward()
            optimizer.step()

        return SimpleNamespace(
            output=lambda batch: module(batch.images),
            supervised=dice,
            step=step,
            adam_update=lambda: adam_update(optimizer, self.settings, parameters),
            bundle=lambda *, keep_optimizer, **meta: Bundle(arrays=weights_of(module), meta=meta),
        )

    def epochs(self, step, *, epochs, first_epoch, drop_last=False):
        losses = [[float(step(batch)) for batch in self._batches] for _ in range(epochs)]
        return [sum(one) / len(one) for one in losses], epochs * len(self._batches)


def dice(probability, batch):
    p, y = probability[:, 1], batch.labels[:, 0]
    return 1 - (2 * (p * y).sum() + 0.1) / (p.sum() + y.sum() + 0.1)


def joined(folder, names):
    return np.concatenate([ARRAYS[f"{folder}/{name}"].reshape(-1) for name in names])


def first_state():
    arrays = {"model": joined("inputs/init", PARAMETERS), "buffers": joined("inputs/init", STATISTICS)}
    return Bundle(arrays=arrays | {"counters": np.zeros(1, dtype=np.int64)})


def train(ctx, state, *, scaling=True):
    # flags follow from the masks: 1 of 64 pixels is small, any larger lesion is not
    return gradient_scaling.train_scaled(
        ctx,
        state,
        scaling=scaling,
        log_base=SETTINGS["log_base"],
        small_threshold=64,
        epochs=SETTINGS["local_epochs"],
        first_epoch=0,
        keep_optimizer=False,
    )


@pytest.mark.parametrize("arm", ARMS)
def test_rounds_match_the_vector(arm):
    state = first_state()
    for round_ in range(2):
        folder = f"expected/{arm}/round{round_}"
        updates = [train(VectorContext(site), state, scaling=SETTINGS["scaling"][arm]) for site in range(2)]
        for site, update in enumerate(updates):
            close(
                update.arrays[gradient_scaling.UPDATE],
                joined(f"{folder}/site{site}/cumulative", PARAMETERS),
                ROUNDS,
            )
        steps = np.array([update.meta["steps"] for update in updates])
        assert steps.tolist() == ARRAYS[f"{folder}/num_steps"].tolist()
        state = gradient_scaling.server_step(
            None,
            state,
            *updates,
            weights=(steps / steps.sum()).tolist(),
            server_momentum=SETTINGS["server_momentum"][arm],
        )
        close(state.arrays["model"], joined(f"{folder}/server", PARAMETERS), ROUNDS)
        close(state.arrays["buffers"], joined(f"{folder}/server", STATISTICS), ROUNDS)
        assert state.arrays["counters"].tolist() == [0]


def test_scale_factors_match_their_vector():
    vector = load("fedgs_scale_factor")
    given = vector["inputs"]
    num_pixels = given["height"] * given["width"]
    for name, batch in given["batches"].items():
        eta = scale_factor(given["mask_pixels"], batch["small"], num_pixels, batch["log_base"])
        close(eta, vector["expected"]["eta"][name], vector)


def test_one_parameter_by_hand():
    """Gradients .5 and −.5, eta 1 and 2, lr = weight decay = .01 (spec, worked example)."""
    w = nn.Parameter(torch.ones(1, dtype=torch.float64))
    settings = Optimizer(name="adamw", lr=0.01, weight_decay=0.01)
    optimizer = torch.optim.AdamW([w], lr=0.01, weight_decay=0.01)
    total, seen = 0.0, []
    for gradient, eta in ((0.5, 1), (-0.5, 2)):
        w.grad = torch.full_like(w, gradient)
        optimizer.step()
        total += eta * adam_update(optimizer, settings, [w]).item()
        seen.append((w.item(), total))
    assert seen[0] == (pytest.approx(0.9899, abs=1e-8), pytest.approx(0.01, abs=1e-8))
    assert seen[1] == (pytest.approx(0.990327, abs=1e-6), pytest.approx(0.008947, abs=1e-6))


def test_without_scaling_and_weight_decay_it_is_fedavg_weighted_by_steps():
    contexts = [VectorContext(site, weight_decay=0.0) for site in range(2)]
    state, weights = first_state(), [0.6, 0.4]
    updates = [train(ctx, state, scaling=False) for ctx in contexts]
    models = []
    for ctx in contexts:
        pupil = ctx.pupil(state, "local")

        def step(batch, pupil=pupil):
            loss = pupil.supervised(pupil.output(batch), batch)
            pupil.step(loss)
            return loss.detach()

        ctx.epochs(step, epochs=SETTINGS["local_epochs"], first_epoch=0)
        models.append(pupil.bundle(keep_optimizer=False))
    ours = gradient_scaling.server_step(None, state, *updates, weights=weights, server_momentum=0.0).arrays
    plain = merge(models, weights)
    np.testing.assert_allclose(ours["model"], plain["model"], atol=1e-6)
    assert np.array_equal(ours["buffers"], plain["buffers"])


def test_scaling_leaves_local_training_as_it_is():
    state = first_state()
    on, off = (train(VectorContext(0), state, scaling=scaling) for scaling in (True, False))
    assert on.meta["loss"] == off.meta["loss"]
    assert np.array_equal(on.arrays["buffers"], off.arrays["buffers"])
    assert off.meta["eta"] == 1
    assert on.meta["eta"] > 1


def test_an_update_that_is_not_finite_is_left_out():
    state = first_state()
    good, bad = (train(VectorContext(site), state) for site in range(2))
    bad.arrays[gradient_scaling.UPDATE][3] = np.inf
    after = gradient_scaling.server_step(None, state, good, bad, weights=[0.6, 0.4], server_momentum=0.0)
    alone = gradient_scaling.server_step(None, state, good, weights=[1.0], server_momentum=0.0)
    assert after.meta == {"rejected": 1}
    assert np.array_equal(after.arrays["model"], alone.arrays["model"])
    assert (
        gradient_scaling.server_step(None, state, bad, weights=[1.0], server_momentum=0.0).arrays
        is state.arrays
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_it_trains_on_cases_and_its_optimizer_may_go_on(toy_registry, dims):
    recipe = toy.recipe(
        dataset={"dims": dims}, optimizer={"name": "adamw", "weight_decay": 0.01}, batch_size=2, augment=[]
    )
    ctx = toy.context(recipe)
    model = training.initial(ctx)
    how = {"scaling": True, "log_base": 100, "epochs": 1, "keep_optimizer": True}
    first = gradient_scaling.train_scaled(ctx, model, small_threshold=2, first_epoch=0, **how)
    assert first.meta["eta"] > 1
    assert first.arrays["optimizer.step"].tolist() == [first.meta["steps"]]
    after = gradient_scaling.server_step(None, model, first, weights=[1.0], server_momentum=0.5)
    assert np.array_equal(
        after.arrays[gradient_scaling.MOMENTUM], first.arrays[gradient_scaling.UPDATE].astype(np.float64)
    )
    second = gradient_scaling.train_scaled(ctx, after, first, small_threshold=1e9, first_epoch=1, **how)
    assert second.meta["eta"] == 1
    assert second.arrays["optimizer.step"].tolist() == [2 * first.meta["steps"]]

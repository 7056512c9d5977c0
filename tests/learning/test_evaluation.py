import json
import math

import numpy as np
import pytest
import torch

from simulator.learning import evaluation
from simulator.learning.evaluation import evaluate, predict
from simulator.learning.metrics import STATUS_NAMES
from simulator.learning.training import initial, train
from tests.learning import toy

OPTIONS = {"split": "test", "distances": True, "empty": "one", "overlays": 0}


@pytest.fixture
def fixed(monkeypatch):
    """Evaluate with logits that are a function of the images."""

    def use(ctx, function):
        monkeypatch.setattr(evaluation, "one_pass", lambda *args: function)

    return use


def perfect(images):
    """The toy's disks are bright in the mean of both channels."""
    mean = images.mean(1, keepdim=True)
    return torch.cat([mean - 0.3, mean - 2.0], 1)


def test_a_trained_model_is_measured_per_case_and_structure(toy_registry):
    ctx = toy.context(toy.recipe(), test=2)
    model = train(ctx, initial(ctx), epochs=15, first_epoch=0)
    outcome = evaluate(ctx, model, **OPTIONS | {"overlays": 1})
    assert outcome.meta["cases"] == ["c4", "c5"]
    assert outcome.meta["structures"] == ["whole", "core"]
    assert outcome.arrays["dice"].shape == outcome.arrays["hd95_mm"].shape == (2, 2)
    assert outcome.arrays["dice"].dtype == np.float64
    assert outcome.arrays["dice"][:, 0].min() > 0.8
    assert outcome.arrays["assd_mm"][0, 0] < 2
    assert outcome.meta["loss"] < 1
    picture = [outcome.arrays[f"overlay.{what}.0"] for what in ("image", "truth", "prediction")]
    assert [array.shape for array in picture] == [(16, 16), (2, 16, 16), (2, 16, 16)]
    assert "overlay.image.1" not in outcome.arrays
    json.dumps(outcome.meta, allow_nan=False)


def test_the_picture_is_of_the_slice_with_most_truth(toy_registry):
    ctx = toy.context(toy.recipe(dataset={"dims": 3}))
    outcome = evaluate(ctx, initial(ctx), **OPTIONS | {"overlays": 3})
    truth = ctx.cases("test")[0].labels[0].numpy()
    area = truth.any(0).sum((1, 2))
    (index,) = outcome.meta["overlay_slices"]
    assert area[index] == area.max() > area[0]
    assert np.array_equal(outcome.arrays["overlay.truth.0"], truth[:, index])
    assert np.array_equal(outcome.arrays["overlay.image.0"], ctx.cases("test")[0].images[0, 0, index])


def test_models_are_evaluated_without_dropout(toy_registry):
    ctx = toy.context(toy.recipe(network={"dropout": 0.5}))
    model = train(ctx, initial(ctx), epochs=1, first_epoch=0)
    assert len({evaluate(ctx, model, **OPTIONS).meta["loss"] for _ in range(3)}) == 1


def test_evaluation_is_free(toy_registry):
    ctx = toy.context(toy.recipe(network={"norm": "batch"}))
    model = initial(ctx)
    before = train(ctx, model, epochs=1, first_epoch=0)
    one = evaluate(ctx, before, **OPTIONS)
    assert toy.same(one, evaluate(ctx, before, **OPTIONS))
    assert toy.same(train(ctx, model, epochs=1, first_epoch=0), before)


def test_missed_structures_and_false_alarms_are_counted_as_zero(toy_registry, fixed):
    ctx = toy.context(toy.recipe(), test=2)
    for case in ctx.cases("test"):
        case.labels[:, 1] = 0
    fixed(ctx, lambda images: torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1).expand(len(images), 2, 16, 16))
    outcome = evaluate(ctx, None, **OPTIONS)
    names = np.array(STATUS_NAMES)[outcome.arrays["status"]]
    assert names.tolist() == [["missed", "false_alarm"]] * 2
    assert np.all(outcome.arrays["dice"] == 0)
    assert np.isnan(outcome.arrays["hd95_mm"]).all()
    assert (outcome.meta["missed"], outcome.meta["false_alarms"]) == (2, 2)


@pytest.mark.parametrize(("empty", "dice"), [("one", 1.0), ("exclude", math.nan)])
def test_both_empty_follows_the_policy(toy_registry, fixed, empty, dice):
    ctx = toy.context(toy.recipe())
    for case in ctx.cases("test"):
        case.labels[:] = 0
    fixed(ctx, lambda images: torch.full((len(images), 2, 16, 16), -1.0))
    outcome = evaluate(ctx, None, **OPTIONS | {"empty": empty, "overlays": 1})
    np.testing.assert_equal(outcome.arrays["dice"], [[dice, dice]])
    assert outcome.meta["overlay_slices"] == [1], "the middle one"


def test_without_distances_they_are_nan(toy_registry):
    ctx = toy.context(toy.recipe())
    outcome = evaluate(ctx, initial(ctx), **OPTIONS | {"distances": False})
    assert np.isnan(outcome.arrays["hd95_mm"]).all()
    assert np.isfinite(outcome.arrays["dice"]).all()


def test_slices_in_parts_and_at_once_agree(toy_registry, monkeypatch):
    ctx = toy.context(toy.recipe())
    run = evaluation.one_pass(ctx, initial(ctx))
    case = ctx.cases("test")[0]
    whole = predict(ctx, run, case)
    monkeypatch.setitem(evaluation._WHOLE_VOXELS, "cpu", 16 * 16)
    torch.testing.assert_close(predict(ctx, run, case), whole)


@pytest.mark.parametrize("patch_size", [None, [8, 8, 8]])
def test_a_volume_that_is_too_large_goes_through_in_windows(toy_registry, monkeypatch, patch_size):
    """A network that looks at one voxel at a time cannot tell windows from the whole."""
    ctx = toy.context(toy.recipe(dataset={"dims": 3}, patch_size=patch_size))
    case = ctx.cases("test")[0]
    whole = predict(ctx, perfect, case)
    assert whole.shape == (1, 2, 16, 16, 16)
    monkeypatch.setitem(evaluation._WHOLE_VOXELS, "cpu", 1000)
    torch.testing.assert_close(predict(ctx, perfect, case), whole)


def test_validation_is_the_mean_over_cases(toy_registry, fixed):
    ctx = toy.context(toy.recipe(), val=2)
    fixed(ctx, perfect)
    loss, dice = ctx.validate(None)
    cases = ctx.cases("val")
    losses, scores = [], []
    for case in cases:
        logits = perfect(case.images)
        losses.append(ctx.loss.validation(logits.transpose(0, 1)[None], case.labels.transpose(0, 1)[None]))
        for k in range(2):
            p, y = logits[:, k] >= 0, case.labels[:, k] > 0
            scores.append(2 * float((p & y).sum()) / float(p.sum() + y.sum()))
    assert loss == pytest.approx(float(sum(losses)) / 2)
    assert dice == pytest.approx(sum(scores) / 4)
    assert dice > 0.8


def test_a_site_without_validation_cases_has_no_validation(toy_registry):
    ctx = toy.context(toy.recipe(), val=0)
    assert all(math.isnan(value) for value in ctx.validate(initial(ctx)))

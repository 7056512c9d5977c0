import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance
from torch import from_numpy

from simulator.learning.metrics import STATUS_NAMES, dice_score, status_of, surface_distances_mm

MASKS = arrays(bool, (4, 5, 6))


def masks(seed=0, shape=(6, 12, 14)):
    rng = np.random.Generator(np.random.Philox(key=seed))
    base = rng.random(shape)
    return base > 0.6, base + rng.normal(0, 0.1, shape) > 0.65


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.9)])
def test_scores_are_monais(spacing):
    prediction, truth = masks()
    one, other = (from_numpy(mask)[None, None].float() for mask in (prediction, truth))
    hd95, assd = surface_distances_mm(prediction, truth, spacing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI 1.6 warns of a deprecation in its own call
        options = {"include_background": True, "spacing": spacing}
        expected = compute_hausdorff_distance(one, other, percentile=95, **options)
        mean = compute_average_surface_distance(one, other, symmetric=True, **options)
    assert hd95 == pytest.approx(float(expected), rel=1e-5)
    assert assd == pytest.approx(float(mean), rel=1e-5)
    assert dice_score(prediction, truth) == pytest.approx(float(compute_dice(one, other)), rel=1e-6)


def test_two_cubes_by_hand():
    """Cubes of 1 voxel, 3 voxels apart along an axis of 2 mm: both distances are 6 mm."""
    one, other = np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), bool)
    one[1, 4, 4] = other[4, 4, 4] = True
    assert surface_distances_mm(one, other, (2.0, 1.0, 1.0)) == (6.0, 6.0)
    assert dice_score(one, other) == 0.0


@pytest.mark.parametrize(
    ("prediction", "truth", "status", "one", "exclude"),
    [
        (1, 1, "ok", 1.0, 1.0),
        (0, 0, "both_empty", 1.0, math.nan),
        (0, 1, "missed", 0.0, 0.0),
        (1, 0, "false_alarm", 0.0, 0.0),
    ],
)
def test_the_policy_for_empty_masks(prediction, truth, status, one, exclude):
    pair = np.full((2, 2, 2), bool(prediction)), np.full((2, 2, 2), bool(truth))
    assert STATUS_NAMES[status_of(*pair)] == status
    assert dice_score(*pair, empty="one") == one
    np.testing.assert_equal(dice_score(*pair, empty="exclude"), exclude)
    if status != "ok":
        assert all(math.isnan(value) for value in surface_distances_mm(*pair, (1.0, 1.0, 1.0)))


@given(MASKS, MASKS)
@settings(deadline=None)  # a busy machine is no failure
def test_scores_are_symmetric_and_zero_apart_only_for_equal_masks(one, other):
    spacing = (2.0, 1.0, 1.0)
    assert dice_score(one, other) == dice_score(other, one)
    assert 0 <= dice_score(one, other) <= 1
    there, back = surface_distances_mm(one, other, spacing), surface_distances_mm(other, one, spacing)
    np.testing.assert_allclose(there, back, rtol=1e-9)
    if one.any():
        assert surface_distances_mm(one, one, spacing) == (0.0, 0.0)


@given(MASKS.filter(np.any), st.floats(0, 1))
@settings(deadline=None)  # a busy machine is no failure
def test_missing_a_structure_never_raises_the_mean(truth, other_dice):
    """Against any other score, a miss counts 0 whatever the policy for empty masks."""
    nothing = np.zeros_like(truth)
    for empty in ("one", "exclude"):
        scores = [other_dice, dice_score(nothing, truth, empty=empty)]
        assert np.nanmean(scores) <= other_dice

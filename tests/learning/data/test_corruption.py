from functools import partial

import numpy as np
import pytest

from simulator.learning.data.corruption import Damage, corrupt
from simulator.learning.data.corruption_settings import Corruptions
from simulator.rng import stream

SHAPE = (5, 40, 40)


def case(seed=1, name="c"):
    return Damage(channels=("t1", "t2"), spacing_mm=(2.0, 1.0, 1.0), rng=partial(stream, seed, name))


def made():
    """A bright ball in a head, in two channels, zeros around."""
    z, y, x = np.indices(SHAPE)
    away = np.sqrt((2 * (z - 2)) ** 2 + (y - 20) ** 2 + (x - 20) ** 2)
    head = (away < 18).astype(np.float32)
    image = np.stack([head * (100 + 2 * y + 50 * (away < 8)), head * (300 - x)]).astype(np.float32)
    return image, np.stack([away < 8, away < 4]).astype(np.uint8)


def damaged(habits, *, keep_label=False, of=None):
    settings = Corruptions.model_validate(habits)
    return corrupt(settings, *made(), of or case(), keep_label=keep_label)


def test_nothing_wrong_changes_nothing():
    image, label = damaged({})
    assert np.array_equal(image, made()[0])
    assert np.array_equal(label, made()[1])


@pytest.mark.parametrize(
    "shift", [{"contrast": 0.5}, {"gamma": 2.0}, {"bias_field": 0.3}, {"blur": "2 mm"}, {"noise": 0.1}]
)
def test_a_scanner_changes_images_but_neither_background_nor_labels(shift):
    image, label = damaged({"shift": shift})
    before, truth = made()
    assert image.dtype == np.float32
    assert np.array_equal(image == 0, before == 0)
    assert np.array_equal(label, truth)
    inside = before[0] != 0
    plain = damaged({"shift": {}})[0]
    assert np.abs(image - plain)[0][inside].mean() > 0.01 * plain[0][inside].std()
    assert np.array_equal(image, damaged({"shift": shift})[0]), "the same case, the same damage"


def test_noise_is_as_strong_as_it_says_and_differs_by_case():
    plain, noisy = damaged({"shift": {}})[0], damaged({"shift": {"noise": 0.05}})[0]
    inside = made()[0][1] != 0
    extent = np.subtract(*np.percentile(made()[0][1][inside], (99, 1)))
    middle = inside & (plain[1] > 0.3 * extent)  # Rician noise is Gaussian there
    assert (noisy - plain)[1][middle].std() == pytest.approx(0.05 * extent, rel=0.1)
    assert not np.array_equal(noisy, damaged({"shift": {"noise": 0.05}}, of=case(name="d"))[0])


def test_missing_modalities_are_zeros_or_another_channel():
    before = made()[0]
    image, _ = damaged({"missing": {"channel": "t2"}})
    assert not image[1].any()
    assert np.array_equal(image[0], before[0])
    image, _ = damaged({"missing": [{"channel": "t2", "replace_by": "t1"}]})
    assert np.array_equal(image[1], before[0])
    habits = {"missing": {"channel": "t1", "share": 0.5}}
    lacking = [not damaged(habits, of=case(name=f"c{n}"))[0][0].any() for n in range(40)]
    assert 10 <= sum(lacking) <= 30


def volume_mm3(mask):
    return 2.0 * mask.sum()


def test_outlines_move_by_millimeters():
    truth = made()[1]
    for way, radius_mm in (("wider", 10.0), ("tighter", 6.0)):
        label = damaged({"label_noise": {way: "2 mm"}})[1]
        middle = label[0, 2].sum()
        assert middle == pytest.approx(np.pi * radius_mm**2, rel=0.12)
    assert np.array_equal(damaged({"label_noise": {"wider": "3 mm"}}, keep_label=True)[1], truth)
    wobbly = damaged({"label_noise": {"wobble": "2 mm"}})[1]
    assert 0.02 < (wobbly != truth)[0].sum() / truth[0].sum() < 0.8
    assert volume_mm3(wobbly[0]) == pytest.approx(volume_mm3(truth[0]), rel=0.5)


def test_lesions_that_are_not_marked():
    gone = [not damaged({"label_noise": {"omit": 0.5}}, of=case(name=f"c{n}"))[1].any() for n in range(40)]
    assert 10 <= sum(gone) <= 30


def test_one_kind_of_damage_draws_for_itself():
    both = {"shift": {"noise": 0.1}, "label_noise": {"wobble": "1 mm"}}
    image, label = damaged(both)
    assert np.array_equal(image, damaged({"shift": {"noise": 0.1}})[0])
    assert np.array_equal(label, damaged({"label_noise": {"wobble": "1 mm"}})[1])


def test_a_single_slice_keeps_its_outlines_in_its_plane():
    image, label = made()
    settings = Corruptions.model_validate({"label_noise": {"wider": "2 mm"}})
    found = corrupt(settings, image[:, 2:3], label[:, 2:3], case(), keep_label=False)[1]
    assert found[0, 0].sum() == pytest.approx(np.pi * 10**2, rel=0.08)


@pytest.mark.parametrize(
    ("habits", "message"),
    [
        ({"missing": {"channel": "t1", "replace_by": "t1"}}, "t1 cannot stand in for itself"),
        ({"label_noise": {"wider": "2 mm", "tighter": "2 mm"}}, "wider and tighter undo each other"),
    ],
)
def test_damage_that_does_nothing_is_refused(habits, message):
    with pytest.raises(ValueError, match=message):
        Corruptions.model_validate(habits)

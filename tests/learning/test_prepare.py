import numpy as np
import pytest

from simulator.errors import BadCase
from simulator.learning.prepare import check_case, prepare, zscore
from tests.learning import toy


def test_prepared_cases_are_normalized_and_described(toy_registry):
    ctx = toy.context(toy.recipe())
    bundle = prepare(ctx, site_data=None, cases=toy.case_infos("north", train=1, val=1, test=0))
    assert [case["split"] for case in bundle.meta["cases"]] == ["train", "val"]
    assert bundle.meta["cases"][0] == {
        "case": "c0", "patient": "p0", "split": "train", "num_items": 3,
        "spacing_mm": [2.0, 1.0, 1.0], "shape": [3, 16, 16],
    }  # fmt: skip
    assert bundle.meta["skipped"] == []
    image, label = bundle.arrays["image.0"], bundle.arrays["label.0"]
    assert (image.dtype, image.shape, label.dtype, label.shape) == (
        np.float32, (2, 3, 16, 16), np.uint8, (2, 3, 16, 16),
    )  # fmt: skip
    assert abs(image[1].mean()) < 1e-6
    assert abs(image[1].std() - 1) < 1e-5


def test_bad_cases_are_skipped_with_their_reason_unless_strict(toy_registry):
    cases = toy.case_infos("north")
    ctx = toy.context(toy.recipe())
    bundle = prepare(ctx, site_data={"broken": ["c1"]}, cases=cases)
    assert bundle.meta["skipped"] == [["c1", "unreadable"]]
    assert [case["case"] for case in bundle.meta["cases"]] == ["c0", "c2", "c3", "c4"]
    assert set(bundle.arrays) == {f"{what}.{i}" for what in ("image", "label") for i in range(4)}
    with pytest.raises(BadCase, match="north: case c1: unreadable"):
        prepare(toy.context(toy.recipe(strict=True)), site_data={"broken": ["c1"]}, cases=cases)


def test_the_same_bits_every_time_whatever_else_the_site_has(toy_registry):
    ctx = toy.context(toy.recipe())
    one = prepare(ctx, site_data=None, cases=toy.case_infos("north"))
    few = prepare(ctx, site_data=None, cases=toy.case_infos("north")[:2])
    assert np.array_equal(one.arrays["image.1"], few.arrays["image.1"])
    assert toy.same(one, prepare(ctx, site_data=None, cases=toy.case_infos("north")))


GOOD = (np.ones((2, 3, 8, 8), np.float32), np.zeros((2, 3, 8, 8), np.uint8), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("image", "label", "spacing", "message"),
    [
        (GOOD[0].astype(float), None, None, "image is float64"),
        (GOOD[0][:1], None, None, "expected 2 channels"),
        (GOOD[0], GOOD[1][:, :, :4], None, "label has shape"),
        (GOOD[0][:, :2], GOOD[1][:, :2], None, "it has 2 slices, the index says 3"),
        (GOOD[0] * np.nan, None, None, "not finite"),
        (None, GOOD[1] + 2, None, "the label has the value 2"),
        (None, None, (1.0, 0.0, 1.0), "expected 3 positive numbers"),
        (GOOD[0][:, :, :0], GOOD[1][:, :, :0], None, "nothing in it"),
    ],
)
def test_what_makes_a_case_bad(image, label, spacing, message):
    image = GOOD[0] if image is None else image
    label = GOOD[1] if label is None else label
    with pytest.raises(BadCase, match=message):
        check_case(toy.describe(toy.Toy()), toy.info(), image, label, spacing or GOOD[2])


def test_zscore_does_not_blow_up_the_rounding_of_a_constant_channel():
    image = np.full((1, 2, 3, 4), 1000, np.float32)
    image[0, 0] = np.nextafter(image[0, 0], np.float32(0))
    assert np.all(zscore(image) == 0)


def test_zscore_leaves_background_and_survives_constant_and_empty_channels():
    image = np.zeros((3, 1, 2, 4), np.float32)
    image[0, 0, 0] = [1, 2, 3, 4]
    image[1, 0, 0] = 0.1
    result = zscore(image)
    assert np.all(result[0, 0, 1] == 0)
    np.testing.assert_allclose(result[0, 0, 0], np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-6)
    assert np.all(result[1:] == 0)

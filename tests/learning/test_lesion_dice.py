import math

import numpy as np
import torch

from simulator.learning.cases import Case
from simulator.learning.evaluation import evaluate
from simulator.learning.lesion_dice import LesionDice
from simulator.learning.training import initial
from tests.learning import toy

EDGE = 20  # of an item: 400 pixels


def square(*corners_and_edges):
    mask = np.zeros((EDGE, EDGE), bool)
    for row, column, edge in corners_and_edges:
        mask[row : row + edge, column : column + edge] = True
    return mask


def scored(pairs, threshold=20.0):
    truths, predictions = (np.stack(masks)[:, None] for masks in zip(*pairs, strict=True))
    case = Case(
        name="c", split="test", spacing_mm=(1.0, 1.0, 1.0),
        images=torch.zeros(len(pairs), 1, EDGE, EDGE), labels=torch.tensor(truths.astype(np.uint8)),
    )  # fmt: skip
    dice = LesionDice(threshold=threshold)
    dice.add(case, predictions)
    return dice.report()


def test_items_are_grouped_by_their_smallest_lesion_and_their_whole_mask():
    nothing = square()
    tiny, large = square((0, 0, 2)), square((0, 0, 8))  # 400/4 and 400/64
    both = tiny | square((10, 10, 8))  # the smallest is small, the whole mask is not
    assert scored([
        (tiny, tiny), (both, nothing), (large, square((0, 0, 4))), (nothing, nothing), (nothing, tiny)
    ]) == {
        "dice_items": (1 + 0 + 0.4 + 1 + 0) / 5,
        "dice_nonempty": (1 + 0 + 0.4) / 3,
        "dice_small": 0.5,
        "dice_tiny": 1.0,
        "dice_large": 0.4,
    }  # fmt: skip


def test_the_threshold_itself_is_small_and_an_empty_group_has_no_mean():
    report = scored([(square((0, 0, 4)), square((0, 0, 4)))], threshold=25.0)  # 400/16
    assert report["dice_small"] == report["dice_tiny"] == 1.0
    assert math.isnan(report["dice_large"])
    assert math.isnan(scored([(square((0, 0, 4)), square())], threshold=25.1)["dice_small"])


def test_an_evaluation_reports_them_where_wanted(toy_registry):
    ctx = toy.context(toy.recipe(), test=2)
    options = {"split": "test", "distances": False, "empty": "one", "overlays": 0}
    assert "report" not in evaluate(ctx, initial(ctx), **options).meta
    report = evaluate(ctx, initial(ctx), **options, small_lesions=5.0).meta["report"]
    assert set(report) == {f"dice_{name}" for name in ("items", "nonempty", "small", "tiny", "large")}

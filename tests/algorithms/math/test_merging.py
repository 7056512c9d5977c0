import math

import pytest

from algorithms.merging import Standing, merge_weights
from tests.vectors import close, load

VECTOR = load("gcml_merge")
RULES = tuple(VECTOR["expected"])
NEED = ("val_weighted", "dice_weighted", "best_val")


def standing(loss=0.3, dice=0.7, cases=23):
    return Standing(val_loss=loss, val_dice=dice, num_cases=cases)


@pytest.mark.parametrize("rule", RULES)
def test_weights_match_their_vector(rule):
    given = VECTOR["inputs"]
    local, incoming = (
        standing(given[f"val_loss_{who}"], given[f"val_dice_{who}"], given[f"num_cases_{who}"])
        for who in ("local", "incoming")
    )
    close(merge_weights(rule, local, incoming), VECTOR["expected"][rule], VECTOR)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_an_incoming_model_without_a_finite_loss_weighs_nothing(rule, loss):
    assert merge_weights(rule, standing(), standing(loss, 0.99)) == (1.0, 0.0)


@pytest.mark.parametrize("rule", NEED)
def test_a_local_model_without_a_finite_loss_yields(rule):
    assert merge_weights(rule, standing(math.nan), standing()) == (0.0, 1.0)


@pytest.mark.parametrize("rule", RULES)
def test_without_validation_cases_rules_that_need_them_are_refused(rule):
    local, incoming = standing(None, None, 1), standing(None, None, 3)
    if rule in NEED:
        with pytest.raises(ValueError, match=f"merge {rule} needs validation cases"):
            merge_weights(rule, local, incoming)
    else:
        assert sum(merge_weights(rule, local, incoming)) == 1


def test_ties_and_zeros():
    assert merge_weights("best_val", standing(), standing()) == (1.0, 0.0)
    assert merge_weights("val_weighted", standing(0.0), standing(0.0)) == (0.5, 0.5)
    assert merge_weights("dice_weighted", standing(dice=0.0), standing(dice=0.0)) == (0.5, 0.5)
    assert merge_weights("val_weighted", standing(0.0), standing(0.5)) == (1.0, 0.0)

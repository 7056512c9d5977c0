"""How the local and the incoming model become one after mutual learning.

**A reconstruction**: how GCML merges is not known to us. Free of torch.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

Rule = Literal[
    "keep_local", "keep_incoming", "mean", "case_weighted", "val_weighted", "dice_weighted", "best_val"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of one model after the stage, on the receiver's validation cases.

    ``val_loss`` and ``val_dice`` are None at a site without such cases.
    """

    val_loss: float | None
    val_dice: float | None
    num_cases: int


def merge_weights(rule: Rule, local: Standing, incoming: Standing) -> tuple[float, float]:
    """Return the weights (of the local model, of the incoming one).

    ``val_weighted`` weighs by inverse validation losses, ``dice_weighted`` by Dice; two zeros give
    (½, ½). ``best_val`` takes the smaller loss, the local model on a tie. An incoming model whose
    validation loss is not finite gets weight 0 whatever the rule.

    Raises:
        ValueError: the rule needs validation cases and there are none.
    """
    if rule == "keep_local" or (incoming.val_loss is not None and not isfinite(incoming.val_loss)):
        return 1.0, 0.0
    if rule == "keep_incoming":
        return 0.0, 1.0
    if rule == "mean":
        return 0.5, 0.5
    if rule == "case_weighted":
        return _shares(local.num_cases, incoming.num_cases)
    if local.val_loss is None or incoming.val_loss is None:
        raise ValueError(f"merge {rule} needs validation cases; use merge mean or case_weighted")
    if not isfinite(local.val_loss):
        return 0.0, 1.0
    if rule == "best_val":
        return (1.0, 0.0) if local.val_loss <= incoming.val_loss else (0.0, 1.0)
    if rule == "dice_weighted":
        assert local.val_dice is not None  # measured with the loss
        assert incoming.val_dice is not None
        return _shares(local.val_dice, incoming.val_dice)
    return _shares(incoming.val_loss, local.val_loss)


def _shares(local: float, incoming: float) -> tuple[float, float]:
    total = local + incoming
    return (local / total, incoming / total) if total > 0 else (0.5, 0.5)

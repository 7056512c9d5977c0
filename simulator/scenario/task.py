"""What is learned and what is measured: the sections ``task`` and ``evaluation`` of a scenario."""

from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.registry import Settings
from simulator.scenario.fields import Count, Positive, Share


class Plateau(Settings):
    """A learning rate that falls when validation stands still; the defaults are the GCML authors' for E = 200
    epochs (max(150, E/2) and clip(E/10, 30, 50)).

    Constant while a model has fewer than ``hold_epochs`` behind it; then multiplied by ``factor``, not below
    ``floor``, after every epoch that finds the best validation loss ``patience_epochs`` or more behind.
    """

    hold_epochs: Count = 150
    patience_epochs: Count = 30
    factor: Share = 0.3
    floor: Positive = 1e-6


class Optimizer(Settings):
    """The optimizer of local training; its state, the rate of ``plateau`` included, stays at the site."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Positive
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    momentum: Share = 0.0
    amsgrad: bool = False
    clip_norm: Positive | None = None
    plateau: Plateau | None = None


class Task(Settings):
    """What is learned: data, network, loss and recipe, the same for all sites."""

    dataset: Any
    network: Any
    loss: Literal["dice_ce", "dice", "jaccard_focal", "jaccard_ce"] = "dice_ce"
    class_weight: tuple[float, ...] | None = None
    optimizer: Optimizer
    batch_size: Count
    patch_size: tuple[Count, ...] | None = None
    patches_per_case: Count = 1
    augment: tuple[Literal["flip", "gamma", "noise", "rotate90"], ...] = ("flip",)
    normalize: Literal["zscore", "none"] = "zscore"
    precision: Literal["fp32", "bf16"] = "fp32"
    init: Literal["shared", "independent"] = "shared"
    strict: bool = False


class Evaluation(Settings):
    """What is measured, outside virtual time.

    ``selection`` says which of the models that a site had is tested as its selected one: that with the
    ``best`` validation loss, or that with the best exponential moving average of it up to its round
    (``ema``: a tenth of the new loss, nine tenths of the average before, over the rounds measured).
    ``small_lesions`` is the size of an item over that of its smallest lesion's bounding box from which
    that lesion is small; with it, the Dice of single slices (volumes) by size of lesions is measured.
    """

    every_rounds: Count = 1
    selection: Literal["best", "ema"] = "best"
    distances: bool = True
    overlays: Annotated[int, Field(ge=0, le=8)] = 2
    empty: Literal["one", "exclude"] = "one"
    target_dice: Share | None = None
    small_lesions: Annotated[float, Field(ge=1)] | None = None

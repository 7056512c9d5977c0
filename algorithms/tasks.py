"""The work that several methods share, named with its cost; the mathematics lies beside it.

Costs follow from metadata alone, so a plan knows them without torch.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulator.api import Cost, ModelSize, SiteData, Task


def _epochs(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    return Cost(train_items=data.train_items * params["epochs"])


def _mean(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """One multiply-add per value and model."""
    return Cost(flop=2.0 * num_inputs * (model.num_parameters + model.num_buffers))


def _stage(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Both models train on every batch; both, and the merged one if gated, are validated.

    ``alternating`` recomputes the local model's forward pass before the incoming model's step.
    """
    items = data.train_items * params["epochs"]
    validations = 2 + bool(params["gate"])
    alternating = items if params["update"] == "alternating" else 0
    return Cost(
        train_items=2 * items,
        forward_items=alternating + validations * data.val_items,
        extra_train_items=items,
    )


def _extra_stage(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """A second stage in a round: all of it is more than the budget of local epochs."""
    cost = _stage(data, model, num_inputs, params)
    return replace(cost, extra_train_items=cost.train_items)


MEAN = Task(name="average", function="algorithms.mixing:mean", version=1, cost=_mean, stateful=False)
"""Weighted mean of models: ``(*models, weights)``."""

MIX = Task(name="mix", function="algorithms.mixing:mix", version=1, cost=_mean)
"""Weighted mean of the local and an incoming model; the local optimizer's state stays."""

TRAIN_PROX = Task(
    name="train_prox",
    function="algorithms.proximal:train_prox",
    version=1,
    cost=_epochs,
    data="own",
    seeded="site",
)
"""Local epochs held near the model they start from: ``(received, mu, epochs, first_epoch)``."""

STAGE = Task(
    name="mutual",
    function="algorithms.mutual:stage",
    version=1,
    cost=_stage,
    data="own",
    seeded="site",
    reported=True,
)
"""Mutual learning of the local and an incoming model, merge and gate in one."""

EXTRA_STAGE = replace(STAGE, cost=_extra_stage)
"""The same work after the first stage of a round; only its account differs."""

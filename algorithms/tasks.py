"""The work that several methods share, named with its cost; the mathematics lies beside it.

Costs follow from metadata alone, so a plan knows them without torch.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulator.api import Cost, ModelSize, SiteData, Task


def epochs_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Local epochs."""
    return Cost(train_items=data.train_items * params["epochs"])


def free(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Moving values in memory takes no virtual time."""
    return Cost()


def extra_epochs_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Local epochs of a second model: more than the budget that all methods share."""
    items = data.train_items * params["epochs"]
    return Cost(train_items=items, extra_train_items=items)


def mean_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """One multiply-add per value and model."""
    return Cost(flop=2.0 * num_inputs * (model.num_parameters + model.num_buffers))


def twice_epochs_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Local epochs of two models on the same batches; the second one is extra."""
    items = data.train_items * params["epochs"]
    return Cost(train_items=2 * items, extra_train_items=items)


def _stage(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Both models train on every batch; both are validated, and where the gate is to judge a mixture of
    them that one too.

    ``alternating`` recomputes the local model's forward pass before the incoming model's step.
    """
    items = data.train_items * params["epochs"]
    validations = 2 + (params["gate"] and params["merge"] not in {"keep_local", "keep_incoming", "best_val"})
    alternating = items if params["update"] == "alternating" else 0
    return Cost(
        train_items=items,
        forward_items=alternating + (validations - 1) * data.val_items,
        incoming_train_items=items,
        incoming_forward_items=data.val_items,
    )


def _transfer(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """A stage whose first input is the incoming model."""
    cost = _stage(data, model, num_inputs, params)
    return replace(
        cost,
        forward_items=cost.incoming_forward_items,
        incoming_forward_items=cost.forward_items,
    )


def _extra_stage(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """A second stage in a round: all of it is more than the budget of local epochs."""
    cost = _stage(data, model, num_inputs, params)
    return replace(cost, extra_train_items=cost.train_items)


MEAN = Task(name="average", function="algorithms.mixing:mean", version=1, cost=mean_cost, stateful=False)
"""Weighted mean of models: ``(*models, weights)``."""

BARE = Task(name="bare", function="algorithms.mixing:bare", version=1, cost=free, stateful=False)
"""A model without its optimizer, as others see it: ``(model)``."""

CARRY = Task(name="carry", function="algorithms.mixing:carry", version=1, cost=free)
"""A received model with the site's own optimizer: ``(received, own)``."""

MIX = Task(name="mix", function="algorithms.mixing:mix", version=1, cost=mean_cost)
"""Weighted mean of the local and an incoming model; the local optimizer's state stays."""

TRAIN_PROX = Task(
    name="train_prox",
    function="algorithms.proximal:train_prox",
    version=1,
    cost=epochs_cost,
    data="own",
    seeded="site",
)
"""Local epochs held near the model they start from: ``(received, mu, epochs, first_epoch)``."""

TRAIN_NEAR = Task(
    name="train_near",
    function="algorithms.proximal:train_near",
    version=1,
    cost=extra_epochs_cost,
    data="own",
    seeded="site",
)
"""Local epochs of a second model, held near a first: ``(start, anchor), mu, epochs, first_epoch``."""

TRAIN_ON = replace(TRAIN_NEAR, cost=epochs_cost)
"""The same for a site's one model, which goes on from ``start``; only its account differs."""

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

TRANSFER = replace(STAGE, function="algorithms.mutual:transfer", cost=_transfer)
"""The same for a method that keeps the incoming model: ``(incoming, local)``."""

EXTRA_STAGE = replace(STAGE, cost=_extra_stage)
"""The same work after the first stage of a round; only its account differs."""

"""FedSM's work with what it costs and how many bytes travel, the selector's apart: free of torch.

A. Xu et al., "Closing the generalization gap of cross-silo federated medical image segmentation",
CVPR 2022.
"""

from collections.abc import Mapping
from typing import Any

from algorithms.tasks import free
from simulator.api import Cost, ModelSize, SiteData, Task, classifier_size


def _selector(model: ModelSize, params: Mapping[str, Any], num_sites: int) -> ModelSize:
    return classifier_size(str(params["selector"]), num_sites, model)


def _part_payload(model: ModelSize, params: Mapping[str, Any]) -> tuple[int, ...]:
    """Global and personal models, then the selector, with its moments if there are any."""
    values = _selector(model, params, params["num_sites"]).num_parameters
    models = (model.num_buffers, model.num_parameters) * (1 + len(params["sites"]))
    return *models, *[values] * (3 if params["moments"] else 1)


def _part_apart(model: ModelSize, params: Mapping[str, Any]) -> Mapping[str, int]:
    values = _selector(model, params, params["num_sites"]).num_parameters
    return {"selector": (3 if params["moments"] else 1) * values}


def _update_payload(model: ModelSize, params: Mapping[str, Any]) -> tuple[int, ...]:
    values = _selector(model, params, len(params["sites"])).num_parameters
    return *(model.num_buffers, model.num_parameters) * 2, *[values] * 3


def _update_apart(model: ModelSize, params: Mapping[str, Any]) -> Mapping[str, int]:
    return {"selector": 3 * _selector(model, params, len(params["sites"])).num_parameters}


def _train_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Local epochs of two models, and the selector's, a backward pass costing two forward passes."""
    items = data.train_items * params["epochs"]
    forward = _selector(model, params, len(params["sites"])).forward_flop
    flop = 3.0 * forward * data.train_items * params["selector_epochs"]
    return Cost(train_items=2 * items, extra_train_items=items, flop=flop)


def _aggregate_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Means over the answers, and for each answer one more of the personal models."""
    answers = num_inputs - 1
    values = 3 * _selector(model, params, params["num_sites"]).num_parameters
    segmentation = (1 + answers) * (model.num_parameters + model.num_buffers)
    return Cost(flop=2.0 * answers * (segmentation + values))


FUNCTIONS = "algorithms.super_model:"
START = Task(
    name="first_state", function=FUNCTIONS + "first_state", version=1, cost=free, seeded="run", stateful=False
)
PART = Task(
    name="part_of_state",
    function=FUNCTIONS + "part_of_state",
    version=1,
    cost=free,
    stateful=False,
    payload=_part_payload,
    apart=_part_apart,
)
TRAIN = Task(
    name="train_super",
    function=FUNCTIONS + "train_super",
    version=1,
    cost=_train_cost,
    data="own",
    seeded="site",
    reported=True,
    payload=_update_payload,
    apart=_update_apart,
)
AGGREGATE = Task(
    name="aggregate_super", function=FUNCTIONS + "aggregate", version=1, cost=_aggregate_cost, stateful=False
)
PERSONAL = Task(
    name="personal_model", function=FUNCTIONS + "personal_model", version=1, cost=free, stateful=False
)

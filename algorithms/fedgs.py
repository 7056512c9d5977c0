"""FedGS: the update that a site sends amplifies the steps it took on batches with small lesions.

P. Schutte, V. Corbetta, R. Beets-Tan, W. Silva, "FedGS: Federated gradient scaling for heterogeneous
medical image segmentation", MICCAI 2024 Workshops (DeCaF), LNCS 15274, arXiv 2408.11701.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from algorithms.common import Steps, fine_tuned
from algorithms.server_based import Method, Work, in_order, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import site
from simulator.api import (
    Algorithm,
    Cost,
    Message,
    ModelSize,
    Node,
    Ref,
    SiteData,
    Task,
    only_with,
)


class FedGS(ServerBased):
    """FedGS: local training is AdamW's; each step counts eta-fold in what is sent, without weight decay.

    eta is 1 for a batch without small lesions and grows with their share and smallness, see
    :func:`algorithms.gradient_scaling.scale_factor`. An image (slice or volume) has a small lesion if its
    pixels over those of the bounding box of its smallest lesion reach ``small_threshold``. The
    defaults of ``log_base`` and ``small_threshold`` are the authors' for PolypGen (their log base for
    LiTS is 1000). ``scaling: false`` is the comparator with eta 1. A last batch that is not full is
    left out. ``missing: discard`` keeps the old model unless every site that was asked answers.
    """

    name: Literal["fedgs"] = "fedgs"
    local_epochs: Annotated[int, Field(ge=1)] = 5
    sender_weights: Literal["steps", "cases", "uniform"] = "steps"
    log_base: Annotated[float, Field(gt=1)] = 100.0
    small_threshold: Annotated[float, Field(ge=1)] = 150.0
    scaling: bool = True
    server_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    missing: Literal["proceed", "discard"] = "proceed"

    @model_validator(mode="after")
    def _scales(self) -> "FedGS":
        only_with(self, "scaling", {"log_base": (True,), "small_threshold": (True,)})
        only_with(self, "missing", {"quorum": ("proceed",), "grace": ("proceed",)})
        return self

    def answers_needed(self, num_wanted: int) -> int:
        """Answers without which a round counts for nothing, of those wanted."""
        return num_wanted if self.missing == "discard" else super().answers_needed(num_wanted)


def _train_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Full batches only, and a multiply-add per parameter and step."""
    epochs = params["epochs"]
    scaling = 2.0 * model.num_parameters * data.full_batches * epochs
    return Cost(train_items=data.full_items * epochs, flop=scaling)


def _step_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    return Cost(flop=2.0 * num_inputs * (model.num_parameters + model.num_buffers))


def _payload(model: ModelSize, params: Mapping[str, Any]) -> tuple[int, ...]:
    return model.num_buffers, model.num_parameters


TRAIN = Task(
    name="train_scaled",
    function="algorithms.gradient_scaling:train_scaled",
    version=1,
    cost=_train_cost,
    data="own",
    seeded="site",
    reported=True,
    change=True,
    payload=_payload,
)
STEP = Task(
    name="fedgs_step",
    function="algorithms.gradient_scaling:server_step",
    version=1,
    cost=_step_cost,
    reported=True,
)


def local(node: Node, cfg: FedGS, state: Ref, own: Ref | None, round_: int) -> Steps:
    """Local epochs from the model received; the optimizer is fresh unless it persists."""
    persistent = cfg.optimizer_state == "persistent"
    update = yield node.compute(
        TRAIN,
        *((state, own) if persistent and own is not None else (state,)),
        scaling=cfg.scaling,
        log_base=cfg.log_base,
        small_threshold=cfg.small_threshold,
        epochs=cfg.local_epochs,
        first_epoch=round_ * cfg.local_epochs,
        keep_optimizer=persistent,
        round=round_,
    )
    return Work(update=update, own=update, header={"steps": cfg.local_epochs * node.data.full_batches})


def aggregate(node: Node, cfg: FedGS, state: Ref, answers: Mapping[str, Message], round_: int) -> Steps:
    """Step the server's model."""
    updates, weights = in_order(node, cfg, answers)
    return (
        yield node.compute(
            STEP, state, *updates, weights=weights, server_momentum=cfg.server_momentum, round=round_
        )
    )


def check_steps(cfg: FedGS, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """The rule is AdamW's, and a site without a full batch would take no step."""
    if task.optimizer.name != "adamw":
        return (
            f"task.optimizer: fedgs sends AdamW's steps without their weight decay, and this is "
            f"{task.optimizer.name}; write {{name: adamw, lr: …}}"
        )
    for name, known in sorted(data.items()):
        if not known.full_batches:
            return (
                f"task.batch_size: {name} has {known.train_items} items, not one full batch of "
                f"{task.batch_size}, and fedgs drops batches that are not full; use a smaller batch"
            )
    return check(cfg, data, model, task)


METHOD = Method(local=local, aggregate=aggregate)
FEDGS = Algorithm(
    settings=FedGS,
    site=fine_tuned(partial(site, method=METHOD)),
    server=partial(server, method=METHOD),
    check=check_steps,
    summary="FedAvg of steps, amplified where lesions are small",
    source="Schutte et al., MICCAI Workshops (DeCaF) 2024",
)

"""FedSM: a global model, a personal one of each site, and a selector that says which segments an image.

A. Xu et al., "Closing the generalization gap of cross-silo federated medical image segmentation",
CVPR 2022.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from pydantic import model_validator

from algorithms.common import Count, Positive, Share, Steps, fine_tuned
from algorithms.fedsm_tasks import AGGREGATE, FUNCTIONS, PART, PERSONAL, START, TRAIN
from algorithms.server_based import Method, Work, in_order, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import site
from simulator.api import (
    Algorithm,
    ClassifierName,
    Message,
    ModelSize,
    Node,
    Ref,
    SiteData,
    classifier_size,
    only_with,
)


class FedSM(ServerBased):
    """FedSM with SoftPull: two segmentation models and the selector travel both ways in every round.

    A personal model becomes ``lam`` of itself and (1−lam) of the mean of the others that answered; a
    site that did not answer keeps its own, and so does one that answered alone. At inference an image
    is segmented with a personal model where the selector is surer than ``gamma``. ``selector`` names
    a classifier; it takes one Adam step per epoch on all training items. ``missing: refuse`` keeps the
    old state unless every site that was asked answers. The last download is the whole set of models.
    """

    name: Literal["fedsm"] = "fedsm"
    when_server_lost: Literal["stop", "train_alone"] = "stop"
    sender_weights: Literal["steps", "cases", "uniform"] = "steps"
    optimizer_state: Literal["persistent", "reset"] = "persistent"
    lam: Share = 0.7
    gamma: Share = 0.9
    selector: ClassifierName = "vgg11"
    selector_lr: Positive = 1e-3
    selector_epochs: Count = 1
    missing: Literal["proceed", "refuse"] = "proceed"

    @model_validator(mode="after")
    def _needs_all(self) -> "FedSM":
        only_with(self, "missing", {"quorum": ("proceed",), "grace": ("proceed",)})
        return self

    def answers_needed(self, num_wanted: int) -> int:
        """Answers without which a round counts for nothing, of those wanted."""
        return num_wanted if self.missing == "refuse" else super().answers_needed(num_wanted)


def start(node: Node, cfg: FedSM) -> Steps:
    """The initial model in every place, and a new selector."""
    if cfg.lam * len(node.sites) < 1:
        node.record("weak_pull", lam=cfg.lam, num_sites=len(node.sites))
    model = yield node.compute(node.learner.init)
    return (yield node.compute(START, model, sites=node.sites, selector=cfg.selector))


def offer(node: Node, cfg: FedSM, state: Ref, name: str, last: bool) -> Steps:
    """A site's own part of the state; at the end, all that inference needs."""
    return (
        yield node.compute(
            PART,
            state,
            sites=node.sites if last else (name,),
            selector=cfg.selector,
            num_sites=len(node.sites),
            moments=not last and state.task != START.name,
        )
    )


def use(node: Node, cfg: FedSM, state: Ref, own: Ref | None) -> Steps:
    """The personal model, to train on alone; the site is measured with the super model."""
    if own is None:
        own = yield node.compute(node.learner.init)
    return (yield node.compute(PERSONAL, state, own, site=node.name))


def local(node: Node, cfg: FedSM, state: Ref, own: Ref | None, round_: int) -> Steps:
    """Train all three."""
    if own is None:
        own = yield node.compute(node.learner.init)
    update = yield node.compute(
        TRAIN,
        state,
        own,
        sites=node.sites,
        selector=cfg.selector,
        selector_lr=cfg.selector_lr,
        selector_epochs=cfg.selector_epochs,
        first_selector_epoch=round_ * cfg.selector_epochs,
        epochs=cfg.local_epochs,
        first_epoch=round_ * cfg.local_epochs,
        keep_optimizer=cfg.optimizer_state == "persistent",
        round=round_,
    )
    return Work(update=update, own=update)


def aggregate(node: Node, cfg: FedSM, state: Ref, answers: Mapping[str, Message], round_: int) -> Steps:
    """Means of global model and selector, SoftPull of the personal models."""
    updates, weights = in_order(node, cfg, answers)
    return (
        yield node.compute(
            AGGREGATE,
            state,
            *updates,
            sites=sorted(answers),
            weights=weights,
            lam=cfg.lam,
            selector=cfg.selector,
            num_sites=len(node.sites),
            round=round_,
        )
    )


def shown(node: Node, cfg: FedSM) -> dict[str, Any]:
    """How a site is measured."""
    params = {"selector": cfg.selector, "sites": node.sites, "gamma": cfg.gamma}
    return {"predictor": FUNCTIONS + "SuperModel", "predictor_params": params}


def check_selector(cfg: FedSM, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """The selector must be able to see the items."""
    classifier_size(cfg.selector, len(data), model)
    return check(cfg, data, model, task)


METHOD = Method(local=local, aggregate=aggregate, start=start, use=use, offer=offer, shown=shown)
FEDSM = Algorithm(
    settings=FedSM,
    site=fine_tuned(partial(site, method=METHOD)),
    server=partial(server, method=METHOD),
    check=check_selector,
    summary="a global model, personal ones pulled together, and a selector among them",
    source="Xu et al., CVPR 2022",
)

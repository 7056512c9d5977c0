"""FedBN and FedRep: a part of the network never leaves its site, the rest is averaged.

X. Li et al., "FedBN: federated learning on non-IID features via local batch normalization", ICLR
2021. L. Collins et al., "Exploiting shared representations for personalized federated learning",
ICML 2021.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from pydantic import model_validator

from algorithms.common import Count, Steps, fine_tuned, train_round, tune
from algorithms.defenses import Defended, robustly
from algorithms.parts import EXTRACT, GRAFT, MEAN_PART, absent
from algorithms.server_based import Method, Work, in_order, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import site
from algorithms.tasks import CARRY, epochs_cost
from simulator.api import (
    Algorithm,
    Bundle,
    Message,
    ModelSize,
    Node,
    Ref,
    SiteData,
    Task,
    TaskContext,
)


class FedBN(Defended, ServerBased):
    """FedBN: everything but batch normalization (weights, biases, statistics) is averaged.

    Needs a network with batch normalization. A newcomer starts with that of the initial model.
    """

    name: Literal["fedbn"] = "fedbn"
    when_server_lost: Literal["stop", "train_alone", "elect"] = "stop"

    @property
    def shared(self) -> str:
        """The part that travels."""
        return "-batch_norm"


class FedRep(Defended, ServerBased):
    """FedRep: a shared body, a private head.

    In a round the head learns for ``head_epochs`` with the body frozen, then the body with the head
    frozen for the rest of ``local_epochs``, each with a fresh optimizer. ``head`` names the private part
    of the network: its last block, or the whole decoder. After the last round ``finetune_epochs`` train the
    whole network, or the head alone (``finetune: head``), as the paper's 10 epochs before testing do.
    """

    name: Literal["fedrep"] = "fedrep"
    when_server_lost: Literal["stop", "train_alone", "elect"] = "stop"
    optimizer_state: Literal["reset"] = "reset"
    local_epochs: Count = 2
    head_epochs: Count = 1
    head: Literal["head", "decoder"] = "head"
    finetune: Literal["all", "head"] = "all"

    @model_validator(mode="after")
    def _both_learn(self) -> "FedRep":
        if self.head_epochs >= self.local_epochs:
            raise ValueError(
                f"head_epochs {self.head_epochs} of {self.local_epochs} local epochs leave none for the "
                f"body; write local_epochs: {self.head_epochs + 1} or more"
            )
        return self

    @model_validator(mode="after")
    def _tunes(self) -> "FedRep":
        if self.finetune == "head" and not self.finetune_epochs:
            raise ValueError("finetune: nothing is trained after the last round; write finetune_epochs: 10")
        return self

    @property
    def shared(self) -> str:
        """The part that travels."""
        return f"-{self.head}"


def train_head_then_body(
    ctx: TaskContext, model: Bundle, *, head: str, head_epochs: int, epochs: int, first_epoch: int
) -> Bundle:
    """The head with a frozen body, then the body with the head just trained (a task function)."""
    with_head = ctx.train(model, epochs=head_epochs, first_epoch=first_epoch, keep_optimizer=False, only=head)
    return ctx.train(
        with_head,
        epochs=epochs - head_epochs,
        first_epoch=first_epoch + head_epochs,
        keep_optimizer=False,
        only=f"-{head}",
    )


def train_part(ctx: TaskContext, model: Bundle, *, part: str, epochs: int, first_epoch: int) -> Bundle:
    """Local epochs of a part, the rest frozen (a task function)."""
    return ctx.train(model, epochs=epochs, first_epoch=first_epoch, keep_optimizer=False, only=part)


TRAIN_IN_TURN = Task(
    name="train_head_then_body",
    function="algorithms.private_parts:train_head_then_body",
    version=1,
    cost=epochs_cost,
    data="own",
    seeded="site",
    stateful=False,
)


TRAIN_PART = replace(TRAIN_IN_TURN, name="train_part", function="algorithms.private_parts:train_part")
"""``(model), part, epochs, first_epoch``."""


def start(node: Node, cfg: Any) -> Steps:
    """The shared part of the initial model."""
    model = yield node.compute(node.learner.init)
    return (yield node.compute(EXTRACT, model, part=cfg.shared))


def aggregate(node: Node, cfg: Any, state: Ref, answers: Mapping[str, Message], round_: int) -> Steps:
    """The mean of the parts received."""
    parts, weights = in_order(node, cfg, answers)
    if cfg.defense is not None:
        names = sorted(answers)
        return (yield from robustly(node, cfg.defense, state, parts, weights, names, round_, cfg.shared))
    return (yield node.compute(MEAN_PART, *parts, weights=weights, part=cfg.shared, round=round_))


def use(node: Node, cfg: Any, state: Ref, own: Ref | None) -> Steps:
    """The shared part received in the site's own model, at first the initial one."""
    if own is None:
        own = yield node.compute(node.learner.init)
    return (yield node.compute(GRAFT, state, own, part=cfg.shared))


def local_whole(node: Node, cfg: FedBN, state: Ref, own: Ref | None, round_: int) -> Steps:
    """FedBN: local epochs of the whole network."""
    model = yield from use(node, cfg, state, own)
    if cfg.optimizer_state == "persistent" and own is not None:
        model = yield node.compute(CARRY, model, own)
    model = yield from train_round(node, cfg, model, round_)
    return Work(update=(yield node.compute(EXTRACT, model, part=cfg.shared)), own=model)


def local_in_turn(node: Node, cfg: FedRep, state: Ref, own: Ref | None, round_: int) -> Steps:
    """FedRep: the head, then the body."""
    model = yield from use(node, cfg, state, own)
    model = yield node.compute(
        TRAIN_IN_TURN,
        model,
        head=cfg.head,
        head_epochs=cfg.head_epochs,
        epochs=cfg.local_epochs,
        first_epoch=round_ * cfg.local_epochs,
        round=round_,
    )
    return Work(update=(yield node.compute(EXTRACT, model, part=cfg.shared)), own=model)


def tune_part(node: Node, cfg: FedRep, model: Ref, **epochs: Any) -> Steps:
    """FedRep's epochs after the last round."""
    if cfg.finetune == "all":
        return (yield from tune(node, cfg, model, **epochs))
    return (yield node.compute(TRAIN_PART, model, part=cfg.head, **epochs))


def check_parts(cfg: Any, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """The network must have the private part."""
    return check(cfg, data, model, task) or absent(model, cfg.shared)


BN = Method(local=local_whole, aggregate=aggregate, start=start, use=use)
REP = Method(local=local_in_turn, aggregate=aggregate, start=start, use=use)
FEDBN = Algorithm(
    settings=FedBN,
    site=fine_tuned(partial(site, method=BN)),
    server=partial(server, method=BN),
    check=check_parts,
    summary="FedAvg of all but batch normalization, which stays at its site",
    source="Li et al., ICLR 2021",
)
FEDREP = Algorithm(
    settings=FedRep,
    site=fine_tuned(partial(site, method=REP), tune_part),
    server=partial(server, method=REP),
    check=check_parts,
    summary="a shared body is averaged, a private head stays at its site",
    source="Collins et al., ICML 2021",
)

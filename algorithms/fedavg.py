"""FedAvg and FedProx: a server averages what its sites trained.

B. McMahan et al., "Communication-efficient learning of deep networks from decentralized data",
AISTATS 2017; T. Li et al., "Federated optimization in heterogeneous networks", MLSys 2020.
"""

from functools import partial
from typing import Literal

from pydantic import model_validator

from algorithms.common import Positive, Steps, fine_tuned
from algorithms.defenses import Defended
from algorithms.server_based import Method, Work, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import site, train
from algorithms.tasks import CARRY, TRAIN_ON, TRAIN_PROX
from simulator.api import Algorithm, Node, Ref, Seconds


class FedAvg(Defended, ServerBased):
    """FedAvg: the next model is the mean of the sites' models."""

    name: Literal["fedavg"] = "fedavg"


class FedProx(Defended, ServerBased):
    """FedAvg whose sites stay near the model received: the loss gains (mu/2)·‖w − w_received‖².

    With a ``work_deadline`` a straggler sends partial work: it trains at least one local epoch, and no
    further one that would end, judged by the last one, later than this after it began.
    """

    name: Literal["fedprox"] = "fedprox"
    mu: Positive = 0.01
    work_deadline: Seconds | None = None

    @model_validator(mode="after")
    def _leaves_a_choice(self) -> "FedProx":
        if self.work_deadline is not None and self.local_epochs == 1:
            raise ValueError("work_deadline: a single local epoch cannot be cut short; write local_epochs: 2")
        if self.work_deadline is not None and self.work_deadline >= self.round_deadline:
            raise ValueError(
                f"work_deadline ({self.work_deadline:g} s) must end before round_deadline "
                f"({self.round_deadline:g} s), or partial work comes too late"
            )
        return self


def local(node: Node, cfg: FedAvg, state: Ref, own: Ref | None, round_: int) -> Steps:
    """Local epochs from the model received."""
    model = yield from train(node, cfg, state, own, round_)
    return Work(update=model, own=model)


def local_near(node: Node, cfg: FedProx, state: Ref, own: Ref | None, round_: int) -> Steps:
    """Local epochs from the model received, pulled toward it."""
    if cfg.optimizer_state == "persistent" and own is not None:
        state = yield node.compute(CARRY, state, own)
    if cfg.work_deadline is not None:
        return (yield from local_until(node, cfg, state, round_, node.now + cfg.work_deadline))
    first = round_ * cfg.local_epochs
    model = yield node.compute(
        TRAIN_PROX, state, mu=cfg.mu, epochs=cfg.local_epochs, first_epoch=first, round=round_
    )
    return Work(update=model, own=model)


def local_until(node: Node, cfg: FedProx, state: Ref, round_: int, deadline: float) -> Steps:
    """As many of the local epochs as fit before the deadline, at least one."""
    model, done, last_s = state, 0, 0.0
    while done == 0 or (done < cfg.local_epochs and node.now + last_s <= deadline):
        before, first = node.now, round_ * cfg.local_epochs + done
        model = yield node.compute(
            TRAIN_ON, model, state, mu=cfg.mu, epochs=1, first_epoch=first, round=round_
        )
        done, last_s = done + 1, node.now - before
    if done < cfg.local_epochs:
        node.record("partial_work", round=round_, epochs=done)
    return Work(update=model, own=model, header={"steps": done * node.data.train_batches})


AVERAGING = Method(local=local)
NEARBY = Method(local=local_near)
FEDAVG = Algorithm(
    settings=FedAvg,
    site=fine_tuned(partial(site, method=AVERAGING)),
    server=partial(server, method=AVERAGING),
    check=check,
    summary="a server averages the sites' models, weighted by cases",
    source="McMahan et al., AISTATS 2017",
)
FEDPROX = Algorithm(
    settings=FedProx,
    site=fine_tuned(partial(site, method=NEARBY)),
    server=partial(server, method=NEARBY),
    check=check,
    summary="FedAvg with a proximal term that holds sites near the model received",
    source="Li et al., MLSys 2020",
)

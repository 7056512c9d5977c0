"""FedAvg and FedProx: a server averages what its sites trained.

B. McMahan et al., "Communication-efficient learning of deep networks from decentralized data",
AISTATS 2017; T. Li et al., "Federated optimization in heterogeneous networks", MLSys 2020.
"""

from functools import partial
from typing import Literal

from algorithms.common import Positive, Steps, fine_tuned
from algorithms.defenses import Defended
from algorithms.server_based import Method, Work, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import site, train
from algorithms.tasks import CARRY, TRAIN_PROX
from simulator.api import Algorithm, Node, Ref


class FedAvg(Defended, ServerBased):
    """FedAvg: the next model is the mean of the sites' models."""

    name: Literal["fedavg"] = "fedavg"


class FedProx(Defended, ServerBased):
    """FedAvg whose sites stay near the model received: the loss gains (mu/2)·‖w − w_received‖²."""

    name: Literal["fedprox"] = "fedprox"
    mu: Positive = 0.01


def local(node: Node, cfg: FedAvg, state: Ref, own: Ref | None, round_: int) -> Steps:
    """Local epochs from the model received."""
    model = yield from train(node, cfg, state, own, round_)
    return Work(update=model, own=model)


def local_near(node: Node, cfg: FedProx, state: Ref, own: Ref | None, round_: int) -> Steps:
    """Local epochs from the model received, pulled toward it."""
    if cfg.optimizer_state == "persistent" and own is not None:
        state = yield node.compute(CARRY, state, own)
    first = round_ * cfg.local_epochs
    model = yield node.compute(
        TRAIN_PROX, state, mu=cfg.mu, epochs=cfg.local_epochs, first_epoch=first, round=round_
    )
    return Work(update=model, own=model)


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

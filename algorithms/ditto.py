"""Ditto: beside the averaged model each site keeps a personal one near it.

T. Li et al., "Ditto: fair and robust federated learning through personalization", ICML 2021.
"""

from functools import partial
from typing import Literal

from algorithms.common import Positive, Steps, fine_tuned
from algorithms.defenses import Defended
from algorithms.server_based import Method, Work, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import site, train
from algorithms.tasks import TRAIN_NEAR
from simulator.api import Algorithm, Node, Ref


class Ditto(Defended, ServerBased):
    """Ditto: FedAvg, and a personal model with the loss f(v) + (lam/2)·‖v − w_received‖².

    The personal model starts as the first model received, stays at its site with its optimizer, and
    is what the site uses. It takes as many local epochs as the shared one: compute doubles. lam → 0
    is local training, lam → ∞ the averaged model. ``optimizer_state`` is that of the shared model.
    """

    name: Literal["ditto"] = "ditto"
    when_server_lost: Literal["stop", "train_alone", "elect"] = "stop"
    lam: Positive = 1.0


def local(node: Node, cfg: Ditto, state: Ref, own: Ref | None, round_: int) -> Steps:
    """FedAvg's local epochs, then as many of the personal model, held near the model received."""
    _, last = node.durable.get("update", (None, None))
    update = yield from train(node, cfg, state, None if last is None else last.update, round_)
    personal = yield node.compute(
        TRAIN_NEAR,
        state if own is None else own,
        state,
        mu=cfg.lam,
        epochs=cfg.local_epochs,
        first_epoch=round_ * cfg.local_epochs,
        round=round_,
    )
    return Work(update=update, own=personal, personal=personal)


METHOD = Method(local=local, personal=True)
DITTO = Algorithm(
    settings=Ditto,
    site=fine_tuned(partial(site, method=METHOD)),
    server=partial(server, method=METHOD),
    check=check,
    summary="FedAvg and, at each site, a personal model held near it",
    source="Li et al., ICML 2021",
)

"""The two bounds between which federation lives: every site alone, and all data in one place."""

from typing import Literal

from algorithms.common import Budget, Steps, fine_tuned
from simulator.api import Algorithm, Node, Role


class Local(Budget):
    """Every site trains alone on its own cases; nothing is sent."""

    name: Literal["local"] = "local"


class Pooled(Budget):
    """One model on the union of all training cases, as if data could move freely."""

    name: Literal["pooled"] = "pooled"


def local_site(node: Node, cfg: Local) -> Steps:
    """Train ``local_epochs`` per round, from a cold start or from the last durable round."""
    done, model = node.durable.get("round", (0, None))
    if model is None:
        model = yield node.compute(node.learner.init)
    for round_ in range(done, cfg.num_rounds):
        first_epoch = round_ * cfg.local_epochs
        model = yield node.compute(
            node.learner.train, model, epochs=cfg.local_epochs, first_epoch=first_epoch, round=round_
        )
        node.durable["round"] = (round_ + 1, model)
        node.record("round", round=round_, model=model)
    return model


def pooled_site(node: Node, cfg: Pooled) -> Role:
    """Nothing to do: this site's cases are at the server from the beginning."""
    yield node.sleep(0.0)


def pooled_server(node: Node, cfg: Pooled) -> Role:
    """Train on everybody's cases; the model is every site's model."""
    done, model = node.durable.get("round", (0, None))
    if model is None:
        model = yield node.compute(node.learner.init)
    for round_ in range(done, cfg.num_rounds):
        first_epoch = round_ * cfg.local_epochs
        model = yield node.compute(
            node.learner.train_pooled, model, epochs=cfg.local_epochs, first_epoch=first_epoch, round=round_
        )
        node.durable["round"] = (round_ + 1, model)
        node.record("round", round=round_, model=model)


def _any_networks(cfg: Local) -> str:
    """Nothing is exchanged, so nothing has to fit."""
    return ""


LOCAL = Algorithm(
    settings=Local,
    site=fine_tuned(local_site),
    mixed_networks=_any_networks,
    summary="every site trains alone (lower reference)",
    source="the usual 'individual' arm of federated-learning studies",
)
POOLED = Algorithm(
    settings=Pooled,
    site=pooled_site,
    server=pooled_server,
    summary="one model on the union of all cases (upper reference, moves data)",
    source="the usual 'centralized' arm of federated-learning studies",
)

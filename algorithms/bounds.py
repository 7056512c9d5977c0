"""The bounds between which federation lives: every site alone, and all data in one place.

DML: Y. Zhang et al., "Deep mutual learning", CVPR 2018.
"""

from typing import Annotated, Literal

from pydantic import Field

from algorithms.common import Budget, Steps, fine_tuned, train_round
from algorithms.peer_learning import MUTUAL_POOLED
from simulator.api import Algorithm, Node, Role


class Local(Budget):
    """Every site trains alone on its own cases; nothing is sent."""

    name: Literal["local"] = "local"


class Pooled(Budget):
    """One model on the union of all training cases, as if data could move freely."""

    name: Literal["pooled"] = "pooled"


class Dml(Budget):
    """Deep mutual learning of ``num_networks`` on the union of all training cases: what mutual learning
    gives where data could move freely.

    Each network's loss is the supervised loss plus ``weight`` times the mean divergence from the others'
    predictions. They begin with different weights; the first one is the model of all sites.
    """

    name: Literal["dml"] = "dml"
    num_networks: Annotated[int, Field(ge=2)] = 2
    weight: Annotated[float, Field(ge=0)] = 1.0


def local_site(node: Node, cfg: Local) -> Steps:
    """Train ``local_epochs`` per round, from a cold start or from the last durable round."""
    done, model = node.durable.get("round", (0, None))
    if model is None:
        model = yield node.compute(node.learner.init)
    for round_ in range(done, cfg.num_rounds):
        model = yield from train_round(node, cfg, model, round_)
        node.durable["round"] = (round_ + 1, model)
        node.record("round", round=round_, model=model)
    return model


def pooled_site(node: Node, cfg: Budget) -> Role:
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


def mutual_server(node: Node, cfg: Dml) -> Role:
    """Train all networks on everybody's cases; the first is every site's model."""
    done, outcome = node.durable.get("round", (0, None))
    networks = [] if outcome is None else [outcome]
    for member in range(0 if networks else cfg.num_networks):
        networks.append((yield node.compute(node.learner.init, **({"member": member} if member else {}))))
    for round_ in range(done, cfg.num_rounds):
        outcome = yield node.compute(
            MUTUAL_POOLED,
            *networks,
            task_weights=[1.0] * cfg.num_networks,
            mutual_weights=[cfg.weight] * cfg.num_networks,
            keep_optimizer=True,
            epochs=cfg.local_epochs,
            first_epoch=round_ * cfg.local_epochs,
            round=round_,
        )
        networks = [outcome]
        node.durable["round"] = (round_ + 1, outcome)
        node.record("round", round=round_, model=outcome)


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
DML = Algorithm(
    settings=Dml,
    site=pooled_site,
    server=mutual_server,
    summary="several networks learn mutually on the union of all cases (upper reference, moves data)",
    source="Zhang et al., CVPR 2018",
)

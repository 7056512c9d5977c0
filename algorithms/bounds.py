"""The bounds between which federation lives: every site alone, and all data in one place.

DML: Y. Zhang et al., "Deep mutual learning", CVPR 2018.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from algorithms.common import Budget, Steps, fine_tuned, train_round
from algorithms.peer_learning import MEMBER, MUTUAL_POOLED
from algorithms.server_based import offer_final
from algorithms.tasks import BARE
from simulator.api import Algorithm, Node, ReceiveTimeout, Ref, Role, Seconds


class Local(Budget):
    """Every site trains alone on its own cases; nothing is sent."""

    name: Literal["local"] = "local"


class Pooling(Budget):
    """A budget spent at the server. To train on (``finetune_epochs``), a site waits for the last model,
    at most ``server_patience`` from the server's last sign of life, which it gives after every round.
    """

    server_patience: Seconds = 7200.0


class Pooled(Pooling):
    """One model on the union of all training cases, as if data could move freely."""

    name: Literal["pooled"] = "pooled"


class Dml(Pooling):
    """Deep mutual learning of ``num_networks`` on the union of all training cases: what mutual learning
    gives where data could move freely.

    Each network's loss is the supervised loss plus ``weight`` times the mean divergence from the others'
    predictions. They begin with different weights; the first one is the model of all sites. With
    ``num_networks: each-site`` there is one for every site, of its own architecture, which becomes its model.
    """

    name: Literal["dml"] = "dml"
    num_networks: Annotated[int, Field(ge=2)] | Literal["each-site"] = 2
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


def pooled_site(node: Node, cfg: Pooling) -> Steps:
    """Nothing to do, since this site's cases are at the server from the beginning, unless it trains the last
    model on; that one, or None.
    """
    if not cfg.finetune_epochs:
        yield node.sleep(0.0)
        return None
    if node.now > 0:
        node.post(node.server, "hello")
    while "final" not in node.durable:
        try:
            message = yield node.receive("global", timeout_s=cfg.server_patience)
        except ReceiveTimeout:
            node.record("server_lost", round=cfg.num_rounds)
            return None
        if message.ref is not None:
            node.durable["final"] = message.model
    return node.durable["final"]


def show_life(node: Node, cfg: Pooling) -> None:
    """Let the sites that wait for the last model know that it is being trained."""
    for name in node.sites if cfg.finetune_epochs else ():
        node.post(name, "global")


def hand_out(node: Node, cfg: Pooling, models: Sequence[Ref]) -> Steps:
    """Give the sites the last model, each its own, if they are to train it on."""
    if cfg.finetune_epochs:
        offers = {}
        for name, model in zip(node.sites, models, strict=True):
            offers[name] = yield node.compute(BARE, model)
        yield from offer_final(node, offers, {"round": cfg.num_rounds}, cfg.server_patience)


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
        show_life(node, cfg)
    yield from hand_out(node, cfg, [model] * len(node.sites))


def _any_networks(cfg: Local) -> str:
    """Nothing is exchanged, so nothing has to fit."""
    return ""


def mutual_server(node: Node, cfg: Dml) -> Role:
    """Train all networks on everybody's cases; the first is every site's model, or each its own site's."""
    owners = _owners(node, cfg)
    done, outcome = node.durable.get("round", (0, None))
    networks = [] if outcome is None else (yield from _networks(node, cfg, outcome))
    for number, owner in enumerate([] if networks else owners):
        init = replace(node.learner.init, network_of=owner)
        networks.append((yield node.compute(init, **({"member": number} if number else {}))))
    for round_ in range(done, cfg.num_rounds):
        outcome = yield node.compute(
            MUTUAL_POOLED,
            *networks,
            task_weights=[1.0] * len(owners),
            mutual_weights=[cfg.weight] * len(owners),
            keep_optimizer=True,
            epochs=cfg.local_epochs,
            first_epoch=round_ * cfg.local_epochs,
            round=round_,
        )
        networks = yield from _networks(node, cfg, outcome)
        node.durable["round"] = (round_ + 1, outcome)
        users = owners if cfg.num_networks == "each-site" else [None]
        for user, model in zip(users, networks, strict=True):
            node.record("round", round=round_, model=model, user=user)
        show_life(node, cfg)
    yield from hand_out(
        node, cfg, networks if cfg.num_networks == "each-site" else networks[:1] * len(node.sites)
    )


def _owners(node: Node, cfg: Dml) -> list[Any]:
    """Of which node's architecture each network is; None: of the common one."""
    return list(node.sites) if cfg.num_networks == "each-site" else [None] * cfg.num_networks


def _networks(node: Node, cfg: Dml, outcome: Ref) -> Steps:
    """What the next round goes on with: the outcome that holds all networks, and where they are the sites'
    own, the others apart, so that each has its own architecture.
    """
    networks = [outcome]
    if cfg.num_networks == "each-site":
        for number, owner in enumerate(node.sites[1:]):
            task = replace(MEMBER, network_of=owner)
            networks.append((yield node.compute(task, outcome, number=number)))
    return networks


def _one_for_each_site(cfg: Dml) -> str:
    """Other networks than the common one belong to sites."""
    if cfg.num_networks == "each-site":
        return ""
    return (
        f"algorithm.num_networks: {cfg.num_networks} networks of the common architecture learn, and sites "
        "have different ones; write num_networks: each-site"
    )


LOCAL = Algorithm(
    settings=Local,
    site=fine_tuned(local_site),
    mixed_networks=_any_networks,
    summary="every site trains alone (lower reference)",
    source="the usual 'individual' arm of federated-learning studies",
)
POOLED = Algorithm(
    settings=Pooled,
    site=fine_tuned(pooled_site),
    server=pooled_server,
    summary="one model on the union of all cases (upper reference, moves data)",
    source="the usual 'centralized' arm of federated-learning studies",
)
DML = Algorithm(
    settings=Dml,
    site=fine_tuned(pooled_site),
    server=mutual_server,
    mixed_networks=_one_for_each_site,
    summary="several networks learn mutually on the union of all cases (upper reference, moves data)",
    source="Zhang et al., CVPR 2018",
)

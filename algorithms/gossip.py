"""Gossip averaging: a receiver averages the incoming model with its own, then trains.

S. Boyd et al., "Randomized gossip algorithms", IEEE Trans. Inf. Theory 2006; R. Ormándi et al.,
"Gossip learning with linear models on fully distributed data", Concurrency and Computation 2013;
I. Hegedűs et al., "Gossip learning as a decentralized alternative to federated learning", DAIS 2019.
It runs on GCML's own schedules, which isolates what mutual learning adds.
"""

from typing import Literal

from pydantic import model_validator

from algorithms.common import Steps, fine_tuned
from algorithms.gossip_rounds import (
    Absorb,
    Gossip,
    age_of,
    await_model,
    finish_round,
    push,
    train_alone,
    vetted,
)
from algorithms.gossip_sites import gossip_site
from algorithms.schedules import draw_pairs, members_of
from algorithms.tasks import MIX
from algorithms.turns import Turn
from simulator.api import Algorithm, Message, Node, Ref, only_with


class GossipAveraging(Gossip):
    """Gossip averaging; ``average`` weighs the two models alike, by cases, or by age: the local epochs
    that a model has seen, at whatever sites.

    ``form: push`` sends one way: the sender's model stays as it is, so the mean over sites is not
    conserved. With ``exchange`` both of a pair send and both average; with uniform weights that
    conserves the mean wherever both transfers arrive.
    """

    name: Literal["gossip-averaging"] = "gossip-averaging"
    average: Literal["uniform", "cases", "age"] = "uniform"
    form: Literal["push", "exchange"] = "push"

    @model_validator(mode="after")
    def _both_known(self) -> "GossipAveraging":
        if self.form == "exchange" and self.schedule != "pairs":
            raise ValueError("form exchange needs schedule pairs, where both know of each other")
        only_with(self, "form", {"late": ("push",)})
        return self


def shares(node: Node, cfg: GossipAveraging, message: Message) -> list[float]:
    """Weights of the local and of an incoming model."""
    own, other = {
        "uniform": (1, 1),
        "cases": (node.num_cases, message.header["num_cases"]),
        "age": (age_of(node), message.header["age"]),
    }[cfg.average]
    total = own + other
    return [own / total, other / total] if total else [0.5, 0.5]


def absorb(node: Node, cfg: GossipAveraging, model: Ref, messages: list[Message], round_: int) -> Steps:
    """Average with each incoming model, then the local epochs of the round; the mean is as old as the
    older of the two.
    """
    age = age_of(node)
    for message in messages:
        weights = shares(node, cfg, message)
        incoming = yield from vetted(node, cfg, model, message, round_)
        model = yield node.compute(MIX, model, incoming, weights=weights, round=round_)
        age = max(age, message.header["age"])
    model = yield from train_alone(node, cfg, model, round_)
    node.durable["age"] = age + cfg.local_epochs
    return model


def exchanges(node: Node, cfg: GossipAveraging, model: Ref, done: int, absorb: Absorb, turn: Turn) -> Steps:
    """Rounds of pairs in which both send the model they begin the round with. One that comes after its
    time is not used, whatever ``late`` says: its sender has not averaged.
    """
    waiting: list[Message] = []
    for now in range(done, cfg.num_rounds):
        turn.now = now
        pairs = draw_pairs(node.common_rng("pairs", now), members_of(node, cfg, now), node.neighbors_of)
        peer = (pairs | {receiver: sender for sender, receiver in pairs.items()}).get(node.name)
        message = None
        if peer is not None:
            since = node.durable.setdefault("waiting_since", {}).setdefault(now, node.now)
            if (yield from push(node, cfg, peer, model, now)):
                message = yield from await_model(node, cfg, waiting, now, since, peer)
            waiting = [kept for kept in waiting if kept.header["round"] > now]
        model = yield from absorb(node, cfg, model, [message] if message else [], now)
        finish_round(node, model, now)


def site(node: Node, cfg: GossipAveraging) -> Steps:
    """A site in either form."""
    loop = exchanges if cfg.form == "exchange" else None
    return (yield from gossip_site(node, cfg, absorb, loop))


GOSSIP_AVERAGING = Algorithm(
    settings=GossipAveraging,
    site=fine_tuned(site),
    summary="peers push or exchange models; a receiver averages and trains on",
    source="Boyd et al., IEEE TIT 2006; Ormándi et al., CCPE 2013; Hegedűs et al., DAIS 2019",
)

"""What a round of a gossip method is made of: send, wait, learn from what came or alone, make it durable.

The settings and steps that the schedules of GCML, GML and gossip averaging share, and Def-KT with them, so
that these differ in nothing but what a receiver does with an incoming model.
"""

from collections.abc import Callable, Collection
from typing import Any, Literal

from pydantic import Field, model_validator

from algorithms.common import Count, GossipBudget, Steps, Weights, train_round
from algorithms.defenses import PairDefense, robustly
from algorithms.newcomers import Newcomer
from algorithms.tasks import BARE
from simulator.api import Message, Node, ReceiveTimeout, Ref, Seconds, TransferFailed, only_with

Absorb = Callable[..., Steps]
"""``absorb(node, cfg, model, messages, round_)``: a receiver's round with incoming models."""


class Gossip(GossipBudget):
    """Settings of the exchange.

    ``pairs``: every round half of the sites send, each to one receiver of the other half, drawn
    alike by all. ``bernoulli``: each site draws whether it sends, asks a peer, and is accepted or
    refused. ``async``: no common rounds; each site pushes and takes what came, on its own clock.
    Senders are drawn in proportion to their ``cases`` or uniformly. A receiver waits at most
    ``receive_timeout``. A model that comes later is used when the site would next train alone, or
    discarded. With ``membership: live`` pairs are drawn among the sites that are up, which takes an
    oracle; ``configured`` wastes the pair of a site that is down. A sender trains after its transfer
    (``sender_blocks``) or meanwhile. The optimizer of a site's own model goes on (``persistent``) or starts
    fresh in every round. A ``newcomer`` warms up alone first, adopts the first
    model that it receives, or begins with the initial weights. A ``defense`` looks at every
    incoming model before it is used.
    """

    schedule: Literal["pairs", "bernoulli", "async"] = "pairs"
    sender_weights: Weights = "cases"
    membership: Literal["configured", "live"] = "configured"
    receive_timeout: Seconds = 3600.0
    answer_timeout: Seconds = 30.0
    late: Literal["next_round", "discard"] = "next_round"
    sender_blocks: bool = True
    optimizer_state: Literal["persistent", "reset"] = "persistent"
    newcomer: Newcomer = "own-warm-up"
    max_redraws: int = Field(default=3, ge=0)
    pushes_per_round: float | None = Field(default=None, gt=0)
    max_incoming: Count | None = None
    defense: PairDefense | None = None

    @model_validator(mode="after")
    def _of_this_schedule(self) -> "Gossip":
        """Without common rounds nobody waits for a model, but for a newcomer that begins with one."""
        in_rounds = ("pairs", "bernoulli")
        users: dict[str, Collection[str]] = dict.fromkeys(
            ("answer_timeout", "late", "sender_blocks"), in_rounds
        )
        if self.newcomer != "first-model":
            users["receive_timeout"] = in_rounds
        users |= {"membership": ("pairs",), "max_redraws": ("bernoulli",)}
        users |= {"pushes_per_round": ("async",), "max_incoming": ("async",)}
        only_with(self, "schedule", users)
        return self


def vetted(node: Node, cfg: Gossip, own: Ref, message: Message, round_: int) -> Steps:
    """The incoming model, or what the defense leaves of it: the own one if it is not finite."""
    if cfg.defense is None:
        return message.model
    incoming, sender = [message.model], [message.src]
    return (yield from robustly(node, cfg.defense, own, incoming, [1.0], sender, round_))


def settled(node: Node, cfg: Gossip, model: Ref) -> Steps:
    """The own model with or without its optimizer, as the settings say."""
    return model if cfg.optimizer_state == "persistent" else (yield node.compute(BARE, model))


def train_alone(node: Node, cfg: Gossip, model: Ref, round_: int) -> Steps:
    """The local epochs of a round."""
    model = yield from train_round(node, cfg, (yield from settled(node, cfg, model)), round_)
    node.durable["age"] = age_of(node) + cfg.local_epochs
    return model


def age_of(node: Node) -> int:
    """Local epochs that the site's model has seen, at whatever sites."""
    return int(node.durable.get("age", 0))


def description(node: Node, round_: int) -> dict[str, int]:
    """What is said of a model that is sent."""
    return {"round": round_, "num_cases": node.num_cases, "age": age_of(node)}


def finish_round(node: Node, model: Ref, round_: int) -> None:
    """Make a round durable and have its model evaluated."""
    node.durable["round"] = (round_ + 1, model)
    node.record("round", round=round_, model=model)


def push(node: Node, cfg: Gossip, peer: str, model: Ref, round_: int) -> Steps:
    """Send the model as it is, one way; wait for the end of the transfer if the sender blocks. Whether
    it arrived, as far as the sender knows.
    """
    header = description(node, round_)
    if not cfg.sender_blocks:
        node.post(peer, "model", model, **header)
        return True
    try:
        yield node.send(peer, "model", model, **header)
    except TransferFailed as failure:
        node.record("send_failed", round=round_, peer=peer, reason=failure.reason)
        return False
    return True


def await_model(
    node: Node, cfg: Gossip, waiting: list[Message], round_: int, since: float, src: str | None = None
) -> Steps:
    """The model that was sent in ``round_`` (by ``src``); None ``receive_timeout`` after ``since``.

    Others are kept in ``waiting``. ``since`` is durable where the caller makes it so: a site that
    crashes often would else wait for ever.
    """
    waiting += node.drain("model")
    while True:
        for message in waiting:
            if message.header["round"] == round_ and src in {None, message.src}:
                waiting.remove(message)
                return message
        try:
            message = yield node.receive("model", timeout_s=since + cfg.receive_timeout - node.now)
        except ReceiveTimeout:
            node.record("nothing_received", round=round_, peer=src)
            return None
        waiting.append(message)


def take_late(node: Node, cfg: Gossip, waiting: list[Message], round_: int) -> Message | None:
    """The newest of the models whose round is over, if late models are used at all."""
    waiting += node.drain("model")
    late = [message for message in waiting if message.header["round"] < round_]
    waiting[:] = [message for message in waiting if message.header["round"] >= round_]
    used = late[-1] if late and cfg.late == "next_round" else None
    for message in late:
        event = "late_used" if message is used else "late_discarded"
        node.record(event, round=round_, peer=message.src, of_round=message.header["round"])
    return used


def learn(
    node: Node,
    cfg: Any,
    model: Ref,
    message: Message | None,
    waiting: list[Message],
    round_: int,
    absorb: Absorb,
) -> Steps:
    """The work of a round: with the model of this round, with one that came late, or alone."""
    message = message or take_late(node, cfg, waiting, round_)
    if message is None:
        model = yield from train_alone(node, cfg, model, round_)
    else:
        model = yield from absorb(node, cfg, model, [message], round_)
    finish_round(node, model, round_)
    return model

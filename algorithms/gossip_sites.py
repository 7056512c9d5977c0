"""A site of a gossip method from its beginning to its end: warm-up or return, the schedule, the rest alone.

That GCML's sites warm up is published; how a newcomer begins and what a site does after the others have
ended are ours.
"""

from collections.abc import Callable
from typing import Any

from algorithms.common import Steps
from algorithms.gossip_rounds import Absorb, Gossip, finish_round, train_alone
from algorithms.schedules import asynchronous, bernoulli, pairs
from algorithms.turns import Turn, answer_questions, catch_up
from simulator.api import Node, ReceiveTimeout, Ref


def gossip_site(node: Node, cfg: Any, absorb: Absorb, loop: Callable[..., Steps] | None = None) -> Steps:
    """A site of a gossip method: warm up, then exchange by the schedule, or by a ``loop`` of the
    method's own, until the rounds end; return its last model.
    """
    loop = loop or {"pairs": pairs, "bernoulli": bernoulli, "async": asynchronous}[cfg.schedule]
    turn = Turn(now=0 if node.now == 0 else None)
    answer_questions(node, turn)
    done, model = yield from begin(node, cfg)
    turn.now = done
    if node.durable.get("over"):
        yield from finish_alone(node, cfg, model, done)
    else:
        yield from loop(node, cfg, model, done, absorb, turn)
    turn.now, turn.open = cfg.num_rounds, False
    return node.durable["round"][1]


def begin(node: Node, cfg: Gossip) -> Steps:
    """First round and model: after the warm-up, from durable state, or from others' state."""
    restarted = node.now > 0
    done, model = node.durable.get("round", (0, None))
    if model is None and restarted and "warm" not in node.durable:
        done, model = yield from begin_late(node, cfg)
        if done:
            return done, model
    if model is None:
        model = yield from warm_up(node, cfg)
        node.durable["round"] = (0, model)
    if restarted and cfg.schedule == "pairs":
        done = yield from catch_up(node, cfg, done)
    return done, model


def begin_late(node: Node, cfg: Gossip) -> Steps:
    """What a newcomer begins with: the round that it goes on with and its model, None before a warm-up."""
    done, model, start, giver = 0, None, cfg.newcomer, None
    if start == "first-model":
        try:
            message = yield node.receive("model", timeout_s=cfg.receive_timeout)
            done, model, giver = message.header["round"] + 1, message.model, message.src
        except ReceiveTimeout:
            start = "own-warm-up"
    elif start == "initial":
        model = yield node.compute(node.learner.init)
    node.record("newcomer", start=start, peer=giver)
    if model is not None:
        node.durable["round"] = (done, model)
    return done, model


def warm_up(node: Node, cfg: Gossip) -> Steps:
    """The epochs before the first exchange, in steps as long as a round and as durable."""
    first, model = node.durable.get("warm", (0, None))
    if model is None:
        model = yield node.compute(node.learner.init)
    while first < cfg.num_warmup_epochs:
        epochs = min(cfg.local_epochs, cfg.num_warmup_epochs - first)
        model = yield node.compute(node.learner.train, model, epochs=epochs, first_epoch=first)
        first += epochs
        node.durable["warm"] = (first, model)
        node.durable["age"] = first
    return model


def finish_alone(node: Node, cfg: Gossip, model: Ref, done: int) -> Steps:
    """Use up the budget of local epochs after the others have ended."""
    for round_ in range(done, cfg.num_rounds):
        model = yield from train_alone(node, cfg, model, round_)
        finish_round(node, model, round_)

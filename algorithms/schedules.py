"""When sites of a server-less method exchange models: in drawn pairs, by request, or each on its clock.

The three schedules of the gossip methods, shared by GCML, GML and gossip averaging so that these
differ in nothing but what a receiver does with an incoming model. The number of transmissions per
round follows GML's published ratios to FedAvg; the schedules themselves are our reconstruction.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from algorithms.common import Count, GossipBudget, Steps, Weights, train_round
from algorithms.defenses import PairDefense, robustly
from algorithms.newcomers import Newcomer
from algorithms.tasks import BARE
from algorithms.turns import Turn
from simulator.api import Message, Node, ReceiveTimeout, Ref, Seconds, TransferFailed

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


def sending_probability(node: Node, cfg: Gossip, per_round: float) -> float:
    """Probability that this site sends, so that ``per_round`` sites are expected to."""
    weights = sender_weights(node, cfg)
    return min(1.0, per_round * weights[node.name] / sum(weights.values()))


# -- pairs ------------------------------------------------------------------------------------------


def draw_pairs(
    rng: np.random.Generator, weights: Mapping[str, float], neighbors: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Receiver by sender: ⌊N/2⌋ disjoint pairs.

    Senders are drawn one after another in proportion to ``weights`` without replacement, then
    receivers uniformly from the rest, matched in the order drawn. On an overlay that is not
    complete a sender takes the first free one that is its neighbor, if there is any.
    """
    names = sorted(weights)
    # arrival times of Poisson processes with these rates: their order is that of successive draws
    # in proportion to the weights (P. Efraimidis, P. Spirakis, Inf. Process. Lett. 97, 2006)
    arrivals = rng.standard_exponential(len(names)) / np.array([weights[name] for name in names])
    ranked = [names[i] for i in np.argsort(arrivals, kind="stable")]
    senders, rest = ranked[: len(names) // 2], sorted(ranked[len(names) // 2 :])
    free = dict.fromkeys(rest[i] for i in rng.permutation(len(rest)))
    receiver_of: dict[str, str] = {}
    for sender in senders:
        known = set(neighbors[sender]).intersection(free) if len(neighbors[sender]) < len(names) - 1 else free
        receiver = next((name for name in free if name in known), None)
        if receiver is not None:
            receiver_of[sender] = receiver
            del free[receiver]
    return receiver_of


def sender_weights(node: Node, cfg: Gossip) -> dict[str, float]:
    """Weight of every configured site in the draw of senders."""
    return {name: float(node.cases_of[name]) if cfg.sender_weights == "cases" else 1.0 for name in node.sites}


def members_of(node: Node, cfg: Gossip, round_: int) -> dict[str, float]:
    """Those among whom pairs are drawn, with their weights in the draw of senders."""
    members = node.sites if cfg.membership == "configured" else node.live_sites(round_)
    weights = sender_weights(node, cfg)
    return {name: weights[name] for name in members}


def pairs(node: Node, cfg: Any, model: Ref, done: int, absorb: Absorb, turn: Turn) -> Steps:
    """Rounds of disjoint pairs that every site draws alike; an odd site sits out."""
    waiting: list[Message] = []
    for now in range(done, cfg.num_rounds):
        turn.now = now
        drawn = members_of(node, cfg, now)
        receiver_of = draw_pairs(node.common_rng("pairs", now), drawn, node.neighbors_of)
        message = None
        if node.name in receiver_of:
            yield from push(node, cfg, receiver_of[node.name], model, now)
        elif node.name in receiver_of.values():
            since = node.durable.setdefault("waiting_since", {}).setdefault(now, node.now)
            message = yield from await_model(node, cfg, waiting, now, since)
        model = yield from learn(node, cfg, model, message, waiting, now, absorb)


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


# -- bernoulli --------------------------------------------------------------------------------------


def bernoulli(node: Node, cfg: Any, model: Ref, done: int, absorb: Absorb, turn: Turn) -> Steps:
    """Each site draws whether it sends, asks a peer, and learns from the model it has accepted.

    Published, second hand, of GML: senders drawn by cases, receivers uniformly, training suspended
    while asking; handshake and refusals are completed by us. A site refuses while it sends, while it
    holds an accepted model, and in its last round, because a model is used in the next.
    """
    waiting: list[Message] = []
    probability = sending_probability(node, cfg, len(node.sites) // 2)
    for now in range(done, cfg.num_rounds):
        turn.now, turn.open = now, now + 1 < cfg.num_rounds
        message = None
        if turn.accepted is not None:
            src, sent_in = turn.accepted
            message = yield from await_model(node, cfg, waiting, sent_in, node.now, src)
            turn.accepted = None
        elif node.peers and node.rng("send").random() < probability:
            turn.sending = True
            peer = yield from find_receiver(node, cfg, now)
            if peer is not None:
                yield from push(node, cfg, peer, model, now)
            turn.sending = False
        model = yield from learn(node, cfg, model, message, waiting, now, absorb)


def find_receiver(node: Node, cfg: Gossip, round_: int) -> Steps:
    """A peer that accepts, after at most ``max_redraws`` further draws; None if none does."""
    for _ in range(1 + cfg.max_redraws):
        peer = str(node.rng("peer").choice(node.peers))
        node.post(peer, "request", round=round_)
        deadline = node.now + cfg.answer_timeout
        try:
            answer = yield node.receive("answer", timeout_s=cfg.answer_timeout)
            while (answer.src, answer.header["round"]) != (peer, round_):  # an answer after its time
                answer = yield node.receive("answer", timeout_s=deadline - node.now)
        except ReceiveTimeout:
            node.record("no_answer", round=round_, peer=peer)
            continue
        if answer.header["accepted"]:
            return peer
        node.record("refused", round=round_, peer=peer)
    return None


# -- async ------------------------------------------------------------------------------------------


def asynchronous(node: Node, cfg: Any, model: Ref, done: int, absorb: Absorb, turn: Turn) -> Steps:
    """Each turn of a site's own loop is a round: perhaps push, then learn from all that arrived."""
    probability = sending_probability(node, cfg, cfg.pushes_per_round or len(node.sites) // 2)
    for now in range(done, cfg.num_rounds):
        turn.now = now
        if node.peers and node.rng("send").random() < probability:
            peer = str(node.rng("peer").choice(node.peers))
            node.post(peer, "model", model, **description(node, now))
        arrived = node.drain("model")
        kept = arrived[-cfg.max_incoming :] if cfg.max_incoming else arrived
        for message in arrived[: len(arrived) - len(kept)]:
            node.record("superseded", round=now, peer=message.src)
        for message in kept:
            node.record("staleness", round=now, peer=message.src, rounds=now - message.header["round"])
        if kept:
            model = yield from absorb(node, cfg, model, kept, now)
        else:
            model = yield from train_alone(node, cfg, model, now)
        finish_round(node, model, now)

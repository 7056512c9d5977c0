"""When sites of a server-less method exchange models: in drawn pairs, by request, or each on its clock.

The three schedules of GCML, GML and gossip averaging. The number of transmissions per round follows
GML's published ratios to FedAvg; the schedules themselves are our reconstruction.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from algorithms.common import Steps
from algorithms.gossip_rounds import (
    Absorb,
    Gossip,
    await_model,
    description,
    finish_round,
    learn,
    push,
    train_alone,
)
from algorithms.turns import Turn
from simulator.api import Message, Node, ReceiveTimeout, Ref


def sender_weights(node: Node, cfg: Gossip) -> dict[str, float]:
    """Weight of every configured site in the draw of senders."""
    return {name: float(node.cases_of[name]) if cfg.sender_weights == "cases" else 1.0 for name in node.sites}


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

"""Rounds among peers: every site sends something to some peers, hears from others, goes on.

The frame of D-PSGD, SGP, Epidemic Learning, ProxyFL and AvgPush. A round closes when all that were
expected have come, or after ``peer_timeout``; nobody waits for a peer that it could not reach
(:mod:`algorithms.peer_mail`). What a site holds between rounds (its *state*) is the method's own affair.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from pydantic import model_validator

from algorithms.common import Count, Exchanging, Steps
from algorithms.defenses import robustly
from algorithms.newcomers import Newcomer, begin_late, give_model
from algorithms.peer_mail import send_again
from algorithms.tasks import BARE, CARRY, MEAN
from algorithms.turns import Turn, answer_questions, catch_up
from simulator.api import Message, Node, Ref, Seconds


class PeerRounds(Exchanging):
    """Settings of rounds among peers.

    A site waits at most ``peer_timeout`` for what its peers send in a round, from when it began to wait.
    One that recovers or joins asks its peers for their round, each for ``answer_timeout``, and goes on
    with that. A ``newcomer`` begins with the initial weights, with these trained on its own cases for a
    round, or with the model of a peer. A peer of which nothing was heard for ``prune_after`` rounds in a row
    is sent no model and not waited for until something comes from it again; with ``overlay_repair: ring``
    the neighbors of such a peer, who know the overlay, close a ring around the gap. The optimizer of local
    training goes on (``persistent``) or starts fresh each round.
    """

    peer_timeout: Seconds = 3600.0
    answer_timeout: Seconds = 30.0
    newcomer: Newcomer = "initial"
    prune_after: Count | None = None
    overlay_repair: Literal["none", "ring"] = "none"
    optimizer_state: Literal["persistent", "reset"] = "persistent"

    @model_validator(mode="after")
    def _prunes_first(self) -> "PeerRounds":
        if self.overlay_repair != "none" and self.prune_after is None:
            raise ValueError("overlay_repair: nobody is ever left out; write prune_after: 2 or more")
        return self


def initial(node: Node, cfg: Any) -> Steps:
    """The initial weights as first state."""
    return (yield node.compute(node.learner.init))


def itself(state: Ref) -> Ref:
    """A state that is a model."""
    return state


def taken_over(node: Node, state: Ref, model: Ref) -> Steps:
    """Another model in place of a state that is one."""
    yield from ()
    return model


def peer_site(
    node: Node,
    cfg: Any,
    take_turn: Callable[..., Steps],
    start: Callable[..., Steps] = initial,
    model_of: Callable[[Any], Ref] = itself,
    adopt: Callable[..., Steps] = taken_over,
) -> Steps:
    """A site of any of these methods; return the model used last. ``take_turn(node, cfg, state, round_,
    mail)`` gives the next state and the model that the site uses. ``model_of(state)`` is what travels of a
    state, ``adopt(node, state, model)`` the first state of a newcomer that begins with another model.
    """
    turn = Turn(now=0 if node.now == 0 else None)
    answer_questions(node, turn)
    done, state, model = node.durable.get("round", (0, None, None))
    give_model(node, lambda: model_of(node.durable["round"][1]) if "round" in node.durable else None)
    if state is None:
        state = yield from start(node, cfg)
        if node.now > 0 and cfg.newcomer != "initial":
            first = model_of(state)
            model = yield from begin_late(node, cfg, first, cfg.newcomer, cfg.peer_timeout)
            state = state if model == first else (yield from adopt(node, state, model))
    node.on("again?", lambda message: send_again(node, message))
    if node.now > 0:
        done = yield from rejoin(node, cfg, done)
    mail: list[Message] = []
    for now in range(done, cfg.num_rounds):
        turn.now = now
        state, model = yield from take_turn(node, cfg, state, now, mail)
        node.durable["round"] = (now + 1, state, model)
        node.record("round", round=now, model=model)
    turn.now = cfg.num_rounds
    return model


def rejoin(node: Node, cfg: Any, done: int) -> Steps:
    """The round of the peers, who are told that nothing comes from this site for those it missed, and
    asked to repeat what the crash has lost.
    """
    current = yield from catch_up(node, cfg, done)
    for peer in [] if node.durable.get("over") else node.peers:
        for round_ in range(done, current):
            node.post(peer, "model", round=round_)
        node.post(peer, "again?", round=current)
    return current


def settle(node: Node, cfg: Any, own: Ref) -> Steps:
    """The own model with or without its optimizer, as the settings say."""
    if cfg.optimizer_state == "persistent":
        return own
    return (yield node.compute(BARE, own))


def mix(
    node: Node, cfg: Any, own: Ref, others: Mapping[str, Ref], weights: Mapping[str, float], round_: int
) -> Steps:
    """Weighted mean of the own model and others, summed in the order of the sites' names, or what the
    method's defense makes of them; the own optimizer goes on or not, as the settings say.
    """
    if not others:
        return (yield from settle(node, cfg, own))
    models = {node.name: own, **others}
    names = sorted(models)
    total = sum(weights[name] for name in names)
    shares = [weights[name] / total for name in names]
    refs, defense = [models[name] for name in names], getattr(cfg, "defense", None)
    if defense is None:
        mean = yield node.compute(MEAN, *refs, weights=shares, round=round_)
    else:
        mean = yield from robustly(node, defense, own, refs, shares, names, round_)
    if cfg.optimizer_state == "reset":
        return mean
    return (yield node.compute(CARRY, mean, own))


# -- directed overlays that every site knows --------------------------------------------------------


def exponential(node: Node, round_: int, degree: int = 1) -> dict[str, list[str]]:
    """Receivers by sender on the directed exponential overlay: sites in sorted order on a circle, one
    sends to those 2^k, 2^(k+1), … further on (``degree`` of them); k counts rounds, over again when the
    circle is through. Links that the scenario's overlay lacks fall away.
    """
    names, size = node.sites, len(node.sites)
    num_hops = max(size - 1, 1).bit_length()  # ⌊log2(N − 1)⌋ + 1
    hops = sorted({2 ** ((round_ + i) % num_hops) for i in range(degree)})
    return {
        name: [peer for hop in hops if (peer := names[(i + hop) % size]) in node.neighbors_of[name]]
        for i, name in enumerate(names)
    }


def senders_to(name: str, receivers: Mapping[str, Collection[str]]) -> list[str]:
    """Who sends to a site."""
    return sorted(sender for sender, those in receivers.items() if name in those)

"""AD-PSGD: sites train without barriers and average with one neighbor at a time.

X. Lian, W. Zhang, C. Zhang, J. Liu, "Asynchronous decentralized parallel stochastic gradient descent",
ICML 2018. Averaging is atomic there; here messages take time, and the rule that conserves the sum over
sites nevertheless is ours: an active site sends a, a passive one answers with b and adds (a − b)/2, the
active one adds (b − a)/2 when the answer comes. What either learned in between stays.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from algorithms.common import Exchanging, Steps, fine_tuned, train_round
from algorithms.mixing import state_of, weighted_mean
from algorithms.tasks import BARE, mean_cost
from simulator.api import Algorithm, Bundle, Message, Node, ReceiveTimeout, Ref, Seconds, Task, TaskContext


class AdPsgd(Exchanging):
    """AD-PSGD; a round is one turn of a site's own loop: ``local_epochs``, and an exchange meanwhile.

    Active sites begin exchanges with a random passive neighbor, passive ones answer, so nobody waits for
    somebody who waits. A passive site answers one exchange at once, also while it trains; more of them
    are answered when the turn ends. An active site has one exchange open at a time, for at most
    ``exchange_timeout``; a later answer still counts, so that the sum is conserved.
    """

    name: Literal["adpsgd"] = "adpsgd"
    exchange_timeout: Seconds = 600.0
    optimizer_state: Literal["persistent", "reset"] = "persistent"


def active_sites(neighbors: Mapping[str, Collection[str]]) -> set[str]:
    """One of two classes of sites, so that at least half of everyone's neighbors are in the other one.

    Every second site by name at first; then whoever has more neighbors in the own class changes, until
    nobody does. Each change adds to the pairs across, so this ends.
    """
    names = sorted(neighbors)
    active = set(names[::2])
    while True:
        for name in names:
            alike = sum((peer in active) == (name in active) for peer in neighbors[name])
            if 2 * alike > len(neighbors[name]):
                active ^= {name}
                break
        else:
            return active


def shift(ctx: TaskContext, model: Bundle, theirs: Bundle, mine: Bundle) -> Bundle:
    """Model + (theirs − mine)/2 (a task function). Running statistics are averaged with theirs: a
    difference of variances might not be one.
    """
    x, a, b = (one.arrays["model"] for one in (model, theirs, mine))
    moved = x.astype(np.float64) + (a.astype(np.float64) - b) / 2
    seen = [model.arrays["buffers"], theirs.arrays["buffers"]]
    arrays = {
        "model": moved.astype(x.dtype),
        "buffers": weighted_mean(seen, [0.5, 0.5]),
        "counters": model.arrays["counters"],
    }
    return Bundle(arrays=arrays | state_of(model))


SHIFT = Task(name="shift", function="algorithms.adpsgd:shift", version=1, cost=mean_cost)
"""Half of an exchange: ``(model, theirs, mine)``."""


@dataclass(slots=True, kw_only=True)
class Desk:
    """A site between its turns: the model others may have, requests that wait, and partners whose
    protocol has ended. What an exchange still owes this site is in ``durable["owed"]``.
    """

    node: Node
    model: Ref | None = None
    queue: list[Message] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    is_over: bool = False

    def consider(self, message: Message) -> None:
        """Answer an exchange now, or put it by; nobody exchanges any more with a site that has ended."""
        if self.is_over:
            self.node.post(message.src, "reply", turn=message.header["turn"])
        elif self.model is None or "owed" in self.node.durable:
            self.queue.append(message)
        else:
            self.node.durable["owed"] = (message.src, message.model, self.model)
            self.node.post(message.src, "reply", self.model, turn=message.header["turn"])


def site(node: Node, cfg: AdPsgd) -> Steps:
    """Turns of one's own; return the last model."""
    desk = Desk(node=node)
    node.on("exchange", desk.consider)
    done, model = node.durable.get("round", (0, None))
    if model is None:
        model = yield node.compute(node.learner.init)
    active = active_sites(node.neighbors_of)
    partners = sorted(set(node.peers) - active) if node.name in active else []
    for now in range(done, cfg.num_rounds):
        start = (yield node.compute(BARE, model)) if cfg.optimizer_state == "reset" else model
        desk.model = start
        propose(node, cfg, desk, [peer for peer in partners if peer not in desk.gone], now)
        model = yield from train_round(node, cfg, start, now)
        replies = node.drain("reply")
        if now + 1 == cfg.num_rounds:
            replies += yield from await_reply(node, cfg, replies)
        for message in replies:
            model = yield from take_reply(node, desk, model, message, now)
        model = yield from give_half(node, desk, model, now)
        node.record("round", round=now, model=model)
    desk.is_over = True
    return model


@dataclass(slots=True, kw_only=True)
class Asked:
    """An exchange that an active site began: with whom, what it sent, when, and whether it still waits."""

    peer: str
    model: Ref
    since: float
    is_open: bool = True


def open_turn(node: Node, cfg: AdPsgd) -> int | None:
    """The turn whose exchange is open; one that has been so for too long is given up."""
    for turn, asked in node.durable.get("asked", {}).items():
        if asked.is_open and node.now < asked.since + cfg.exchange_timeout:
            return int(turn)
        if asked.is_open:
            asked.is_open = False
            node.record("no_answer", round=turn, peer=asked.peer)
    return None


def propose(node: Node, cfg: AdPsgd, desk: Desk, partners: list[str], now: int) -> None:
    """Begin an exchange of the model as it is, unless one is open."""
    if partners and open_turn(node, cfg) is None:
        assert desk.model is not None  # the turn has begun
        peer = str(node.rng("peer").choice(partners))
        asked = Asked(peer=peer, model=desk.model, since=node.now)
        node.durable.setdefault("asked", {})[now] = asked
        node.post(peer, "exchange", desk.model, turn=now, round=now)


def await_reply(node: Node, cfg: AdPsgd, replies: list[Message]) -> Steps:
    """After the last turn: what else comes until the open exchange is answered or given up."""
    came: list[Message] = []
    while True:
        turn = open_turn(node, cfg)
        if turn is None or turn in {message.header["turn"] for message in [*replies, *came]}:
            return came
        left_s = node.durable["asked"][turn].since + cfg.exchange_timeout - node.now
        try:
            came.append((yield node.receive("reply", timeout_s=left_s)))
        except ReceiveTimeout:
            continue  # given up when looked at again


def take_reply(node: Node, desk: Desk, model: Ref, message: Message, now: int) -> Steps:
    """The active side's half of an exchange, made durable."""
    turn = message.header["turn"]
    asked: Asked = node.durable["asked"][turn]
    if message.ref is None:
        desk.gone.add(asked.peer)
        node.record("partner_has_ended", round=now, peer=asked.peer)
    else:
        model = yield node.compute(SHIFT, model, message.ref, asked.model, round=now)
        node.record("exchanged", round=now, peer=asked.peer, staleness=now - turn)
    del node.durable["asked"][turn]
    node.durable["round"] = (now + 1, model)
    return model


def give_half(node: Node, desk: Desk, model: Ref, now: int) -> Steps:
    """The passive side's halves, one after another until no request is left; make the turn durable."""
    while True:
        desk.model = None
        if "owed" in node.durable:
            peer, theirs, mine = node.durable["owed"]
            model = yield node.compute(SHIFT, model, theirs, mine, round=now)
            node.record("exchanged", round=now, peer=peer)
            del node.durable["owed"]
        node.durable["round"] = (now + 1, model)
        desk.model = model
        if not desk.queue:
            return model
        desk.consider(desk.queue.pop(0))


ADPSGD = Algorithm(
    settings=AdPsgd,
    site=fine_tuned(site),
    summary="sites train without barriers and average with one neighbor at a time",
    source="Lian et al., ICML 2018",
)

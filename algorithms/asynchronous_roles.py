"""The roles of methods whose server takes updates as they come.

A site trains whatever model it was given last and reports; the server absorbs the report and gives
the present model to a site that is idle. Every site has the same budget of rounds; ``concurrency``
bounds how many are busy at a time.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import model_validator

from algorithms.common import Count, Exchanging, Steps, not_outdated, train_round
from algorithms.server_based import offer_final
from algorithms.server_succession import gossip_on
from simulator.api import (
    Message,
    ModelSize,
    Node,
    ReceiveTimeout,
    Ref,
    Role,
    Seconds,
    SiteData,
    TransferFailed,
)


class Asynchronous(Exchanging):
    """Settings of an asynchronous server.

    At most ``concurrency`` sites are busy (default: all). One that is silent for ``site_timeout``
    loses its place to another; its report still counts when it comes. After ``prune_after`` silences in a
    row it is given no more work, until it says hello. Reports staler than
    ``max_staleness`` are dropped. A site that hears nothing for ``server_patience`` keeps its last
    model and stops, trains on alone, or goes on by gossip averaging with its peers.
    """

    concurrency: Count | None = None
    max_staleness: Count = 16
    site_timeout: Seconds = 3600.0
    prune_after: Count = 2
    server_patience: Seconds = 7200.0
    when_server_lost: Literal["stop", "train_alone", "gossip"] = "stop"

    @model_validator(mode="after")
    def _patient(self) -> "Asynchronous":
        if self.server_patience < 2 * self.site_timeout:
            raise ValueError(
                f"server_patience ({self.server_patience:g} s) must be at least twice site_timeout "
                f"({self.site_timeout:g} s), or idle sites give up while the server waits for others"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the server holds: the model, its version, and reports that wait, with their scales."""

    model: Ref
    version: int
    waiting: tuple[tuple[str, Ref, float], ...] = ()


Absorb = Callable[..., Steps]
"""``absorb(node, cfg, turn, message, staleness)`` gives the next :class:`Turn`."""


@dataclass(slots=True, kw_only=True)
class Desk:
    """Who works and who waits, as the server knows: ``left`` rounds by site, since when a site is
    busy, when each was last told anything, how often in a row it was silent.
    """

    node: Node
    cfg: Asynchronous
    turn: Turn
    left: dict[str, int]
    busy: dict[str, float] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    silences: Counter[str] = field(default_factory=Counter)

    @property
    def is_open(self) -> bool:
        """Whether anybody can still be expected to report."""
        return any(
            rounds and self.silences[name] < self.cfg.prune_after for name, rounds in self.left.items()
        )

    def greet(self, message: Message) -> None:
        """A site that recovers or joins has lost what it was given."""
        self.busy.pop(message.src, None)
        self.silences[message.src] = 0
        self.employ()

    def employ(self) -> None:
        """Give the present model to idle sites while there is room, those idle longest first; tell the
        others now and then that the server lives.
        """
        node, told = self.node, self.told
        room = (self.cfg.concurrency or len(node.sites)) - len(self.busy)
        waiting = sorted((told.get(name, -1.0), name) for name in node.sites if name not in self.busy)
        for since, name in waiting:
            if room > 0 and self.left[name] and self.silences[name] < self.cfg.prune_after:
                room -= 1
                self.busy[name] = told[name] = node.now
                node.post(name, "global", self.turn.model, version=self.turn.version)
            elif node.now - since >= self.cfg.site_timeout / 2:
                told[name] = node.now
                node.post(name, "global")

    def next_report(self) -> Steps:
        """The next report, or None when a busy site has been silent for too long."""
        since = min(self.busy.values(), default=self.node.now)
        left_s = max(since + self.cfg.site_timeout - self.node.now, 0.0)
        try:
            message = yield self.node.receive("update", timeout_s=left_s)
        except ReceiveTimeout:
            for name in [name for name, since in self.busy.items() if self.overdue(since)]:
                self.node.record("silent", peer=name)
                self.silences[name] += 1
                del self.busy[name]
            return None
        self.busy.pop(message.src, None)
        self.silences[message.src] = 0
        self.left[message.src] = self.cfg.num_rounds - 1 - message.header["round"]
        return message

    def overdue(self, since: float) -> bool:
        """Whether a site that was given a model then should have reported."""
        return self.node.now >= since + self.cfg.site_timeout


def server(node: Node, cfg: Asynchronous, absorb: Absorb) -> Role:
    """Absorb reports as they come, keep sites busy, until all have used their budget."""
    model, version, left = node.durable.get("state", (None, 0, dict.fromkeys(node.sites, cfg.num_rounds)))
    if model is None:
        model = yield node.compute(node.learner.init)
    turn = Turn(model=model, version=version)  # what waited in the buffer died with the server
    desk = Desk(node=node, cfg=cfg, turn=turn, left=dict(left))
    node.on("hello", desk.greet)
    while desk.is_open:
        desk.employ()
        message = yield from desk.next_report()
        if message is None:
            continue
        staleness = desk.turn.version - message.header["version"]
        dropped = staleness > cfg.max_staleness
        node.record("dropped" if dropped else "absorbed", peer=message.src, staleness=staleness)
        if not dropped:
            desk.turn = yield from absorb(node, cfg, desk.turn, message, staleness)
        node.durable["state"] = (desk.turn.model, desk.turn.version, dict(desk.left))
    offers = dict.fromkeys(node.sites, desk.turn.model)
    yield from offer_final(node, offers, {"round": cfg.num_rounds}, cfg.site_timeout)


def site(node: Node, cfg: Asynchronous, work: Callable[..., Steps]) -> Steps:
    """Train whatever model comes and report, for the budget; return the model used last."""
    done, model = node.durable.get("round", (0, None))
    is_new, sent_s = node.now > 0 and model is None, 0.0
    if node.now > 0:
        node.post(node.server, "hello")
    while True:
        try:
            messages = [(yield node.receive("global", timeout_s=cfg.server_patience))]
        except ReceiveTimeout:
            node.record("server_lost", round=done)
            break
        given = not_outdated(messages + node.drain("global"), sent_s)
        if not given:  # the server lives
            continue
        message, model, sent_s = given[-1], given[-1].model, given[-1].sent_s
        if is_new:
            node.record("newcomer", start="server", peer=message.src)
            is_new = False
        if done or "version" not in message.header:
            node.record("round", round=max(done - 1, 0), model=model)
        if "version" not in message.header:  # the final model
            return model
        node.durable["round"] = (done, model)
        if done < cfg.num_rounds:
            yield from report(node, cfg, work, message, done)
            done += 1
            node.durable["round"] = (done, model)
    if cfg.when_server_lost == "gossip" and model is not None:
        return (yield from gossip_on(node, cfg, model, done))
    while cfg.when_server_lost == "train_alone" and model is not None and done < cfg.num_rounds:
        model = yield from train_round(node, cfg, model, done)
        node.record("round", round=done, model=model)
        done += 1
        node.durable["round"] = (done, model)
    return model


def report(node: Node, cfg: Asynchronous, work: Callable[..., Steps], message: Message, round_: int) -> Steps:
    """Train and send; an update that is lost costs its round."""
    update = yield from work(node, cfg, message.model, round_)
    version = message.header["version"]
    try:
        yield node.send(node.server, "update", update, round=round_, version=version)
    except TransferFailed as failure:
        node.record("update_lost", round=round_, reason=failure.reason)
        node.post(node.server, "hello")


def check(cfg: Asynchronous, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """Nobody can be busier than all."""
    if cfg.concurrency is not None and cfg.concurrency > len(data):
        return f"algorithm.concurrency: {cfg.concurrency} exceeds the {len(data)} sites"
    return ""

"""What a server that takes updates as they come is set to, holds, and knows of who works and who waits."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import model_validator

from algorithms.common import Count, Steps
from algorithms.server_policies import WithServer
from algorithms.server_succession import claim_of
from simulator.api import Message, Node, ReceiveTimeout, Ref, Seconds


class Asynchronous(WithServer):
    """Settings of an asynchronous server.

    At most ``concurrency`` sites are busy (default: all). One that is silent for ``site_timeout``
    loses its place to another; its report still counts when it comes. After ``prune_after`` silences in a
    row it is given no more work, until it says hello. Reports staler than
    ``max_staleness`` are dropped. The optimizer of local training starts fresh with every model received,
    or goes on (``persistent``).
    """

    concurrency: Count | None = None
    max_staleness: Count = 16
    site_timeout: Seconds = 3600.0
    prune_after: Count = 2
    optimizer_state: Literal["reset", "persistent"] = "reset"

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


Own = Callable[[Turn], Steps]
"""The report of the node itself on a :class:`Turn`."""


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
        """A site that recovers or joins has lost what it was given; one may have no rounds left."""
        self.busy.pop(message.src, None)
        self.silences[message.src] = 0
        if message.header.get("is_done"):
            self.left[message.src] = 0
        self.employ()

    def employ(self) -> None:
        """Give the present model to idle sites while there is room, those idle longest first; tell the
        others now and then that the server lives.
        """
        node, told = self.node, self.told
        room = (self.cfg.concurrency or len(node.sites)) - len(self.busy)
        idle = [name for name in node.sites if name not in self.busy and name != node.name]
        waiting = sorted((told.get(name, -1.0), name) for name in idle)
        for since, name in waiting:
            if room > 0 and self.left[name] and self.silences[name] < self.cfg.prune_after:
                room -= 1
                self.busy[name] = told[name] = node.now
                node.post(name, "global", self.turn.model, version=self.turn.version, **claim_of(node))
            elif node.now - since >= self.cfg.site_timeout / 2:
                told[name] = node.now
                node.post(name, "global", **claim_of(node))

    def next_report(self, own: Own | None) -> Steps:
        """The next report: one that came, else the ``own`` one of a site with rounds left, else whichever
        comes first; None when a busy site has been silent for too long.
        """
        works = own is not None and self.left[self.node.name] > 0
        since = min(self.busy.values(), default=self.node.now)
        left_s = 0.0 if works else max(since + self.cfg.site_timeout - self.node.now, 0.0)
        try:
            message = yield self.node.receive("update", timeout_s=left_s)
        except ReceiveTimeout:
            for name in [name for name, since in self.busy.items() if self.overdue(since)]:
                self.node.record("silent", peer=name)
                self.silences[name] += 1
                del self.busy[name]
            if own is None or not works:
                return None
            message = yield from own(self.turn)
        self.busy.pop(message.src, None)
        self.silences[message.src] = 0
        if message.ref is not None:
            self.left[message.src] = self.cfg.num_rounds - 1 - message.header["round"]
        return message

    def overdue(self, since: float) -> bool:
        """Whether a site that was given a model then should have reported."""
        return self.node.now >= since + self.cfg.site_timeout

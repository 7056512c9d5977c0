"""AD-PSGD's exchanges: an active site begins one, a passive one answers at once or when its turn ends.

X. Lian, W. Zhang, C. Zhang, J. Liu, "Asynchronous decentralized parallel stochastic gradient descent",
ICML 2018. What an exchange owes either side is durable, so that it is given once.
"""

from dataclasses import dataclass, field

from algorithms.common import Steps
from algorithms.tasks import mean_cost
from simulator.api import Message, Node, ReceiveTimeout, Ref, Task

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


@dataclass(slots=True, kw_only=True)
class Asked:
    """An exchange that an active site began: with whom, what it sent, when, and whether it still waits."""

    peer: str
    model: Ref
    since: float
    is_open: bool = True


def open_turn(node: Node, timeout_s: float) -> int | None:
    """The turn whose exchange is open; one that has been so for too long is given up."""
    for turn, asked in node.durable.get("asked", {}).items():
        if asked.is_open and node.now < asked.since + timeout_s:
            return int(turn)
        if asked.is_open:
            asked.is_open = False
            node.record("no_answer", round=turn, peer=asked.peer)
    return None


def propose(node: Node, timeout_s: float, desk: Desk, partners: list[str], now: int) -> None:
    """Begin an exchange of the model as it is, unless one is open."""
    if partners and open_turn(node, timeout_s) is None:
        assert desk.model is not None  # the turn has begun
        peer = str(node.rng("peer").choice(partners))
        asked = Asked(peer=peer, model=desk.model, since=node.now)
        node.durable.setdefault("asked", {})[now] = asked
        node.post(peer, "exchange", desk.model, turn=now, round=now)


def await_reply(node: Node, timeout_s: float, replies: list[Message]) -> Steps:
    """After the last turn: what else comes until the open exchange is answered or given up."""
    came: list[Message] = []
    while True:
        turn = open_turn(node, timeout_s)
        if turn is None or turn in {message.header["turn"] for message in [*replies, *came]}:
            return came
        left_s = node.durable["asked"][turn].since + timeout_s - node.now
        try:
            came.append((yield node.receive("reply", timeout_s=left_s)))
        except ReceiveTimeout:
            continue  # given up when looked at again


def take_reply(node: Node, desk: Desk, model: Ref, message: Message, now: int) -> Steps:
    """The active side's half of an exchange, made durable; nothing if the same answer came before."""
    turn = message.header["turn"]
    if turn not in node.durable["asked"]:
        return model
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

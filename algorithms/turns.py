"""Which round it is, among sites without a server: asked of peers, answered at once."""

from dataclasses import dataclass
from typing import Any

from algorithms.common import Steps
from simulator.api import Message, Node, ReceiveTimeout


@dataclass(slots=True)
class Turn:
    """Where a site stands, for the handlers that answer while it computes.

    ``now`` is None as long as the site does not know the round itself. ``accepted`` is the sender
    and round of a request that was accepted and whose model was not yet used.
    """

    now: int | None
    open: bool = False
    sending: bool = False
    accepted: tuple[str, int] | None = None


def answer_questions(node: Node, turn: Turn) -> None:
    """Answer at once, also during training: which round it is, and whether a model may come."""

    def tell_round(message: Message) -> None:
        if turn.now is not None:
            node.post(message.src, "round", round=turn.now)

    def consider(message: Message) -> None:
        wanted = (message.src, message.header["round"])
        if turn.open and not turn.sending and turn.accepted is None:
            turn.accepted = wanted
        # a request that came twice is answered alike
        node.post(message.src, "answer", accepted=turn.accepted == wanted, round=message.header["round"])

    node.on("round?", tell_round)
    node.on("request", consider)


def catch_up(node: Node, cfg: Any, done: int) -> Steps:
    """The round that a site which recovers or joins goes on with: that of its peers. Where these have
    finished already, ``durable["over"]`` says so.
    """
    current = yield from ask_round(node, cfg)
    if current == cfg.num_rounds:
        node.durable["over"] = True
        node.record("others_finished", round=done)
    elif current is not None and current > done:
        node.record("missed_rounds", round=done, until=current)
        return current
    return done


def ask_round(node: Node, cfg: Any) -> Steps:
    """The round that the others are in, from the first peer that knows; None if none does."""
    for peer in node.rng("ask").permutation(node.peers).tolist():
        node.post(peer, "round?")
        try:
            message = yield node.receive("round", timeout_s=cfg.answer_timeout)
        except ReceiveTimeout:
            continue
        return int(message.header["round"])
    return None

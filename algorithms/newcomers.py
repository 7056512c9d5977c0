"""What a site begins with that joins late, or comes back with nothing durable, among sites without a server.

A model that it is given for that travels as a message of kind ``newcomer``: its bytes are charged like all
others, and the record of that name says who gave it.
"""

from collections.abc import Callable
from typing import Literal

from algorithms.common import Budget, Steps, train_round
from simulator.api import Message, Node, ReceiveTimeout, Ref, TransferFailed

Newcomer = Literal["initial", "own-warm-up", "first-model"]
"""The initial weights, these trained on the own cases for a round, or a peer's model."""


def give_model(node: Node, current: Callable[[], Ref | None]) -> None:
    """Give the model of now to whoever asks, also during training; or say that there is none yet."""

    def give(message: Message) -> None:
        node.post(message.src, "newcomer", current())

    node.on("model?", give)


def begin_late(node: Node, cfg: Budget, model: Ref, newcomer: Newcomer, patience_s: float) -> Steps:
    """The model that a newcomer begins with instead of the initial one."""
    given = None
    if newcomer == "own-warm-up":
        model = yield from train_round(node, cfg, model, 0)
    elif newcomer == "first-model":
        given = yield from ask_model(node, patience_s)
    start = newcomer if newcomer != "first-model" or given else "initial"  # nobody had one
    node.record("newcomer", start=start, peer=given.src if given else None)
    return given.model if given else model


def ask_model(node: Node, patience_s: float) -> Steps:
    """The message with the model of the first peer, in an order drawn, that has one; None if none has."""
    for peer in node.rng("newcomer").permutation(node.peers).tolist():
        try:
            yield node.send(peer, "model?")
            message = yield node.receive("newcomer", timeout_s=patience_s)
        except (TransferFailed, ReceiveTimeout):
            continue
        if message.ref is not None:
            return message
    return None

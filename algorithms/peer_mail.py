"""What peers send each other in a round: all at once, confirmed or lost, collected until all is here or the
time is up, and repeated for a site that lost it in a crash.
"""

from collections.abc import Collection, Mapping
from typing import Any

from algorithms.common import Steps
from algorithms.overlay_repair import left_out, neighbors_of, note_silence
from simulator.api import Message, Node, ReceiveTimeout, Ref, TransferFailed


def reachable(node: Node, peers: Collection[str]) -> list[str]:
    """Those of ``peers`` that are neighbors on the overlay, sorted; nobody once the others have ended."""
    return [] if node.durable.get("over") else sorted(set(peers) & set(neighbors_of(node)[node.name]))


def send_out(node: Node, parcels: Mapping[str, Ref | None], round_: int, **header: Any) -> dict[str, Any]:
    """Begin to send, all at once; hand the outcome to :func:`confirm`. None: that no model comes. It also
    shows peers who are left out that this site is there.
    """
    for peer in left_out(node):
        node.post(peer, "model", round=round_)
    before = {then: sent for then, sent in node.durable.get("sent", {}).items() if then == round_ - 1}
    node.durable["sent"] = {**before, round_: (dict(parcels), header)}
    return {
        peer: node.send(peer, "model", ref, round=round_, **header) for peer, ref in sorted(parcels.items())
    }


def confirm(node: Node, sent: Mapping[str, Any], round_: int) -> Steps:
    """Wait until all is delivered or lost; return the peers that could not be reached."""
    lost = []
    for peer, arrival in sent.items():
        try:
            yield arrival
        except TransferFailed as failure:
            node.record("send_failed", round=round_, peer=peer, reason=failure.reason)
            node.durable["sent"][round_][0][peer] = None
            lost.append(peer)
    node.durable["lost"] = (round_, lost)
    return lost


def send_again(node: Node, message: Message) -> None:
    """Repeat what a peer has lost in a crash, and say of all rounds since in which nothing reached it that
    nothing comes.
    """
    asked = message.header["round"]
    for round_, (parcels, header) in node.durable.get("sent", {}).items():
        if message.src in parcels and (round_ == asked or (round_ > asked and not parcels[message.src])):
            node.record("sent_again", round=round_, peer=message.src)
            node.post(message.src, "model", parcels[message.src], round=round_, **header)


def collect(
    node: Node,
    cfg: Any,
    mail: list[Message],
    expected: Collection[str],
    round_: int,
    late: list[Message] | None = None,
) -> Steps:
    """Wait for this round's messages of the ``expected``; return all models that came, by site. Later
    rounds' stay in ``mail``; those of earlier ones go to ``late``, or are discarded with a record.
    """
    since = node.durable.setdefault("waiting_since", {}).setdefault(round_, node.now)
    arrived: dict[str, Message] = {}
    heard: set[str] = set()
    mail += node.drain("model")
    while True:
        heard |= {message.src for message in mail}
        for message in mail:
            if message.header["round"] == round_:
                arrived[message.src] = message
            elif message.header["round"] > round_ or message.ref is None:
                continue
            elif late is not None:
                late.append(message)
            else:
                node.record(
                    "late_discarded", round=round_, peer=message.src, of_round=message.header["round"]
                )
        mail[:] = [message for message in mail if message.header["round"] > round_]
        missing = sorted(set(expected) - set(arrived))
        if not missing:
            break
        try:
            mail.append((yield node.receive("model", timeout_s=since + cfg.peer_timeout - node.now)))
        except ReceiveTimeout:
            for peer in missing:
                node.record("nothing_received", round=round_, peer=peer)
            break
    lost_in, lost = node.durable.get("lost", (round_, ()))
    note_silence(node, cfg, round_, [*missing, *(lost if lost_in == round_ else ())], heard)
    return {name: message for name, message in sorted(arrived.items()) if message.ref is not None}


def swap(
    node: Node, cfg: Any, mail: list[Message], parcels: Mapping[str, Ref | None],
    senders: Collection[str], round_: int, **header: Any,
) -> Steps:  # fmt: skip
    """Send, wait until that is done, and collect from those ``senders`` that could be reached."""
    lost = yield from confirm(node, send_out(node, parcels, round_, **header), round_)
    return (yield from collect(node, cfg, mail, set(senders) - set(lost), round_))

"""How the sites of a swarm keep each other up to date: who missed a merge asks, and is told the last one."""

from algorithms.common import Steps
from simulator.api import Message, Node, ReceiveTimeout, Ref


def finish(node: Node, done: int, model: Ref) -> None:
    """Make a merged model durable and use it."""
    node.durable["round"] = (done, model)
    node.durable.pop("following", None)
    node.record("round", round=done - 1, model=model)


def send_merge(node: Node, model: Ref, round_: int) -> None:
    """Send a merge to all others."""
    for name in node.sites:
        if name != node.name:
            node.post(name, "swarm", model, round=round_, merged=True)


def tell_merge(node: Node, peer: str) -> None:
    """Send a peer the last merged model, if there is one."""
    done, model = node.durable.get("round", (0, None))
    if model is not None:
        node.post(peer, "swarm", model, round=done - 1, merged=True)


def answer_newcomers(node: Node) -> None:
    """Answer who asks, at once, also during training: with the last merge, or that there is none."""

    def tell(message: Message) -> None:
        if "round" in node.durable:
            tell_merge(node, message.src)
        else:
            node.post(message.src, "swarm", round=-1, merged=True)

    def send_again(message: Message) -> None:
        leader, ref, header = node.durable.get("following", ("", None, {}))
        if leader == message.src:
            node.post(leader, "swarm", ref, **header)

    node.on("merge?", tell)
    node.on("again?", send_again)


def close(node: Node) -> None:
    """After the end: whoever still sends an update is told the last merge."""

    def tell(message: Message) -> None:
        if not message.header["merged"]:
            tell_merge(node, message.src)

    node.on("swarm", tell)


def look_around(node: Node, timeout_s: float, done: int, model: Ref) -> Steps:
    """A site that recovers or joins takes the last merge of the first peer that answers in time."""
    for peer in node.rng("ask").permutation(sorted(set(node.sites) - {node.name})).tolist():
        node.post(peer, "merge?")
        try:
            message = yield node.receive("swarm", timeout_s=timeout_s)
        except ReceiveTimeout:
            continue
        header = message.header
        if header["merged"] and message.ref is not None and header["round"] >= done:
            if "round" not in node.durable:
                node.record("newcomer", start="first-model", peer=message.src)
            node.record("took_merge", round=header["round"], peer=message.src)
            finish(node, header["round"] + 1, message.model)
            return header["round"] + 1, message.model
        if header["merged"]:
            break
    return done, model

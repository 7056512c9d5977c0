"""The sites of rounds with a server: they work on whatever state comes, and lead if they are elected."""

from collections.abc import Generator, Mapping
from functools import partial
from typing import Any

from algorithms.common import Steps, not_outdated, train_round
from algorithms.server_based import Method, server
from algorithms.server_policies import ServerBased
from algorithms.server_succession import authority_of, dismiss, gossip_on, listen, report_back
from algorithms.tasks import CARRY
from simulator.api import Message, Node, Ref, TransferFailed


def site(node: Node, cfg: ServerBased, method: Method) -> Steps:
    """Work on whatever state the server sends, as long as it sends any; return the model used last."""
    model = yield from serve(node, cfg, method)
    # a server that returns when all is over is told so, if it was replaced
    node.on("global", lambda message: dismiss(node, message))
    return model


def serve(node: Node, cfg: ServerBased, method: Method) -> Steps:
    """Serve whoever may lead, or lead, until the rounds are over or nobody does."""
    state, next_round = node.durable.get("state", (None, 0))
    began, sent_s = node.now, 0.0
    leads = report_back(node, cfg, lambda: node.durable.get("state", (None, -1))[1] == cfg.num_rounds)
    while True:
        if leads and (yield from lead(node, cfg, method)):
            return node.durable.get("used")
        messages = yield from listen(node, cfg, next_round)
        if messages is None:
            break
        leads = authority_of(node)[1] == node.name
        drawn = not_outdated(messages, sent_s)
        if not drawn:
            if any("pruned" in message.header for message in messages):
                node.post(authority_of(node)[1], "hello")
            continue
        state, round_, sent_s = drawn[-1].model, drawn[-1].header["round"], drawn[-1].sent_s  # the newest
        if began > 0 and "state" not in node.durable:
            node.record("newcomer", start="server", peer=drawn[-1].src)
        yield from receive_state(node, cfg, method, state, drawn[-1].header)
        next_round = round_
        if round_ == cfg.num_rounds:
            return node.durable.get("used")
        yield from answer(node, cfg, method, state, round_)
    if state is not None:
        yield from go_on(node, cfg, method, state, next_round)
    return node.durable.get("used")


def receive_state(
    node: Node, cfg: ServerBased, method: Method, state: Ref, header: Mapping[str, Any]
) -> Steps:
    """Use what came, if a round is over, and make it durable."""
    round_ = header["round"]
    if round_ > node.durable.get("state", (None, 0))[1]:  # a restarted server sends its last state again
        yield from take_over(node, cfg, method, state, header.get("whole", state), round_)
    node.durable["state"], node.durable["elections"] = (state, round_), 0


def go_on(node: Node, cfg: ServerBased, method: Method, state: Ref, next_round: int) -> Steps:
    """Without a server: as the settings say."""
    model = node.durable.get("used", state)
    if model is state and method.use is not None:
        model = yield from method.use(node, cfg, state, node.durable.get("own"))
    worked = node.durable["update"][0][0] if "update" in node.durable else None
    has_used_it = method.personal and worked == next_round
    if cfg.when_server_lost == "train_alone":
        yield from train_alone(node, cfg, model, next_round + has_used_it)
    elif cfg.when_server_lost == "gossip":
        node.durable["used"] = yield from gossip_on(node, cfg, model, next_round)


def take_over(node: Node, cfg: ServerBased, method: Method, state: Ref, whole: Ref, round_: int) -> Steps:
    """Use what the last round gave, unless the site has a model of its own for that. ``whole`` is the
    state of which the site was sent a part.
    """
    own = node.durable.get("own")
    if method.personal or (method.use is not None and own is None):
        return
    model = state
    if method.use is not None:
        model = yield from method.use(node, cfg, state, own)
    node.durable["used"] = model
    if method.shown is None:
        node.record("round", round=round_ - 1, model=model)
    else:
        node.record("round", round=round_ - 1, model=whole, **method.shown(node, cfg))


def answer(node: Node, cfg: ServerBased, method: Method, state: Ref, round_: int) -> Steps:
    """Work on a state and send the update; one that a crashed server lost is sent again as it was."""
    work, header = yield from work_on(node, cfg, method, state, round_)
    try:
        yield node.send(authority_of(node)[1], "update", work.update, **header)
    except TransferFailed as failure:
        node.record("update_lost", round=round_, reason=failure.reason)
        return
    node.durable["own"] = work.own


def work_on(node: Node, cfg: ServerBased, method: Method, state: Ref, round_: int) -> Steps:
    """A site's work on a state, unless it was done before, and what is said of its update."""
    source, work = node.durable.get("update", (None, None))
    if source != (round_, state.key):
        work = yield from method.local(node, cfg, state, node.durable.get("own"), round_)
        node.durable["update"] = ((round_, state.key), work)
        if not method.own_if_delivered:
            node.durable["own"] = work.own
        if work.personal is not None:
            node.durable["used"] = work.personal
            node.record("round", round=round_, model=work.personal)
    steps = cfg.local_epochs * node.data.train_batches
    return work, {"round": round_, "steps": steps} | dict(work.header)


def train(node: Node, cfg: Any, state: Ref, own: Ref | None, round_: int) -> Steps:
    """The local epochs of a round, from the state received."""
    if cfg.optimizer_state == "persistent" and own is not None:
        state = yield node.compute(CARRY, state, own)
    return (yield from train_round(node, cfg, state, round_))


def lasting(cfg: ServerBased) -> dict[str, bool]:
    """What tells a method's own task that the optimizer goes on; nothing where it starts fresh, so that such
    work has the same name with or without the choice.
    """
    return {"keep_optimizer": True} if cfg.optimizer_state == "persistent" else {}


def train_alone(node: Node, cfg: ServerBased, model: Ref, next_round: int) -> Steps:
    """Use up the rest of the budget without the server."""
    for round_ in range(next_round, cfg.num_rounds):
        model = yield from train(node, cfg, model, None, round_)
        node.durable["state"] = (model, round_ + 1)
        node.durable["used"] = model
        node.record("round", round=round_, model=model)


# -- a site that leads ------------------------------------------------------------------------------


def lead(node: Node, cfg: ServerBased, method: Method) -> Steps:
    """Be the server from the newest state of this site on; whether to the end."""
    state, round_ = node.durable.get("state", (None, 0))
    if node.durable.get("round", (-1, None))[0] < round_ or "round" not in node.durable:
        node.durable["round"] = (round_, state)
    node.record("leads", round=round_)
    to_the_end = yield from server(node, cfg, method, partial(own_answer, node, cfg, method))
    node.on("hello", lambda message: None)  # no more, or for the last time
    if to_the_end:
        _, state = node.durable["round"]
        yield from receive_state(node, cfg, method, state, {"round": cfg.num_rounds})
    return to_the_end


def own_answer(
    node: Node, cfg: ServerBased, method: Method, offers: Mapping[str, Ref | None], round_: int
) -> Generator[Any, Any, dict[str, Message]]:
    """What the site that leads makes of the state itself, if it is asked."""
    state = offers.get(node.name)
    if state is None:
        return {}
    yield from receive_state(node, cfg, method, state, {"round": round_})
    work, header = yield from work_on(node, cfg, method, state, round_)
    node.durable["own"] = work.own
    return {node.name: Message(node.name, "update", work.update, header)}

"""The roles of methods whose server takes updates as they come.

A site trains whatever model it was given last and reports; the server absorbs the report and gives
the present model to a site that is idle. Every site has the same budget of rounds; ``concurrency``
bounds how many are busy at a time. A site that is elected in place of the server trains between reports.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from algorithms.asynchronous_desk import Asynchronous, Desk, Own, Turn
from algorithms.common import Steps, not_outdated, train_round
from algorithms.server_based import offer_final
from algorithms.server_succession import (
    authority_of,
    claim_of,
    dismiss,
    gossip_on,
    is_rightful,
    listen,
    report_back,
)
from simulator.api import Message, ModelSize, Node, Ref, SiteData, TransferFailed

Work = Callable[..., Steps]
"""``work(node, cfg, received, round_)`` gives the update of a site."""
Absorb = Callable[..., Steps]
"""``absorb(node, cfg, turn, message, staleness)`` gives the next :class:`Turn`."""


def server(node: Node, cfg: Asynchronous, absorb: Absorb, own: Own | None = None) -> Steps:
    """Absorb reports as they come, keep sites busy, until all have used their budget. A site that leads in
    place of a server reports itself (``own``) whenever nothing waits. Whether it led to the end.
    """
    model, version, left = node.durable.get("desk", (None, 0, dict.fromkeys(node.sites, cfg.num_rounds)))
    if model is None:
        model = yield node.compute(node.learner.init)
    turn = Turn(model=model, version=version)  # what waited in the buffer died with the server
    desk = Desk(node=node, cfg=cfg, turn=turn, left=dict(left))
    node.on("hello", desk.greet)
    while desk.is_open:
        desk.employ()
        message = yield from desk.next_report(own)
        serves_another = message is not None and message.ref is None
        if serves_another or not is_rightful(node):
            node.record("superseded", version=desk.turn.version)
            return False
        if message is None:
            continue
        # a server that took over may be behind what the site was given
        staleness = max(desk.turn.version - message.header["version"], 0)
        dropped = staleness > cfg.max_staleness
        node.record("dropped" if dropped else "absorbed", peer=message.src, staleness=staleness)
        if not dropped:
            desk.turn = yield from absorb(node, cfg, desk.turn, message, staleness)
        node.durable["desk"] = (desk.turn.model, desk.turn.version, dict(desk.left))
    offers = dict.fromkeys(node.sites, desk.turn.model)
    yield from offer_final(node, offers, {"round": cfg.num_rounds, **claim_of(node)}, cfg.site_timeout)
    return True


# -- a site -----------------------------------------------------------------------------------------


def site(node: Node, cfg: Asynchronous, work: Work, absorb: Absorb) -> Steps:
    """Train whatever model comes and report, for the budget; return the model used last."""
    model = yield from serve(node, cfg, work, absorb)
    # a server that returns when all is over is told so, if it was replaced
    node.on("global", lambda message: dismiss(node, message))
    return model


def serve(node: Node, cfg: Asynchronous, work: Work, absorb: Absorb) -> Steps:
    """Serve whoever may lead, or lead, until the budgets are used or nobody does."""
    is_new, sent_s = node.now > 0 and "round" not in node.durable, 0.0
    leads = report_back(node, cfg, lambda: node.durable.get("is_over", False))
    while True:
        if leads and (yield from lead(node, cfg, work, absorb)):
            return node.durable["round"][1]
        messages = yield from listen(node, cfg, node.durable.get("round", (0, None))[0])
        if messages is None:
            return (yield from go_on(node, cfg))
        leads = authority_of(node)[1] == node.name
        given = not_outdated(messages, sent_s)
        if not given:  # the server lives
            continue
        message, sent_s = given[-1], given[-1].sent_s
        if is_new:
            node.record("newcomer", start="server", peer=message.src)
            is_new = False
        receive_model(node, message.model, message.header.get("version"))
        if "version" not in message.header:  # the final model
            return message.model
        yield from report(node, cfg, work, message)


def receive_model(node: Node, model: Ref, version: int | None) -> None:
    """Use a model and make it durable; without a version it is the final one."""
    done, _ = node.durable.get("round", (0, None))
    if done or version is None:
        node.record("round", round=max(done - 1, 0), model=model)
    node.durable["round"] = (done, model)
    held = node.durable.get("state", (None, 0))[1] if version is None else version
    node.durable["state"], node.durable["elections"] = (model, held), 0
    node.durable["is_over"] = version is None


def report(node: Node, cfg: Asynchronous, work: Work, message: Message) -> Steps:
    """Train and send; an update that is lost costs its round. A site without rounds left says so."""
    round_, model = node.durable["round"]
    if round_ == cfg.num_rounds:
        node.post(authority_of(node)[1], "hello", is_done=True)
        return
    update = yield from work(node, cfg, model, round_)
    version = message.header["version"]
    try:
        yield node.send(authority_of(node)[1], "update", update, round=round_, version=version)
    except TransferFailed as failure:
        node.record("update_lost", round=round_, reason=failure.reason)
        node.post(authority_of(node)[1], "hello")
    node.durable["round"] = (round_ + 1, model)


def go_on(node: Node, cfg: Asynchronous) -> Steps:
    """Without a server: as the settings say."""
    done, model = node.durable.get("round", (0, None))
    if cfg.when_server_lost == "gossip" and model is not None:
        return (yield from gossip_on(node, cfg, model, done))
    while cfg.when_server_lost == "train_alone" and model is not None and done < cfg.num_rounds:
        model = yield from train_round(node, cfg, model, done)
        node.record("round", round=done, model=model)
        done += 1
        node.durable["round"] = (done, model)
    return model


# -- a site that leads ------------------------------------------------------------------------------


def lead(node: Node, cfg: Asynchronous, work: Work, absorb: Absorb) -> Steps:
    """Be the server from the newest model of this site on; whether to the end. What the others have left
    shows when they answer.
    """
    model, version = node.durable.get("state", (None, 0))
    if node.durable.get("desk", (None, -1, {}))[1] < version:
        node.durable["desk"] = (model, version, dict.fromkeys(node.sites, cfg.num_rounds))
    model, version, left = node.durable["desk"]
    done, _ = node.durable.get("round", (0, None))
    node.durable["desk"] = (model, version, {**left, node.name: cfg.num_rounds - done})
    node.record("leads", version=version)
    to_the_end = yield from server(node, cfg, absorb, partial(own_report, node, cfg, work))
    node.on("hello", lambda message: None)  # no more, or for the last time
    if to_the_end:
        receive_model(node, node.durable["desk"][0], None)
    return to_the_end


def own_report(node: Node, cfg: Asynchronous, work: Work, turn: Turn) -> Steps:
    """What the site that leads makes of the present model itself, while reports wait."""
    receive_model(node, turn.model, turn.version)
    round_, _ = node.durable["round"]
    update = yield from work(node, cfg, turn.model, round_)
    node.durable["round"] = (round_ + 1, turn.model)
    return Message(node.name, "update", update, {"round": round_, "version": turn.version})


def check(cfg: Asynchronous, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """Nobody can be busier than all."""
    if cfg.concurrency is not None and cfg.concurrency > len(data):
        return f"algorithm.concurrency: {cfg.concurrency} exceeds the {len(data)} sites"
    return ""

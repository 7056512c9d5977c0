"""Rounds with a server: the roles that FedAvg and its relatives share.

The server sends its *state* (a model, perhaps with more beside it) to a cohort, collects the
answers and makes the next state of them. A site works on the state received. What sets a method
apart is a :class:`Method`: what a site does, what the server makes of the answers, and which model a
site uses.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from algorithms.common import Steps, not_outdated, train_round
from algorithms.defenses import robustly
from algorithms.server_policies import Collected, ServerBased, collect, drawn_cohort, heard_of, listed
from algorithms.server_succession import (
    authority_of,
    dismiss,
    elect,
    gossip_on,
    rightful,
    stand_for_election,
)
from algorithms.tasks import CARRY, MEAN
from simulator.api import Message, Node, ReceiveTimeout, Ref, TransferFailed

FINAL_RETRY_S = 60.0
"""Pause before the server offers its final state again to sites that it could not reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a site made of a state: the ``update`` it sends with a ``header``, what stays at home for
    its next round (``own``), and, where that is not the next state, the model it uses from now on.
    """

    update: Ref
    own: Ref | None = None
    personal: Ref | None = None
    header: Mapping[str, Any] = field(default_factory=dict)


def initial_model(node: Node, cfg: ServerBased) -> Steps:
    """The initial weights as first state."""
    return (yield node.compute(node.learner.init))


def average(node: Node, cfg: Any, state: Ref, answers: Mapping[str, Message], round_: int) -> Steps:
    """The weighted mean of the answers as next state, or what the defense makes of them."""
    models, weights = in_order(node, cfg, answers)
    if cfg.defense is not None:
        return (yield from robustly(node, cfg.defense, state, models, weights, sorted(answers), round_))
    return (yield node.compute(MEAN, *models, weights=weights, round=round_))


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What sets a method with a server apart; generator functions that yield like roles.

    ``local(node, cfg, state, own, round_)`` gives :class:`Work`. ``aggregate(node, cfg, state,
    answers, round_)`` gives the next state, ``start(node, cfg)`` the first one, ``cohort(node, cfg,
    round_)`` the sites that the server asks. ``use(node, cfg,
    state, own)`` gives the model that a site uses when it has received a state; None: the state
    itself. ``offer(node, cfg, state, name, last)`` gives what of a state a site is sent; None: all.
    ``shown(node, cfg)`` gives arguments of the record by which a site is measured with the whole state
    as the server has it, since observation is free; None: with the model that it uses. ``personal``: a
    site uses what its work says instead. ``own_if_delivered``: what stays at home counts only when the
    server has the update.
    """

    local: Callable[..., Steps]
    aggregate: Callable[..., Steps] = average
    start: Callable[..., Steps] = initial_model
    cohort: Callable[..., list[str]] = drawn_cohort
    use: Callable[..., Steps] | None = None
    offer: Callable[..., Steps] | None = None
    shown: Callable[..., dict[str, Any]] | None = None
    personal: bool = False
    own_if_delivered: bool = False


def in_order(node: Node, cfg: ServerBased, answers: Mapping[str, Message]) -> tuple[list[Ref], list[float]]:
    """The answers sorted by site, whatever their order of arrival, and their shares of a mean."""
    names = sorted(answers)
    counts = [1 for _ in names]
    if cfg.sender_weights == "cases":
        counts = [node.cases_of[name] for name in names]
    elif cfg.sender_weights == "steps":
        counts = [answers[name].header["steps"] for name in names]
    return [answers[name].model for name in names], [count / sum(counts) for count in counts]


# -- the server -------------------------------------------------------------------------------------


def server(node: Node, cfg: ServerBased, method: Method) -> Steps:
    """Send the state to a cohort, aggregate what comes back; from a cold start or the last durable
    round. A site that leads in place of a server does its own share of the work too. Whether it led to
    the end.
    """
    done, state = node.durable.get("round", (0, None))
    if state is None:
        state = yield from method.start(node, cfg)
    for round_ in range(done, cfg.num_rounds):
        cohort = method.cohort(node, cfg, round_)
        wanted = min(len(cohort), cfg.cohort_size(len(listed(node, cfg))))
        offers = yield from announce(node, cfg, method, state, cohort, round_)
        own = yield from own_answer(node, cfg, method, offers, round_)
        got: Collected = yield from collect(node, cfg, cohort, wanted, round_, own)
        if got.closed_by == "superseded" or not is_rightful(node):
            node.record("superseded", round=round_)
            return False
        node.durable["answered"] = sorted(got.answers)
        if len(got.answers) >= cfg.answers_needed(wanted):
            state = yield from method.aggregate(node, cfg, state, got.used, round_)
            node.record("aggregated", round=round_, **got.account(node, cfg, wanted))
        else:
            node.record(
                "empty_round", round=round_, num_answers=len(got.answers), missing=wanted - len(got.answers)
            )
        node.durable["round"] = (round_ + 1, state)
    offers = yield from offers_of(node, cfg, method, state, node.sites, last=True)
    header = header_of(node, method, state, cfg.num_rounds)
    yield from offer_final(node, offers, header, cfg.round_deadline)
    return True


def header_of(node: Node, method: Method, state: Ref, round_: int) -> dict[str, Any]:
    """What is said of a state that is sent."""
    term, leader = authority_of(node)
    whole = {"whole": state} if method.shown else {}
    return {"round": round_, "term": term, "leader": leader, **whole}


def announce(
    node: Node, cfg: ServerBased, method: Method, state: Ref, cohort: Sequence[str], round_: int
) -> Generator[Any, Any, dict[str, Ref | None]]:
    """Send the state to the cohort, and to all others a message without one: the server lives. It also
    tells a pruned site to say that it is there.
    """
    offers: dict[str, Ref | None] = dict.fromkeys(node.sites)
    offers |= yield from offers_of(node, cfg, method, state, cohort, last=False)
    header = header_of(node, method, state, round_)
    welcome(node, cfg, offers, header)
    kept = listed(node, cfg)
    for name, offer in offers.items():
        if name != node.name:
            node.post(name, "global", offer, **header, **({} if name in kept else {"pruned": True}))
    return offers


def offers_of(
    node: Node, cfg: ServerBased, method: Method, state: Ref, names: Sequence[str], *, last: bool
) -> Generator[Any, Any, dict[str, Ref | None]]:
    """What each of these sites is sent of a state."""
    if method.offer is None:
        return dict.fromkeys(names, state)
    offers: dict[str, Ref | None] = {}
    for name in sorted(names):
        offers[name] = yield from method.offer(node, cfg, state, name, last)
    return offers


def welcome(
    node: Node, cfg: ServerBased, offers: Mapping[str, Ref | None], header: Mapping[str, Any]
) -> None:
    """Offer the state of the running round to a site that recovers or joins in its midst."""

    def greet(message: Message) -> None:
        heard_of(node, cfg, message.src)
        node.post(message.src, "global", offers[message.src], **header)

    node.on("hello", greet)


def offer_final(
    node: Node, offers: Mapping[str, Ref | None], header: Mapping[str, Any], patience_s: float
) -> Steps:
    """Give every site the final state; ask again those that could not be reached, for a while."""
    node.on("hello", lambda message: node.post(message.src, "global", offers[message.src], **header))
    missing = [name for name in node.sites if name != node.name]
    deadline = node.now + patience_s
    while missing:
        sent = {name: node.send(name, "global", offers[name], **header) for name in missing}
        missing = []
        for name, arrival in sent.items():
            try:
                yield arrival
            except TransferFailed as failure:
                node.record("final_model_lost", peer=name, reason=failure.reason)
                missing.append(name)
        if node.now + FINAL_RETRY_S > deadline:
            return
        if missing:
            yield node.sleep(FINAL_RETRY_S)


# -- a site -----------------------------------------------------------------------------------------


def site(node: Node, cfg: ServerBased, method: Method) -> Steps:
    """Work on whatever state the server sends, as long as it sends any; return the model used last."""
    model = yield from serve(node, cfg, method)
    # a server that returns when all is over is told so, if it was replaced
    node.on("global", lambda message: dismiss(node, message))
    return model


def serve(node: Node, cfg: ServerBased, method: Method) -> Steps:
    """Serve whoever may lead, or lead, until the rounds are over or nobody does."""
    state, next_round = node.durable.get("state", (None, 0))
    began, elections, sent_s = node.now, cfg.when_server_lost == "elect", 0.0
    if elections:
        stand_for_election(node, cfg)
    leads = authority_of(node)[1] == node.name
    if node.now > 0 and not leads:
        node.post(authority_of(node)[1], "hello")
    while True:
        if leads:
            if (yield from lead(node, cfg, method)):
                return node.durable.get("used")
            leads = False
        try:
            messages = [(yield node.receive("global", timeout_s=cfg.server_patience))]
        except ReceiveTimeout:
            node.record("server_lost", round=next_round)
            if not elections or is_hopeless(node):
                break
            leads = yield from elect(node, cfg)
            continue
        messages = rightful(node, messages + node.drain("global"))
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
    to_the_end = yield from server(node, cfg, method)
    node.on("hello", lambda message: None)  # no more, or for the last time
    if to_the_end:
        _, state = node.durable["round"]
        yield from receive_state(node, cfg, method, state, {"round": cfg.num_rounds})
    return to_the_end


def own_answer(
    node: Node, cfg: ServerBased, method: Method, offers: Mapping[str, Ref | None], round_: int
) -> Generator[Any, Any, dict[str, Message]]:
    """What the site that leads makes of the state itself; nothing at a server."""
    state = offers.get(node.name)
    if state is None:
        return {}
    yield from receive_state(node, cfg, method, state, {"round": round_})
    work, header = yield from work_on(node, cfg, method, state, round_)
    node.durable["own"] = work.own
    return {node.name: Message(node.name, "update", work.update, header)}


def is_rightful(node: Node) -> bool:
    """Whether no other leader has come up who goes before this one."""
    mine = authority_of(node)
    rightful(node, node.drain("global"))
    return authority_of(node)[1] == mine[1]


def is_hopeless(node: Node) -> bool:
    """Whether as many elections as there are sites have led to nothing."""
    node.durable["elections"] = node.durable.get("elections", 0) + 1
    return bool(node.durable["elections"] > len(node.sites))

"""Rounds with a server: what sets FedAvg and its relatives apart, and the server that they share.

The server sends its *state* (a model, perhaps with more beside it) to a cohort, collects the
answers and makes the next state of them. What sets a method apart is a :class:`Method`: what a site
does, what the server makes of the answers, and which model a site uses. The role of a site is in
:mod:`algorithms.server_sites`.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from algorithms.common import Steps
from algorithms.defenses import robustly
from algorithms.server_answers import Collected, collect, drawn_cohort, heard_of, listed
from algorithms.server_policies import ServerBased
from algorithms.server_succession import claim_of, is_rightful
from algorithms.tasks import MEAN
from simulator.api import Message, Node, Ref, TransferFailed

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


Own = Callable[[Mapping[str, Ref | None], int], Generator[Any, Any, dict[str, Message]]]
"""``own(offers, round_)``: what the node itself answers to a state, by its name."""


def server(node: Node, cfg: ServerBased, method: Method, own: Own | None = None) -> Steps:
    """Send the state to a cohort, aggregate what comes back; from a cold start or the last durable
    round. A site that leads in place of a server does its ``own`` share of the work too. Whether it led
    to the end.
    """
    done, state = node.durable.get("round", (0, None))
    if state is None:
        state = yield from method.start(node, cfg)
    for round_ in range(done, cfg.num_rounds):
        cohort = method.cohort(node, cfg, round_)
        wanted = min(len(cohort), cfg.cohort_size(len(listed(node, cfg))))
        offers = yield from announce(node, cfg, method, state, cohort, round_)
        mine = {} if own is None else (yield from own(offers, round_))
        got: Collected = yield from collect(node, cfg, cohort, wanted, round_, mine)
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
    whole = {"whole": state} if method.shown else {}
    return {"round": round_, **claim_of(node), **whole}


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

"""Rounds with a server: the roles that FedAvg and its relatives share.

The server sends its *state* (a model, perhaps with more beside it) to a cohort, collects the
answers and makes the next state of them. A site works on the state received. What sets a method
apart is a :class:`Method`: what a site does, what the server makes of the answers, and which model a
site uses.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import model_validator

from algorithms.common import Budget, Count, Share, Steps, train_round
from algorithms.defenses import Defended, robustly, too_few
from algorithms.tasks import CARRY, MEAN
from simulator.api import (
    Message,
    ModelSize,
    Node,
    ReceiveTimeout,
    Ref,
    Role,
    Seconds,
    SiteData,
    TransferFailed,
)

FINAL_RETRY_S = 60.0
"""Pause before the server offers its final state again to sites that it could not reach."""


class ServerBased(Budget):
    """Settings of rounds with a server.

    A round is one download and one upload per site of the cohort; after the last round every site
    downloads the final state. ``cohort`` is the share of sites asked in a round. The server waits
    for answers until ``round_deadline`` after it sent its state, or until ``grace`` after
    ``min_answers`` of them came, whichever is first (no ``grace``: it waits for all). With fewer
    than ``min_answers`` the state stays as it is and the round is recorded as empty. Answers are
    weighted by training cases, by optimizer steps of the round, or alike. A site that hears nothing
    for ``server_patience`` keeps its last model and either stops or trains on alone. Sites start
    each round with a fresh optimizer, or go on with their own (``optimizer_state: persistent``).
    """

    cohort: Share = 1.0
    sender_weights: Literal["cases", "steps", "uniform"] = "cases"
    round_deadline: Seconds = 3600.0
    min_answers: Count = 1
    grace: Seconds | None = None
    server_patience: Seconds = 7200.0
    when_server_lost: Literal["stop", "train_alone"] = "stop"
    optimizer_state: Literal["reset", "persistent"] = "reset"

    def quorum(self, num_asked: int) -> int:
        """Answers that a round needs of ``num_asked`` sites."""
        return self.min_answers

    @model_validator(mode="after")
    def _patient(self) -> "ServerBased":
        if self.server_patience <= self.round_deadline:
            raise ValueError(
                f"server_patience ({self.server_patience:g} s) must exceed round_deadline "
                f"({self.round_deadline:g} s), or sites give up while the server waits for others"
            )
        return self


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


def drawn_cohort(node: Node, cfg: ServerBased, round_: int) -> list[str]:
    """The sites asked in a round, drawn uniformly."""
    size = max(1, round(cfg.cohort * len(node.sites)))
    drawn: list[str] = node.common_rng("cohort", round_).choice(node.sites, size=size, replace=False).tolist()
    return drawn


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


def server(node: Node, cfg: ServerBased, method: Method) -> Role:
    """Send the state to a cohort, aggregate what comes back; from a cold start or the last durable
    round.
    """
    done, state = node.durable.get("round", (0, None))
    if state is None:
        state = yield from method.start(node, cfg)
    for round_ in range(done, cfg.num_rounds):
        cohort = method.cohort(node, cfg, round_)
        size = len(cohort)
        offers: dict[str, Ref | None] = dict.fromkeys(node.sites)
        offers |= yield from offers_of(node, cfg, method, state, cohort, last=False)
        header = {"round": round_} | ({"whole": state} if method.shown else {})
        welcome(node, offers, header)
        for name, offer in offers.items():  # one without a model tells a site that the server lives
            node.post(name, "global", offer, **header)
        answers = yield from collect(node, cfg, size, round_)
        node.durable["answered"] = sorted(answers)
        if len(answers) >= cfg.quorum(size):
            state = yield from method.aggregate(node, cfg, state, answers, round_)
            node.record("aggregated", round=round_, num_answers=len(answers), missing=size - len(answers))
        else:
            node.record("empty_round", round=round_, num_answers=len(answers))
        node.durable["round"] = (round_ + 1, state)
    offers = yield from offers_of(node, cfg, method, state, node.sites, last=True)
    header = {"round": cfg.num_rounds} | ({"whole": state} if method.shown else {})
    yield from offer_final(node, offers, header, cfg.round_deadline)


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


def welcome(node: Node, offers: Mapping[str, Ref | None], header: Mapping[str, Any]) -> None:
    """Offer the state of the running round to a site that recovers or joins in its midst."""
    node.on("hello", lambda message: node.post(message.src, "global", offers[message.src], **header))


def collect(
    node: Node, cfg: ServerBased, expected: int, round_: int
) -> Generator[Any, Any, dict[str, Message]]:
    """Updates of this round by site, until all came or the time is up; late ones are recorded."""
    answers: dict[str, Message] = {}
    deadline = node.now + cfg.round_deadline
    while len(answers) < expected:
        try:
            message: Message = yield node.receive("update", timeout_s=deadline - node.now)
        except ReceiveTimeout:
            break
        if message.header["round"] != round_:
            node.record("late_update", round=round_, peer=message.src, of_round=message.header["round"])
            continue
        answers[message.src] = message
        if cfg.grace is not None and len(answers) == cfg.quorum(expected):
            deadline = min(deadline, node.now + cfg.grace)
    return answers


def offer_final(
    node: Node, offers: Mapping[str, Ref | None], header: Mapping[str, Any], patience_s: float
) -> Steps:
    """Give every site the final state; ask again those that could not be reached, for a while."""
    welcome(node, offers, header)
    missing = list(node.sites)
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
    state, next_round = node.durable.get("state", (None, 0))
    if node.now > 0:
        node.post(node.server, "hello")
    while True:
        try:
            messages = [(yield node.receive("global", timeout_s=cfg.server_patience))]
        except ReceiveTimeout:
            node.record("server_lost", round=next_round)
            break
        messages += node.drain("global")
        drawn = [message for message in messages if message.ref is not None]
        if not drawn:
            continue
        state, round_ = drawn[-1].model, drawn[-1].header["round"]  # a slow site skips to the newest
        if round_ > next_round:  # a restarted server sends its last round's state again
            whole = drawn[-1].header.get("whole", state)
            yield from take_over(node, cfg, method, state, whole, round_)
        next_round = round_
        node.durable["state"] = (state, next_round)
        if round_ == cfg.num_rounds:
            return node.durable.get("used")
        yield from answer(node, cfg, method, state, round_)
    if cfg.when_server_lost == "train_alone" and state is not None:
        model = node.durable.get("used", state)
        if model is state and method.use is not None:
            model = yield from method.use(node, cfg, state, node.durable.get("own"))
        worked = node.durable["update"][0][0] if "update" in node.durable else None
        has_used_it = method.personal and worked == next_round
        yield from train_alone(node, cfg, model, next_round + has_used_it)
    return node.durable.get("used")


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
    source, work = node.durable.get("update", (None, None))
    if source != (round_, state.key):
        work = yield from method.local(node, cfg, state, node.durable.get("own"), round_)
        node.durable["update"] = ((round_, state.key), work)
        if not method.own_if_delivered:
            node.durable["own"] = work.own
        if work.personal is not None:
            node.durable["used"] = work.personal
            node.record("round", round=round_, model=work.personal)
    header = {"steps": cfg.local_epochs * node.data.train_batches} | dict(work.header)
    try:
        yield node.send(node.server, "update", work.update, round=round_, **header)
    except TransferFailed as failure:
        node.record("update_lost", round=round_, reason=failure.reason)
        return
    node.durable["own"] = work.own


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


def check(cfg: ServerBased, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """A quorum that no cohort can reach would leave every round empty."""
    size = max(1, round(cfg.cohort * len(data)))
    if cfg.min_answers > size:
        return f"algorithm.min_answers: {cfg.min_answers} exceeds the {size} site(s) of a cohort"
    return too_few(cfg.defense, size) if isinstance(cfg, Defended) else ""

"""FedAvg and FedProx: a server averages what its sites trained.

B. McMahan et al., "Communication-efficient learning of deep networks from decentralized data",
AISTATS 2017; T. Li et al., "Federated optimization in heterogeneous networks", MLSys 2020.
"""

from collections.abc import Generator, Mapping
from typing import Any, Literal

from pydantic import model_validator

from algorithms.common import Budget, Count, Positive, Share, Weights
from algorithms.tasks import MEAN, TRAIN_PROX
from simulator.api import (
    Algorithm,
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
"""Pause before the server offers its final model again to sites that it could not reach."""


class FedAvg(Budget):
    """FedAvg.

    A round is one download and one upload per site of the cohort; after the last round every site
    downloads the final model. ``cohort`` is the share of sites asked in a round. The server waits
    for answers until ``round_deadline`` after it sent the model, or until ``grace`` after
    ``min_answers`` of them came, whichever is first (no ``grace``: it waits for all). With fewer
    than ``min_answers`` the model stays as it is and the round is recorded as empty. A site that
    hears nothing for ``server_patience`` keeps its last model and either stops or trains on alone.
    Sites start each round with a fresh optimizer.
    """

    name: Literal["fedavg"] = "fedavg"
    cohort: Share = 1.0
    sender_weights: Weights = "cases"
    round_deadline: Seconds = 3600.0
    min_answers: Count = 1
    grace: Seconds | None = None
    server_patience: Seconds = 7200.0
    when_server_lost: Literal["stop", "train_alone"] = "stop"

    @model_validator(mode="after")
    def _patient(self) -> "FedAvg":
        if self.server_patience <= self.round_deadline:
            raise ValueError(
                f"server_patience ({self.server_patience:g} s) must exceed round_deadline "
                f"({self.round_deadline:g} s), or sites give up while the server waits for others"
            )
        return self

    def train(self, node: Node, model: Ref, round_: int) -> Any:
        """The local work of a round, from the model received."""
        return node.compute(
            node.learner.train,
            model,
            epochs=self.local_epochs,
            first_epoch=round_ * self.local_epochs,
            round=round_,
        )


class FedProx(FedAvg):
    """FedAvg whose sites stay near the model received: the loss gains (mu/2)·‖w − w_received‖²."""

    name: Literal["fedprox"] = "fedprox"  # type: ignore[assignment]
    mu: Positive = 0.01

    def train(self, node: Node, model: Ref, round_: int) -> Any:
        """The local work of a round, pulled toward the model received."""
        return node.compute(
            TRAIN_PROX,
            model,
            mu=self.mu,
            epochs=self.local_epochs,
            first_epoch=round_ * self.local_epochs,
            round=round_,
        )


def server(node: Node, cfg: FedAvg) -> Role:
    """Send the model to a cohort, average what comes back; from a cold start or the last durable round."""
    done, model = node.durable.get("round", (0, None))
    if model is None:
        model = yield node.compute(node.learner.init)
    for round_ in range(done, cfg.num_rounds):
        size = max(1, round(cfg.cohort * len(node.sites)))
        cohort = node.common_rng("cohort", round_).choice(node.sites, size=size, replace=False).tolist()
        offers = {name: model if name in cohort else None for name in node.sites}
        welcome(node, offers, round_)
        for name, offer in offers.items():  # one without a model tells a site that the server lives
            node.post(name, "global", offer, round=round_)
        answers = yield from collect(node, cfg, size, round_)
        if len(answers) >= cfg.min_answers:
            names = sorted(answers)
            cases = [node.cases_of[name] if cfg.sender_weights == "cases" else 1 for name in names]
            weights = [count / sum(cases) for count in cases]
            model = yield node.compute(
                MEAN, *(answers[name] for name in names), weights=weights, round=round_
            )
            node.record("aggregated", round=round_, num_answers=len(answers), missing=size - len(answers))
        else:
            node.record("empty_round", round=round_, num_answers=len(answers))
        node.durable["round"] = (round_ + 1, model)
    yield from hand_out(node, cfg, model)


def welcome(node: Node, offers: Mapping[str, Ref | None], round_: int) -> None:
    """Offer the model of the running round to a site that recovers or joins in its midst."""
    node.on("hello", lambda message: node.post(message.src, "global", offers[message.src], round=round_))


def hand_out(node: Node, cfg: FedAvg, model: Ref) -> Generator[Any, Any, None]:
    """Give every site the final model; ask again those that could not be reached, for one deadline."""
    welcome(node, dict.fromkeys(node.sites, model), cfg.num_rounds)
    missing = list(node.sites)
    deadline = node.now + cfg.round_deadline
    while missing:
        sent = {name: node.send(name, "global", model, round=cfg.num_rounds) for name in missing}
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


def collect(node: Node, cfg: FedAvg, expected: int, round_: int) -> Generator[Any, Any, dict[str, Ref]]:
    """Updates of this round by site, until all came or the time is up; late ones are recorded."""
    answers: dict[str, Ref] = {}
    deadline = node.now + cfg.round_deadline
    while len(answers) < expected:
        try:
            message: Message = yield node.receive("update", timeout_s=deadline - node.now)
        except ReceiveTimeout:
            break
        if message.header["round"] != round_:
            node.record("late_update", round=round_, peer=message.src, of_round=message.header["round"])
            continue
        answers[message.src] = message.model
        if cfg.grace is not None and len(answers) == cfg.min_answers:
            deadline = min(deadline, node.now + cfg.grace)
    return answers


def site(node: Node, cfg: FedAvg) -> Role:
    """Train whatever model the server sends, as long as it sends any."""
    model, next_round = node.durable.get("model", (None, 0))
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
        model, round_ = drawn[-1].model, drawn[-1].header["round"]  # a slow site skips to the newest
        if round_ > next_round:  # a restarted server sends its last round's model again
            node.record("round", round=round_ - 1, model=model)
        next_round = round_
        node.durable["model"] = (model, next_round)
        if round_ == cfg.num_rounds:
            return
        yield from answer(node, cfg, model, round_)
    if cfg.when_server_lost == "train_alone" and model is not None:
        yield from train_alone(node, cfg, model, next_round)


def answer(node: Node, cfg: FedAvg, model: Ref, round_: int) -> Generator[Any, Any, None]:
    """Train the model and send the update; one that a crashed server lost is sent again as it was."""
    source, update = node.durable.get("update", (None, None))
    if source != (round_, model.key):
        update = yield cfg.train(node, model, round_)
        node.durable["update"] = ((round_, model.key), update)
    try:
        yield node.send(node.server, "update", update, round=round_)
    except TransferFailed as failure:
        node.record("update_lost", round=round_, reason=failure.reason)


def train_alone(node: Node, cfg: FedAvg, model: Ref, next_round: int) -> Generator[Any, Any, None]:
    """Use up the rest of the budget without the server."""
    for round_ in range(next_round, cfg.num_rounds):
        model = yield cfg.train(node, model, round_)
        node.durable["model"] = (model, round_ + 1)
        node.record("round", round=round_, model=model)


def check(cfg: FedAvg, data: Mapping[str, SiteData], model: ModelSize) -> str:
    """A quorum that no cohort can reach would leave every round empty."""
    size = max(1, round(cfg.cohort * len(data)))
    if cfg.min_answers > size:
        return f"algorithm.min_answers: {cfg.min_answers} exceeds the {size} site(s) of a cohort"
    return ""


FEDAVG = Algorithm(
    settings=FedAvg,
    site=site,
    server=server,
    check=check,
    summary="a server averages the sites' models, weighted by cases",
    source="McMahan et al., AISTATS 2017",
)
FEDPROX = Algorithm(
    settings=FedProx,
    site=site,
    server=server,
    check=check,
    summary="FedAvg with a proximal term that holds sites near the model received",
    source="Li et al., MLSys 2020",
)

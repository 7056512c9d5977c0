"""Hierarchical FedAvg: regions average among themselves, and now and then a server averages regions.

L. Liu, J. Zhang, S. H. Song, K. B. Letaief, "Client-edge-cloud hierarchical federated learning", ICC
2020 (HierFAVG). There the edges are servers; here one site of each region is its edge aggregator, and
who takes over when it dies is ours.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from pydantic import model_validator

from algorithms.common import Count, Steps, fine_tuned, needed, not_outdated, whole_rounds, whose_cases
from algorithms.server_based import Method, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import train
from algorithms.tasks import MEAN
from simulator.api import (
    Algorithm,
    Message,
    ModelSize,
    Node,
    ReceiveTimeout,
    Ref,
    Seconds,
    Settings,
    SiteData,
    TransferFailed,
)


class Region(Settings):
    """Sites that average among themselves at one of them: ``edge``, by default the first listed."""

    sites: tuple[str, ...]
    edge: str | None = None

    @property
    def heirs(self) -> list[str]:
        """Who aggregates, and who takes over in turn."""
        first = self.edge or self.sites[0]
        return [first, *(name for name in self.sites if name != first)]


class Hierarchical(ServerBased):
    """Hierarchical FedAvg: a round has ``edge_rounds`` of ``local_epochs``, each followed by the mean of
    the region; after the last one the server averages regions by the cases that went into them.

    Sites belong to ``regions``; without them, sorted by name, to ``num_regions`` as equal as possible. An
    edge waits for its sites at most ``edge_deadline``. If it gives the server no answer in a round, the
    next site of its region takes over (``when_edge_lost: replace``), or the region stands still until it
    is back (``keep``).
    """

    name: Literal["hierarchical-fedavg"] = "hierarchical-fedavg"
    when_server_lost: Literal["stop", "train_alone"] = "stop"
    edge_rounds: Count = 2
    regions: tuple[Region, ...] = ()
    num_regions: Count = 2
    edge_deadline: Seconds = 1200.0
    when_edge_lost: Literal["replace", "keep"] = "replace"
    sender_weights: Literal["cases"] = "cases"

    @model_validator(mode="after")
    def _in_time(self) -> "Hierarchical":
        if self.cohort != 1:
            raise ValueError("cohort: every region takes part in every round; leave it out")
        if self.prune_after is not None:
            raise ValueError("prune_after: a silent edge has an heir; leave it out, and see when_edge_lost")
        if self.edge_rounds * self.edge_deadline > self.round_deadline:
            raise ValueError(
                f"round_deadline ({self.round_deadline:g} s) must allow {self.edge_rounds} edge rounds of "
                f"edge_deadline ({self.edge_deadline:g} s); write edge_deadline: "
                f"{self.round_deadline / self.edge_rounds:g} s, or a longer round_deadline"
            )
        described = f"{self.edge_rounds} edge rounds of {self.local_epochs} local epochs"
        whole_rounds(self.epochs, self.edge_rounds * self.local_epochs, described)
        return self

    @property
    def num_rounds(self) -> int:
        """Rounds of the server."""
        return self.rounds or (self.epochs or 0) // (self.local_epochs * self.edge_rounds)

    @property
    def num_epochs(self) -> int:
        """Local epochs of a site in all, without fine-tuning."""
        return self.num_rounds * self.edge_rounds * self.local_epochs


def regions_of(node: Node, cfg: Hierarchical) -> list[list[str]]:
    """The sites of each region that take part, the edge first, then its heirs in turn."""
    if cfg.regions:
        listed = [[name for name in region.heirs if name in node.sites] for region in cfg.regions]
        return [names for names in listed if names]
    size, count = len(node.sites), min(cfg.num_regions, len(node.sites))
    return [list(node.sites[size * i // count : size * (i + 1) // count]) for i in range(count)]


# -- the server -------------------------------------------------------------------------------------


def edges(node: Node, cfg: Hierarchical, round_: int) -> list[str]:
    """The edges of a round; one that was silent in the last one has an heir."""
    regions = regions_of(node, cfg)
    now: list[str]
    since, now = node.durable.get("edges", (0, [names[0] for names in regions]))
    if round_ > since and cfg.when_edge_lost == "replace":
        answered = node.durable["answered"]
        for i, names in enumerate(regions):
            if now[i] not in answered:
                heir = names[(names.index(now[i]) + 1) % len(names)]
                node.record("edge_replaced", round=round_, peer=heir, silent=now[i])
                now = [*now[:i], heir, *now[i + 1 :]]
    node.durable["edges"] = (round_, now)
    return now


def average_regions(
    node: Node, cfg: Hierarchical, state: Ref, answers: Mapping[str, Message], round_: int
) -> Steps:
    """The mean of the regions' models, by the cases in them."""
    names = sorted(answers)
    counts = [answers[name].header["num_cases"] for name in names]
    weights = [count / sum(counts) for count in counts]
    return (yield node.compute(MEAN, *(answers[name].model for name in names), weights=weights, round=round_))


# -- a site -----------------------------------------------------------------------------------------


def site(node: Node, cfg: Hierarchical) -> Steps:
    """Do whatever comes: aggregate a region if the server sends a model, train if an edge does."""
    sent_s = 0.0
    if node.now > 0:
        region = next(names for names in regions_of(node, cfg) if node.name in names)
        for other in [node.server, *(name for name in region if name != node.name)]:
            node.post(other, "hello")
    while True:
        try:
            messages = [(yield node.receive("global", timeout_s=cfg.server_patience))]
        except ReceiveTimeout:
            node.record("server_lost", round=node.durable.get("next", 0))
            break
        given = not_outdated(messages + node.drain("global"), sent_s)
        if not given:  # the server lives
            continue
        message, sent_s = given[-1], given[-1].sent_s
        round_ = message.header["round"]
        use(node, message, round_)
        if round_ == cfg.num_rounds:
            return message.model
        if message.src == node.server:
            yield from lead_region(node, cfg, message.model, round_)
        else:
            yield from serve_edge(node, cfg, message)
    if cfg.when_server_lost == "train_alone" and "used" in node.durable:
        yield from train_alone(node, cfg)
    return node.durable.get("used")


def use(node: Node, message: Message, round_: int) -> None:
    """Use what the server averaged in the last round, when it comes first."""
    if round_ > node.durable.get("next", 0) and not message.header.get("edge_round"):
        node.durable["used"] = message.model
        node.record("round", round=round_ - 1, model=message.model)
    node.durable.setdefault("used", message.model)
    node.durable["next"] = round_


def local(node: Node, cfg: Hierarchical, state: Ref, turn: int) -> Steps:
    """The local epochs of an edge round, counted through all rounds."""
    trained = yield from train(node, cfg, state, node.durable.get("own"), turn)
    node.durable["own"] = trained
    return trained


def serve_edge(node: Node, cfg: Hierarchical, message: Message) -> Steps:
    """Train what the edge sent and give it back."""
    round_, edge_round = message.header["round"], message.header["edge_round"]
    update = yield from local(node, cfg, message.model, round_ * cfg.edge_rounds + edge_round)
    try:
        yield node.send(message.src, "update", update, round=round_, edge_round=edge_round)
    except TransferFailed as failure:
        node.record("update_lost", round=round_, peer=message.src, reason=failure.reason)


def lead_region(node: Node, cfg: Hierarchical, state: Ref, round_: int) -> Steps:
    """The edge rounds of a region, then its mean to the server."""
    region = next(names for names in regions_of(node, cfg) if node.name in names)
    others = [name for name in region if name != node.name]
    num_cases, names = node.num_cases, [node.name]
    for edge_round in range(cfg.edge_rounds):
        header = {"round": round_, "edge_round": edge_round}
        welcome(node, state, header)
        sent = {name: node.send(name, "global", state, **header) for name in others}
        own = yield from local(node, cfg, state, round_ * cfg.edge_rounds + edge_round)
        answers = yield from collect_region(node, cfg, sent, round_, edge_round)
        models = {node.name: own, **answers}
        names = sorted(models)
        counts = [node.cases_of[name] for name in names]
        num_cases = sum(counts)
        weights = [count / num_cases for count in counts]
        state = yield node.compute(MEAN, *(models[name] for name in names), weights=weights, round=round_)
        went_in = whose_cases(node, names)
        missing = len(region) - len(names)
        node.record("region_averaged", round=round_, num_answers=len(names), missing=missing, **went_in)
    node.on("hello", lambda message: None)  # this site leads no more
    try:
        yield node.send(node.server, "update", state, round=round_, num_cases=num_cases, sites=names)
    except TransferFailed as failure:
        node.record("update_lost", round=round_, reason=failure.reason)


def welcome(node: Node, state: Ref, header: Mapping[str, int]) -> None:
    """Give the state of the running edge round to a site that recovers or joins in its midst."""
    node.on("hello", lambda message: node.post(message.src, "global", state, **header))


def collect_region(
    node: Node, cfg: Hierarchical, sent: Mapping[str, Any], round_: int, edge_round: int
) -> Steps:
    """Models of this edge round by site, of those that could be reached, until the time is up."""
    deadline = node.now + cfg.edge_deadline
    awaited = set()
    for name, arrival in sent.items():
        try:
            yield arrival
            awaited.add(name)
        except TransferFailed as failure:
            node.record("site_unreachable", round=round_, peer=name, reason=failure.reason)
    answers: dict[str, Ref] = {}
    while awaited - set(answers):
        try:
            message = yield node.receive("update", timeout_s=deadline - node.now)
        except ReceiveTimeout:
            break
        if (message.header["round"], message.header["edge_round"]) == (round_, edge_round):
            answers[message.src] = message.model
        else:
            node.record("late_update", round=round_, peer=message.src, of_round=message.header["round"])
    return answers


def train_alone(node: Node, cfg: Hierarchical) -> Steps:
    """Use up the rest of the budget without server and region."""
    model, next_ = node.durable["used"], node.durable["next"]
    for round_ in range(next_, cfg.num_rounds):
        for edge_round in range(cfg.edge_rounds):
            model = yield from train(node, cfg, model, None, round_ * cfg.edge_rounds + edge_round)
        node.durable["used"], node.durable["next"] = model, round_ + 1
        node.record("round", round=round_, model=model)


def check_regions(cfg: Hierarchical, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """Every site in one region, and edges among their sites."""
    listed = [name for region in cfg.regions for name in region.sites]
    for i, region in enumerate(cfg.regions):
        if not region.sites:
            return f"algorithm.regions.{i}.sites: is empty; list the sites of the region"
        if region.edge is not None and region.edge not in region.sites:
            return f"algorithm.regions.{i}.edge: {region.edge} is not among the sites of its region"
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        return f"algorithm.regions: {', '.join(twice)} is in more than one region"
    left = sorted(set(data) - set(listed))
    if cfg.regions and left:
        return f"algorithm.regions: {', '.join(left)} is in no region"
    count = len(cfg.regions) or min(cfg.num_regions, len(data))
    if not 1 <= needed(cfg.quorum, count) <= count:
        return f"algorithm.quorum: {cfg.quorum} is not between 1 and the {count} region(s)"
    return check(cfg, data, model, task)


METHOD = Method(local=local, aggregate=average_regions, cohort=edges)
HIERARCHICAL = Algorithm(
    settings=Hierarchical,
    site=fine_tuned(site),
    server=partial(server, method=METHOD),
    check=check_regions,
    summary="regions average at one of their sites, and a server averages regions",
    source="Liu et al., ICC 2020 (HierFAVG)",
)

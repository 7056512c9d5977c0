"""Hierarchical FedAvg: regions average among themselves, and now and then a server averages regions.

L. Liu, J. Zhang, S. H. Song, K. B. Letaief, "Client-edge-cloud hierarchical federated learning", ICC
2020 (HierFAVG). There the edges are servers; here one site of each region is its edge aggregator, and
who takes over when it dies is ours.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from algorithms.common import Steps, fine_tuned, not_outdated, whose_cases
from algorithms.hierarchical_regions import Hierarchical, check_regions, regions_of
from algorithms.server_based import Method, server
from algorithms.server_sites import train
from algorithms.tasks import MEAN
from simulator.api import Algorithm, Message, Node, ReceiveTimeout, Ref, TransferFailed

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


METHOD = Method(local=local, aggregate=average_regions, cohort=edges)
HIERARCHICAL = Algorithm(
    settings=Hierarchical,
    site=fine_tuned(site),
    server=partial(server, method=METHOD),
    check=check_regions,
    summary="regions average at one of their sites, and a server averages regions",
    source="Liu et al., ICC 2020 (HierFAVG)",
)

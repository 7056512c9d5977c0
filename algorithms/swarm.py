"""Swarm learning: in every round another site leads, merges what the sites trained, and sends it back.

S. Warnat-Herresthal et al., "Swarm Learning for decentralized and confidential clinical machine
learning", Nature 594, 2021. Who leads, and what happens when a leader dies, is in
:mod:`algorithms.swarm_leaders`; how a site that missed a merge finds the others in
:mod:`algorithms.swarm_contact`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from algorithms.common import Steps, fine_tuned
from algorithms.server_sites import train
from algorithms.swarm_contact import answer_newcomers, close, finish, look_around, send_merge
from algorithms.swarm_leaders import Leading, Round, quorum_of, settle
from algorithms.tasks import BARE, MEAN, mean_cost
from simulator.api import Algorithm, ModelSize, Node, Ref, SiteData, Task


class Swarm(Leading):
    """Swarm learning: FedAvg at a leader drawn anew in every round, alike by all.

    ``merge``: the mean, the coordinate-wise (lower) median, or the geometric median, weighted by cases or
    alike. A site that sees no merge for ``patience`` stops, or trains on alone (``when_swarm_lost``).
    """

    name: Literal["swarm"] = "swarm"
    merge: Literal["mean", "coordinate_median", "geometric_median"] = "mean"
    site_weights: Literal["cases", "uniform"] = "cases"
    when_swarm_lost: Literal["stop", "train_alone"] = "stop"
    optimizer_state: Literal["reset", "persistent"] = "reset"


MEDIAN = Task(
    name="median", function="algorithms.robust_means:median", version=1, cost=mean_cost, stateful=False
)
"""``(*models), weights, kind``."""


def site(node: Node, cfg: Swarm) -> Steps:
    """Train, merge, from a cold start or from the last merge known; return the model used last."""
    answer_newcomers(node)
    done, model = node.durable.get("round", (0, None))
    if model is None:
        model = yield node.compute(node.learner.init)
    if node.now > 0:
        if done - 1 in node.durable.get("led", ()):  # it may have crashed before all had the merge
            send_merge(node, model, done - 1)
        done, model = yield from look_around(node, cfg.answer_timeout, done, model)
        for name in node.sites:  # what a leader had collected was lost in its crash
            if name != node.name:
                node.post(name, "again?")
    while done < cfg.num_rounds:
        own = node.durable.get("own")
        trained = yield from train(node, cfg, model, own, done)
        node.durable["own"] = trained
        # without its optimizer: the same thing whoever leads
        bare = yield node.compute(BARE, trained)
        merged = yield from settle(node, cfg, Round(number=done, own=bare), merge)
        if merged is None:
            node.record("swarm_lost", round=done)
            if cfg.when_swarm_lost == "train_alone":
                model = yield from finish_alone(node, cfg, trained, done)
            break
        done, model = merged
        finish(node, done, model)
    close(node)
    return model


def finish_alone(node: Node, cfg: Swarm, model: Ref, done: int) -> Steps:
    """Use up the budget without the swarm; the round in progress is trained already."""
    for round_ in range(done, cfg.num_rounds):
        if round_ > done:
            model = yield from train(node, cfg, model, None, round_)
        finish(node, round_ + 1, model)
    return model


def merge(node: Node, cfg: Swarm, names: Sequence[str], models: Sequence[Ref], round_: int) -> Steps:
    """The mean or median of the models of these sites, in the order of their names."""
    counts = [node.cases_of[name] if cfg.site_weights == "cases" else 1 for name in names]
    weights = [count / sum(counts) for count in counts]
    if cfg.merge == "mean":
        return (yield node.compute(MEAN, *models, weights=weights, round=round_))
    return (yield node.compute(MEDIAN, *models, weights=weights, kind=cfg.merge, round=round_))


def check(cfg: Swarm, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """A quorum that the sites can reach."""
    if not 1 <= quorum_of(cfg, len(data)) <= len(data):
        return f"algorithm.quorum: {cfg.quorum} is not between 1 and the {len(data)} site(s)"
    return ""


SWARM = Algorithm(
    settings=Swarm,
    site=fine_tuned(site),
    check=check,
    summary="FedAvg, or medians, at a leader drawn anew in every round",
    source="Warnat-Herresthal et al., Nature 2021; the election is ours",
)

"""Swarm learning: in every round another site leads, merges what the sites trained, and sends it back.

S. Warnat-Herresthal et al., "Swarm Learning for decentralized and confidential clinical machine
learning", Nature 594, 2021. The product is closed source; the election is ours, and so are the
messages by which a site that missed a merge finds the others again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import model_validator

from algorithms.common import Exchanging, Quorum, Steps, fine_tuned, needed, whose_cases
from algorithms.server_sites import train
from algorithms.swarm_contact import answer_newcomers, close, finish, look_around, send_merge, tell_merge
from algorithms.tasks import BARE, MEAN, mean_cost
from simulator.api import (
    Algorithm,
    Message,
    ModelSize,
    Node,
    ReceiveTimeout,
    Ref,
    Seconds,
    SiteData,
    Task,
    TransferFailed,
)


class Swarm(Exchanging):
    """Swarm learning: FedAvg at a leader drawn anew in every round, alike by all.

    The leader waits for the others until ``merge_deadline`` after it began, or until ``grace`` after
    ``quorum`` sites (itself among them) are in; by default the quorum is more than half, which keeps two
    parts of a divided swarm from merging apart. If nothing comes from a leader for ``leader_timeout``, or
    it cannot be reached, the next one drawn takes over. A site that sees no merge for ``patience`` gives
    up: it stops, or trains on alone. ``merge``: the mean, the coordinate-wise (lower) median, or the
    geometric median, weighted by cases or alike.
    """

    name: Literal["swarm"] = "swarm"
    merge: Literal["mean", "coordinate_median", "geometric_median"] = "mean"
    site_weights: Literal["cases", "uniform"] = "cases"
    quorum: Quorum | None = None
    merge_deadline: Seconds = 3600.0
    grace: Seconds | None = None
    leader_timeout: Seconds = 7200.0
    patience: Seconds = 28800.0
    when_swarm_lost: Literal["stop", "train_alone"] = "stop"
    answer_timeout: Seconds = 60.0
    optimizer_state: Literal["reset", "persistent"] = "reset"

    @model_validator(mode="after")
    def _patient(self) -> "Swarm":
        if not self.merge_deadline < self.leader_timeout < self.patience:
            raise ValueError(
                f"merge_deadline ({self.merge_deadline:g} s) < leader_timeout ({self.leader_timeout:g} s) < "
                f"patience ({self.patience:g} s) must hold, or sites give up while others still wait"
            )
        return self


MEDIAN = Task(
    name="median", function="algorithms.robust_means:median", version=1, cost=mean_cost, stateful=False
)
"""``(*models), weights, kind``."""


@dataclass(slots=True, kw_only=True)
class Round:
    """What a site knows in a round: its own model and those that came to it as a leader."""

    number: int
    own: Ref
    updates: dict[str, Ref] = field(default_factory=dict)


def quorum_of(cfg: Swarm, num_sites: int) -> int:
    """Sites without which there is no merge."""
    return num_sites // 2 + 1 if cfg.quorum is None else needed(cfg.quorum, num_sites)


def leader_of(node: Node, round_: int, attempt: int) -> str:
    """Whoever leads in a round: all sites in the order drawn, over again."""
    order = node.common_rng("leader", round_).permutation(node.sites).tolist()
    return str(order[attempt % len(order)])


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
        merged = yield from settle(node, cfg, Round(number=done, own=bare))
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


# -- a merge -----------------------------------------------------------------------------------------


def settle(node: Node, cfg: Swarm, now: Round) -> Steps:
    """Follow one leader after the other, or lead, until there is a merge; the next round and its model,
    or None when patience ends.
    """
    since = node.durable.setdefault("waiting_since", {}).setdefault(now.number, node.now)
    end, attempt = since + cfg.patience, 0
    while node.now < end:
        leader = leader_of(node, now.number, attempt)
        if leader == node.name:
            merged = yield from lead(node, cfg, now, end)
        else:
            merged = yield from follow(node, cfg, now, leader, attempt, end)
        if merged is not None:
            return merged
        attempt += 1
        node.record("next_leader", round=now.number, peer=leader_of(node, now.number, attempt))
        if attempt % len(node.sites) == 0:  # all were asked in vain
            yield node.sleep(min(cfg.answer_timeout, end - node.now))
    return None


def hear(node: Node, now: Round, message: Message) -> tuple[int, Ref] | None:
    """Take in what came: the next round and its model if that was a merge, new to this site."""
    header = message.header
    if header["merged"]:
        is_new = message.ref is not None and header["round"] >= now.number
        return (header["round"] + 1, message.model) if is_new else None
    if header["round"] == now.number:
        now.updates[message.src] = message.model
    elif header["round"] > now.number:  # this site missed a merge
        node.post(message.src, "merge?")
    elif header["attempt"] or header["round"] not in node.durable.get("led", ()):
        tell_merge(node, message.src)  # else the merge is on its way already
    return None


def follow(node: Node, cfg: Swarm, now: Round, leader: str, attempt: int, end: float) -> Steps:
    """Send the model to a leader and wait for its merge; None if that fails."""
    header = {"round": now.number, "merged": False, "attempt": attempt}
    node.durable["following"] = (leader, now.own, header)
    try:
        yield node.send(leader, "swarm", now.own, **header)
    except TransferFailed as failure:
        node.record("leader_unreachable", round=now.number, peer=leader, reason=failure.reason)
        return None
    deadline = min(node.now + cfg.leader_timeout, end)
    while True:
        try:
            message = yield node.receive("swarm", timeout_s=deadline - node.now)
        except ReceiveTimeout:
            node.record("leader_silent", round=now.number, peer=leader)
            return None
        merged = hear(node, now, message)
        if merged is not None:
            for peer in sorted(now.updates):  # they took this site for the leader
                node.post(peer, "swarm", merged[1], round=merged[0] - 1, merged=True)
            return merged


def lead(node: Node, cfg: Swarm, now: Round, end: float) -> Steps:
    """Collect the others' models, merge, and send the merge to all; None without a quorum."""
    others = [name for name in node.sites if name != node.name]
    quorum = quorum_of(cfg, len(node.sites))
    deadline = min(node.now + cfg.merge_deadline, end)
    is_urgent = False
    while len(now.updates) < len(others):
        if cfg.grace is not None and len(now.updates) + 1 >= quorum and not is_urgent:
            deadline, is_urgent = min(deadline, node.now + cfg.grace), True
        try:
            message = yield node.receive("swarm", timeout_s=deadline - node.now)
        except ReceiveTimeout:
            break
        merged = hear(node, now, message)
        if merged is not None:
            return merged
    count = len(now.updates) + 1
    if count < quorum:
        node.record("no_quorum", round=now.number, num_answers=count)
        return None
    model = yield from merge(node, cfg, now)
    node.durable["led"] = (*node.durable.get("led", ()), now.number)
    closed_by = "all" if count == len(node.sites) else "grace" if is_urgent else "deadline"
    account = whose_cases(node, [node.name, *now.updates])
    missing = len(node.sites) - count
    node.record(
        "aggregated", round=now.number, num_answers=count, missing=missing, closed_by=closed_by, **account
    )
    send_merge(node, model, now.number)
    return now.number + 1, model


def merge(node: Node, cfg: Swarm, now: Round) -> Steps:
    """The mean or median of the models there are, in the order of their sites."""
    models = {node.name: now.own} | now.updates
    names = sorted(models)
    counts = [node.cases_of[name] if cfg.site_weights == "cases" else 1 for name in names]
    weights = [count / sum(counts) for count in counts]
    refs = [models[name] for name in names]
    if cfg.merge == "mean":
        return (yield node.compute(MEAN, *refs, weights=weights, round=now.number))
    return (yield node.compute(MEDIAN, *refs, weights=weights, kind=cfg.merge, round=now.number))


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

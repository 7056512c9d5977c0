"""Who merges in a swarm: leaders drawn alike by all, followed in turn until one of them has merged.

The product is closed source; the election is ours, and so is what happens when a leader dies.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import model_validator

from algorithms.common import Exchanging, Quorum, Steps, needed, whose_cases
from algorithms.swarm_contact import send_merge, tell_merge
from simulator.api import Message, Node, ReceiveTimeout, Ref, Seconds, TransferFailed


class Leading(Exchanging):
    """Settings of a merge.

    The leader waits for the others until ``merge_deadline`` after it began, or until ``grace`` after
    ``quorum`` sites (itself among them) are in; by default the quorum is more than half, which keeps two
    parts of a divided swarm from merging apart. If nothing comes from a leader for ``leader_timeout``, or
    it cannot be reached, the next one drawn takes over. A site that sees no merge for ``patience`` gives
    up. Who returns asks the others for their last merge, each for ``answer_timeout``.
    """

    quorum: Quorum | None = None
    merge_deadline: Seconds = 3600.0
    grace: Seconds | None = None
    leader_timeout: Seconds = 7200.0
    patience: Seconds = 28800.0
    answer_timeout: Seconds = 60.0

    @model_validator(mode="after")
    def _patient(self) -> "Leading":
        if not self.merge_deadline < self.leader_timeout < self.patience:
            raise ValueError(
                f"merge_deadline ({self.merge_deadline:g} s) < leader_timeout ({self.leader_timeout:g} s) < "
                f"patience ({self.patience:g} s) must hold, or sites give up while others still wait"
            )
        return self


Merge = Callable[..., Steps]
"""``merge(node, cfg, names, models, round_)`` gives one model of those of several sites."""


@dataclass(slots=True, kw_only=True)
class Round:
    """What a site knows in a round: its own model and those that came to it as a leader."""

    number: int
    own: Ref
    updates: dict[str, Ref] = field(default_factory=dict)


def quorum_of(cfg: Leading, num_sites: int) -> int:
    """Sites without which there is no merge."""
    return num_sites // 2 + 1 if cfg.quorum is None else needed(cfg.quorum, num_sites)


def leader_of(node: Node, round_: int, attempt: int) -> str:
    """Whoever leads in a round: all sites in the order drawn, over again."""
    order = node.common_rng("leader", round_).permutation(node.sites).tolist()
    return str(order[attempt % len(order)])


def settle(node: Node, cfg: Leading, now: Round, merge: Merge) -> Steps:
    """Follow one leader after the other, or lead, until there is a merge; the next round and its model,
    or None when patience ends.
    """
    since = node.durable.setdefault("waiting_since", {}).setdefault(now.number, node.now)
    end, attempt = since + cfg.patience, 0
    while node.now < end:
        leader = leader_of(node, now.number, attempt)
        if leader == node.name:
            merged = yield from lead(node, cfg, now, end, merge)
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


def follow(node: Node, cfg: Leading, now: Round, leader: str, attempt: int, end: float) -> Steps:
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


def lead(node: Node, cfg: Leading, now: Round, end: float, merge: Merge) -> Steps:
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
    models = {node.name: now.own} | now.updates
    names = sorted(models)
    model = yield from merge(node, cfg, names, [models[name] for name in names], now.number)
    node.durable["led"] = (*node.durable.get("led", ()), now.number)
    closed_by = "all" if count == len(node.sites) else "grace" if is_urgent else "deadline"
    account = whose_cases(node, names)
    missing = len(node.sites) - count
    node.record(
        "aggregated", round=now.number, num_answers=count, missing=missing, closed_by=closed_by, **account
    )
    send_merge(node, model, now.number)
    return now.number + 1, model

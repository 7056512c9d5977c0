"""Whom a server asks in a round, and how long it waits for which answers.

More sites are asked than needed as in K. Bonawitz et al., "Towards federated learning at scale: system
design", MLSys 2019 (130 % there).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

from algorithms.common import Steps, whose_cases
from algorithms.server_policies import ServerBased
from simulator.api import Message, Node, ReceiveTimeout


def listed(node: Node, cfg: ServerBased) -> list[str]:
    """The sites that are not pruned; all of them if all are."""
    silent = node.durable.get("silent", {})
    kept = [name for name in node.sites if not _is_pruned(cfg, silent.get(name, 0))]
    return kept or list(node.sites)


def drawn_cohort(node: Node, cfg: ServerBased, round_: int) -> list[str]:
    """The sites asked in a round, drawn uniformly."""
    names = listed(node, cfg)
    size = min(len(names), ceil(cfg.over_selection * cfg.cohort_size(len(names)) - 1e-9))
    drawn = node.common_rng("cohort", round_).choice(len(names), size=size, replace=False)
    return [names[place] for place in drawn.tolist()]


def _is_pruned(cfg: ServerBased, silent_rounds: int) -> bool:
    return cfg.prune_after is not None and silent_rounds >= cfg.prune_after


def heard_of(node: Node, cfg: ServerBased, name: str) -> None:
    """A site that gives a sign of life is asked again from the next round on."""
    silent = node.durable.get("silent", {})
    if _is_pruned(cfg, silent.get(name, 0)):
        node.record("readmitted", peer=name)
    if silent.get(name):  # what is durable is sent to a standby: it changes only with what happens
        node.durable["silent"] = {**silent, name: 0}


def note_silence(node: Node, cfg: ServerBased, asked: Collection[str], heard: Collection[str]) -> None:
    """Count the rounds in a row in which nothing came from a site; leave it out when they are enough."""
    before = silent = node.durable.get("silent", {})
    for name in sorted(set(asked) - set(heard)):
        silent = {**silent, name: silent.get(name, 0) + 1}
        if silent[name] == cfg.prune_after:
            node.record("pruned", peer=name, silent_rounds=silent[name])
    if silent != before:
        node.durable["silent"] = silent


# -- how long it waits -------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Collected:
    """What came in a round: ``answers`` to it and, where they are accepted, ``late`` ones to earlier
    rounds, by site; and why the server waits no longer: "all" came, "enough" did although more were
    asked, the "deadline" or the "grace" is over, or another leads now ("superseded").
    """

    answers: dict[str, Message]
    late: dict[str, Message] = field(default_factory=dict)
    closed_by: Literal["all", "enough", "deadline", "grace", "superseded"] = "all"

    @property
    def used(self) -> dict[str, Message]:
        """The newest answer of every site that gave one."""
        return {**self.late, **self.answers}

    def account(self, node: Node, cfg: ServerBased, num_wanted: int) -> dict[str, Any]:
        """What the record of a round says of it: whose data went in, and what share of all cases."""
        names = [name for site, one in self.used.items() for name in one.header.get("sites", [site])]
        apart = {
            "late": sorted(self.late.keys() - self.answers.keys()),
            "pruned": sorted(set(node.sites) - set(listed(node, cfg))),
        }
        return {
            "num_answers": len(self.used),
            "missing": num_wanted - len(self.answers),
            "closed_by": self.closed_by,
            **whose_cases(node, names),
            **{key: value for key, value in apart.items() if value},
        }


def collect(
    node: Node,
    cfg: ServerBased,
    asked: Collection[str],
    num_wanted: int,
    round_: int,
    own: Mapping[str, Message],
) -> Steps:
    """Answers of this round (beside the ``own`` one of a site that leads) until they are enough or the
    time is up, as :class:`Collected`.
    """
    got, deadline, heard = Collected(answers=dict(own)), node.now + cfg.round_deadline, set(own)
    in_grace = False
    while len(got.answers) < num_wanted:
        if cfg.grace is not None and not in_grace and len(got.answers) >= cfg.answers_needed(num_wanted):
            in_grace = node.now + cfg.grace < deadline
            deadline = min(deadline, node.now + cfg.grace)
        last = max(deadline + cfg.site_grace.get(name, 0.0) for name in asked if name not in got.answers)
        try:
            message: Message = yield node.receive("update", timeout_s=last - node.now)
        except ReceiveTimeout:
            got.closed_by = "grace" if in_grace else "deadline"
            break
        if message.ref is None:  # from a site that serves another
            got.closed_by = "superseded"
            return got
        heard_of(node, cfg, message.src)
        heard.add(message.src)
        if message.header["round"] == round_:
            got.answers[message.src] = message
        else:
            take_late(node, cfg, got, message, round_)
    else:
        got.closed_by = "enough" if num_wanted < len(asked) else "all"
    note_silence(node, cfg, asked, heard)
    return got


def take_late(node: Node, cfg: ServerBased, got: Collected, message: Message, round_: int) -> None:
    """An update of a round that is over; the newest of a site is the last to come."""
    accepted = cfg.late_updates == "accept"
    if accepted:
        got.late[message.src] = message
    used: dict[str, Any] = {"accepted": True} if accepted else {}
    node.record("late_update", round=round_, peer=message.src, of_round=message.header["round"], **used)

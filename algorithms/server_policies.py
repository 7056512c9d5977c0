"""How patient a server is: whom it asks, how long it waits, what a round needs, who is left out.

The settings of all methods with rounds and a server, and the part of a round in which the server waits.
More is asked than needed as in K. Bonawitz et al., "Towards federated learning at scale: system design",
MLSys 2019 (130 % there).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from algorithms.common import Count, Exchanging, Quorum, Share, Steps, needed, whose_cases
from algorithms.defenses import Defended, too_few
from simulator.api import Message, ModelSize, Node, ReceiveTimeout, Seconds, SiteData


class WithServer(Exchanging):
    """What sites do when their server is gone.

    A site that hears nothing for ``server_patience`` keeps its last model and stops, trains on alone,
    goes on by gossip averaging with its peers, or has a successor elected among the sites: whoever has
    the newest state, the first by name of these. Candidates have ``election_timeout`` to answer.
    """

    server_patience: Seconds = 7200.0
    when_server_lost: Literal["stop", "train_alone", "gossip", "elect"] = "stop"
    election_timeout: Seconds = 60.0

    @model_validator(mode="after")
    def _elects(self) -> "WithServer":
        usual = type(self).model_fields["election_timeout"].default
        if self.election_timeout != usual and self.when_server_lost != "elect":
            raise ValueError("election_timeout: nobody is elected; write when_server_lost: elect")
        return self


class ServerBased(WithServer):
    """Settings of rounds with a server.

    A round is one download and one upload per site of the cohort; after the last round every site
    downloads the final state. ``cohort`` is the share of sites whose answers are wanted in a round;
    ``over_selection`` times as many are asked, and the first count. The server waits for answers until
    ``round_deadline`` after it sent its state, or until ``grace`` after the ``quorum`` came, whichever
    is first (no ``grace``: it waits for all), and ``site_grace`` longer for the sites named there. With
    fewer than the ``quorum`` the state stays as it is and the round is recorded as empty. Updates that
    come after their round are discarded; with ``late_updates: accept`` the newest counts for a site
    that gives no newer one, but for no quorum. A site from which nothing came for ``prune_after`` rounds
    in a row is asked no more, until it is heard of again. Answers are weighted by training cases, by
    optimizer steps of the round, or alike. Sites start each round with a fresh optimizer, or go on with
    their own (``optimizer_state: persistent``).
    """

    cohort: Share = 1.0
    over_selection: Annotated[float, Field(ge=1)] = 1.0
    sender_weights: Literal["cases", "steps", "uniform"] = "cases"
    round_deadline: Seconds = 3600.0
    quorum: Quorum = 1
    grace: Seconds | None = None
    site_grace: Mapping[str, Seconds] = Field(default_factory=dict)
    late_updates: Literal["discard", "accept"] = "discard"
    prune_after: Count | None = None
    optimizer_state: Literal["reset", "persistent"] = "reset"

    def answers_needed(self, num_wanted: int) -> int:
        """Answers without which a round counts for nothing, of those wanted."""
        return max(1, needed(self.quorum, num_wanted))

    def cohort_size(self, num_listed: int) -> int:
        """How many answers are wanted from so many sites."""
        return max(1, round(self.cohort * num_listed))

    @model_validator(mode="after")
    def _patient(self) -> "ServerBased":
        longest = self.round_deadline + max(self.site_grace.values(), default=0.0)
        if self.server_patience <= longest:
            raise ValueError(
                f"server_patience ({self.server_patience:g} s) must exceed round_deadline and site_grace "
                f"({longest:g} s), or sites give up while the server waits for others"
            )
        return self

    @model_validator(mode="after")
    def _useful(self) -> "ServerBased":
        if self.over_selection > 1 and self.cohort == 1:
            raise ValueError(
                "over_selection: all sites are in the cohort, there is nobody more; lower cohort"
            )
        return self


def check(cfg: ServerBased, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """A quorum that a cohort can reach, and sites that exist."""
    size = cfg.cohort_size(len(data))
    if not 1 <= needed(cfg.quorum, size) <= size:
        return f"algorithm.quorum: {cfg.quorum} is not between 1 and the {size} site(s) of a cohort"
    unknown = sorted(set(cfg.site_grace) - set(data))
    if unknown:
        return f"algorithm.site_grace: no site {unknown[0]} takes part; there are {', '.join(sorted(data))}"
    return too_few(cfg.defense, size) if isinstance(cfg, Defended) else ""


# -- whom the server asks ----------------------------------------------------------------------------


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

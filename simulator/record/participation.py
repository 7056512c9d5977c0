"""Whose data went into the model: what rounds of a server or a leader say of themselves in the trace."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Event = tuple[Any, ...]
"""A row of the table ``events``: seq, time_s, node, event, round, peer, detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """A round that made a new model of what sites trained.

    Attributes:
        closed_by: why the server waited no longer: "all" came, "enough" although more were asked, its
            "deadline" or its "grace" after the quorum was over.
        missing: answers that it went on without.
        sites: whose data went in.
        cases_share: their share of all training cases.
        pruned: who is not asked any more.
    """

    time_s: float
    node: str
    round: int
    closed_by: str
    missing: int
    sites: tuple[str, ...]
    cases_share: float
    pruned: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A site that began late: when, with what (``start``), and the bytes of the model given to it."""

    time_s: float
    site: str
    start: str
    giver: str | None
    nbytes: int


def aggregations(events: Iterable[Event]) -> list[Aggregation]:
    """The rounds that ended with a new model, in order of time."""
    return [
        Aggregation(
            time_s=row[1],
            node=row[2],
            round=row[4],
            closed_by=told["closed_by"],
            missing=told["missing"],
            sites=tuple(told["sites"]),
            cases_share=told["cases_share"],
            pruned=tuple(told.get("pruned", ())),
        )
        for row in events
        if row[3] == "aggregated"
        for told in (json.loads(row[6]),)
        if "closed_by" in told  # runs of earlier versions do not say
    ]


def rounds_with(found: Sequence[Aggregation], sites: Sequence[str]) -> dict[str, float]:
    """The share of these rounds into which each site's data went; none without rounds."""
    return {
        site: sum(site in one.sites for one in found) / len(found) for site in sorted(sites) if len(found)
    }


def newcomers(events: Iterable[Event], transfers: Iterable[Sequence[Any]]) -> list[Newcomer]:
    """Sites that began late. ``transfers`` are rows of that table; what a newcomer was given is the last
    model that had arrived from its giver by then.
    """
    arrived = [row for row in transfers if not row[6] and row[11] == "delivered"]
    found = []
    for row in events:
        if row[3] == "newcomer":
            machine = (row[5] or "").rpartition("@")[2]  # of server@north: transfers name machines
            given = [
                one for one in arrived if one[3] == row[2] and one[2] == machine and one[10] <= row[1] + 1e-9
            ]
            nbytes = max(given, key=lambda one: float(one[10]))[8] if given else 0
            start = json.loads(row[6])["start"]
            found.append(Newcomer(time_s=row[1], site=row[2], start=start, giver=row[5], nbytes=nbytes))
    return found


def remarks(events: Sequence[Event], sites: Sequence[str]) -> list[str]:
    """What a success that trained on a part of the data must say, in sentences; none if all that were asked
    answered.
    """
    found = aggregations(events)
    partial = [one for one in found if one.cases_share < 1 and (one.closed_by != "all" or one.pruned)]
    if not partial:
        return []
    least = min(one.cases_share for one in partial)
    mean = sum(one.cases_share for one in found) / len(found)
    shares = rounds_with(found, sites)
    fewest = min(shares, key=lambda site: (shares[site], site))
    reasons = {one.closed_by for one in partial if one.closed_by != "all"}
    reasons |= {f"{name} pruned" for one in partial for name in one.pruned}
    why = ", ".join(sorted(reasons))
    return [
        f"{len(partial)} of {len(found)} rounds trained on a part of the data ({why}): "
        f"{_percent(mean)} of the training cases on average, {_percent(least)} at least; "
        f"{fewest} was in {_percent(shares[fewest])} of the rounds"
    ]


def unusable(skipped: Sequence[Sequence[Any]]) -> list[str]:
    """Say that cases were skipped, with the first one's reason; nothing if none was.

    ``skipped`` are rows of the table ``skipped_cases``: site, case, reason.
    """
    if not skipped:
        return []
    site, case, reason = skipped[0]
    return [f"{len(skipped)} case(s) skipped, the first {case} of {site}: {reason}; the report lists them"]


def _percent(share: float) -> str:
    """Whole percents, but never 100 for less than all."""
    text = f"{share:.0%}"
    return text if share == 1 or text != "100%" else "over 99%"

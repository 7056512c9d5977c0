"""How far completion times are from a reference, by kind of case: the accuracy table.

Whose times: a tier of ours, or the column of another system. Scored are, as relative errors, every
flow (twins matched by rank), each case's mean and its makespan. Where chance decides, times are the
means by rank over several seeds, as the references are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil, floor, inf, sqrt
from statistics import fmean, median, stdev
from typing import Any

from simulator.network.cases import (
    Case,
    Errors,
    compare,
    interchangeable,
    makespan,
    matched,
    predict,
    scored,
)

KINDS: dict[str, str] = {
    "single": "one flow, lossless",
    "several": "several flows, lossless",
    "loss": "with loss",
    "outage": "outages",
    "trace": "links that change",
}
"""Kinds of cases and what they are called."""
MEASURES = ("flow", "mean", "makespan")
"""What is scored: every flow, a case's mean, its makespan."""
RUNS = (5, 60)
"""Of a case in which chance decides: at least and at most."""
SETTLED = 0.03
"""Relative standard error with which a mean of runs is known well enough."""

Predictor = Callable[[Case], Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A case with its errors; ``flows`` are (flow, predicted seconds, reference seconds)."""

    case: str
    group: str
    kind: str
    errors: Errors
    flows: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, 90th percentile and largest of relative errors."""

    median: float
    p90: float
    max: float


def kind_of(case: Case) -> str:
    """Return the kind of a case, a key of :data:`KINDS`, by what is in it."""
    if case["events"]:
        cut = any(event["kind"] in {"down", "up"} for event in case["events"])
        return "outage" if cut else "trace"
    if any(link["loss"] > 0 for link in case["topology"]["links"]):
        return "loss"
    return "single" if len(case["flows"]) == 1 else "several"


def by_tier(tier: str, *, seeds: int | None = None) -> Predictor:
    """Return what predicts with a tier of ours; where chance decides, with the mean of ``seeds`` runs, by
    default of :data:`RUNS`, as many as it takes until mean and makespan are known to :data:`SETTLED`.
    """
    least, most = RUNS if seeds is None else (seeds, seeds)

    def times(case: Case) -> list[float]:
        drawn: set[str] = set()
        runs = [predict(case, seed=1, tier=tier, drawn=drawn)]
        while drawn and (len(runs) < least or (len(runs) < most and uncertainty(case, runs) > SETTLED)):
            runs.append(predict(case, seed=len(runs) + 1, tier=tier))
        place = {flow: number for number, flow in enumerate(scored(case))}
        mean = [0.0] * len(place)
        for twins in interchangeable(case):
            ranks = zip(*(sorted(run[place[i]] for i in twins) for run in runs), strict=True)
            for flow, rank in zip(twins, ranks, strict=True):
                mean[place[flow]] = fmean(rank)
        return mean

    return times


def uncertainty(case: Case, runs: Sequence[Sequence[float]]) -> float:
    """Return the relative standard error of the mean of runs: of a case's mean or of its makespan, of
    that which is known worse; ``inf`` if a flow does not end.
    """
    worst = 0.0
    for values in ([fmean(run) for run in runs], [makespan(case, run) for run in runs]):
        if inf in values:
            return inf
        worst = max(worst, stdev(values) / sqrt(len(values)) / fmean(values))
    return worst


def by_column(system: str) -> Predictor:
    """Return what reads the column of another system."""
    return lambda case: [case["reference"][system][i] for i in scored(case)]


def score(case: Case, predictor: Predictor, against: str) -> Score:
    """Score a case against the column of a system."""
    times = predictor(case)
    return Score(
        case=case["id"],
        group=case["group"],
        kind=kind_of(case),
        errors=compare(case, times, against),
        flows=tuple(matched(case, times, against)),
    )


def obstacle(case: Case, systems: Iterable[str], against: str) -> str:
    """Return why a case cannot be scored with these columns, or an empty text."""
    if against.startswith("simgrid") and case["events"]:
        return f"{against} is a reference for cases without events only"
    for column in (*systems, against):
        seconds = case["reference"].get(column)
        if seconds is None:
            return f"it has no column {column}"
        late = [i for i in scored(case) if seconds[i] is None or seconds[i] <= 0]
        if late:
            return f"{column} has no time for its flow {late[0]}"
    return ""


def summarize(scores: Sequence[Score]) -> dict[str, Spread]:
    """Return the spread of errors by measure; flows of all cases together."""
    errors = [one.errors for one in scores]
    return {
        "flow": spread([error for one in errors for error in one.flows]),
        "mean": spread([one.mean for one in errors]),
        "makespan": spread([one.makespan for one in errors]),
    }


def spread(errors: Sequence[float]) -> Spread:
    """Return how errors are spread; the percentile lies between two ranks where there is none."""
    ranked = sorted(errors)
    place = 0.9 * (len(ranked) - 1)
    low, high = ranked[floor(place)], ranked[ceil(place)]
    p90 = low + (place - floor(place)) * (high - low) if high < inf else high
    return Spread(median=median(ranked), p90=p90, max=ranked[-1])


def parts(scores: Sequence[Score]) -> dict[tuple[str, str], list[Score]]:
    """Return the scores by (``"group"``, name), then by (``"kind"``, name), and all of them."""
    found: dict[tuple[str, str], list[Score]] = {}
    for one in scores:
        found.setdefault(("group", one.group), []).append(one)
    for kind in KINDS:
        some = [one for one in scores if one.kind == kind]
        if some:
            found["kind", kind] = some
    if scores:
        found["all", "all"] = list(scores)
    return found


def as_json(scores: Sequence[Score]) -> dict[str, Any]:
    """Return everything as JSON; an infinite error is null."""
    return {
        "summary": [
            {"of": of, "name": name, **_counts(some), "errors": _spreads(summarize(some))}
            for (of, name), some in parts(scores).items()
        ],
        "cases": [
            {
                "id": one.case,
                "group": one.group,
                "kind": one.kind,
                "mean_error": _finite(one.errors.mean),
                "makespan_error": _finite(one.errors.makespan),
                "flows": [
                    {"flow": i, "predicted_s": _finite(a), "reference_s": b, "error": _finite(abs(a / b - 1))}
                    for i, a, b in one.flows
                ],
            }
            for one in scores
        ],
    }


def _counts(scores: Sequence[Score]) -> Mapping[str, int]:
    return {"num_cases": len(scores), "num_flows": sum(len(one.flows) for one in scores)}


def _spreads(found: Mapping[str, Spread]) -> dict[str, Any]:
    return {
        name: {which: _finite(value) for which, value in asdict(spread).items()}
        for name, spread in found.items()
    }


def _finite(value: float) -> float | None:
    return value if value < inf else None

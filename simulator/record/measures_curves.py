"""Dice against what it cost: curves of one run, time- and bytes-to-target, and bands over seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from simulator.record.measures import busiest_link
from simulator.record.measures_dice import site_scores
from simulator.record.measures_run import Run, remembered
from simulator.statistics.intervals import SHARE, Kind, bounds
from simulator.statistics.survival import Survival, kaplan_meier

Cost = Literal["time_s", "carried_nbytes", "busiest_nbytes", "round"]
Score = Literal["dice_mean", "dice_worst"]
COSTS: tuple[Cost, ...] = get_args(Cost)

_SCHEMA = {
    "time_s": pl.Float64,
    "round": pl.Float64,
    "num_sites": pl.Int64,
    "dice_mean": pl.Float64,
    "dice_worst": pl.Float64,
    "carried_nbytes": pl.Int64,
    "busiest_nbytes": pl.Int64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Mean over ``count`` repetitions at each ``x``, with 95 % bounds (equal to it for a single one)."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: int
    kind: Kind | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """When a run first had the target, or how far it got without it (censored).

    ``at`` is None if the target was never reached; then ``until`` is the cost at the run's end.
    """

    at: float | None
    until: float


@remembered
def curve(run: Run, *, split: str = "test") -> pl.DataFrame:
    """Return mean and worst-site Dice over time with the cost until then.

    At each instant every site counts with the model that it had then (its last one if it has
    stopped). The curve begins when all sites have been evaluated once; sites that join by a fault
    are not waited for and enter with their first model.

    Returns:
        columns ``time_s, round`` (mean of the sites' last rounds)``, num_sites, dice_mean,
        dice_worst, carried_nbytes`` (model bytes of transfers ended by then)``, busiest_nbytes``
        (those on the run's busiest link); no rows if nothing was evaluated.
    """
    scores = site_scores(run, selection="round", split=split)
    if scores.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    rows = []
    state: dict[str, dict[str, Any]] = {}
    awaited = set(scores["site"]) - _late_joiners(run)
    for time_s, group in groupby(scores.iter_rows(named=True), key=itemgetter("time_s")):
        state |= {row["site"]: row for row in group}
        if awaited <= state.keys():
            dice = [state[site]["dice"] for site in sorted(state)]
            rounds = math.fsum(row["round"] for row in state.values()) / len(state)
            rows.append((time_s, rounds, len(state), math.fsum(dice) / len(dice), min(dice)))
    columns = ["time_s", "round", "num_sites", "dice_mean", "dice_worst"]
    frame = pl.DataFrame(rows, schema={name: _SCHEMA[name] for name in columns}, orient="row")
    return frame.join_asof(spent(run), on="time_s").with_columns(
        pl.col("carried_nbytes", "busiest_nbytes").fill_null(0)
    )


@remembered
def spent(run: Run) -> pl.DataFrame:
    """Return model bytes sent so far at each end of a transfer.

    Returns:
        columns ``time_s, carried_nbytes, busiest_nbytes``.
    """
    link, _ = busiest_link(run)
    crosses = pl.col("route").str.split(" ").list.contains(link or "").fill_null(False)
    return (
        run.tables["transfers"]
        .filter(~pl.col("control"))
        .with_columns((pl.col("carried_nbytes") * crosses).alias("busiest_nbytes"))
        .group_by(pl.col("end_s").alias("time_s"))
        .agg(pl.col("carried_nbytes", "busiest_nbytes").sum())
        .drop_nulls("time_s")
        .sort("time_s")
        .with_columns(pl.col("carried_nbytes", "busiest_nbytes").cum_sum())
    )


def reach(run: Run, target: float, *, cost: Cost, score: Score = "dice_mean") -> Reach | None:
    """Return the cost at which the validation Dice first was ``target`` or more.

    Validation, not test, decides, as in everything that a site could act on. None if the run has no
    validation scores.
    """
    return reaches(run, target, score=score).get(cost)


@remembered
def reaches(run: Run, target: float, *, score: Score = "dice_mean") -> dict[Cost, Reach]:
    """Return every cost of the target; nothing if the run has no validation scores."""
    points = curve(run, split="val")
    if points.is_empty():
        return {}
    hits, paid = points.filter(pl.col(score) >= target), spent(run)
    found: dict[Cost, Reach] = {}
    for cost in COSTS:
        ends = points if cost in {"time_s", "round"} else paid
        until = 0.0 if ends.is_empty() else float(ends[cost][-1])
        if cost == "time_s" and run.virtual_time_s is not None:
            until = run.virtual_time_s
        found[cost] = Reach(at=None if hits.is_empty() else float(hits[cost][0]), until=until)
    return found


def survival(reaches: Sequence[Reach], horizon: float | None = None) -> Survival:
    """Return what several runs' ways to the target say together; those without it are censored.

    A run that has ended keeps its last model, so one without the target stays without it up to the
    ``horizon``, by default the largest cost of all.
    """
    last = largest(reaches) if horizon is None else horizon
    costs = [last if one.at is None else one.at for one in reaches]
    return kaplan_meier(costs, [one.at is not None for one in reaches])


def largest(reaches: Iterable[Reach]) -> float:
    """Return the largest cost at which a run had the target or ended."""
    return max(one.until if one.at is None else one.at for one in reaches)


def band(curves: pl.DataFrame, *, cost: Cost, score: Score) -> Band | None:
    """Return mean and 95 % bounds over the independent repetitions of one method, as steps over ``cost``.

    A run that has ended keeps its last Dice; the band begins where every run has one.

    ``curves`` are rows of :attr:`~simulator.record.measures_frames.Frames.curves`.
    """
    steps: dict[Any, list[tuple[np.ndarray, np.ndarray]]] = {}
    for (unit, _), rows in curves.group_by("unit", "run", maintain_order=True):
        at = rows[cost].to_numpy().astype(float)
        steps.setdefault(unit, []).append((at, rows[score].to_numpy()))
    if not steps:
        return None
    every = [one for several in steps.values() for one in several]
    x = np.unique(np.concatenate([at for at, _ in every]))
    x = x[x >= max(at[0] for at, _ in every)]
    values = np.stack(
        [
            np.mean([y[np.searchsorted(at, x, side="right") - 1] for at, y in several], axis=0)
            for several in steps.values()
        ]
    )  # (units, points)
    mean = values.mean(axis=0)
    if len(values) < 2:
        return Band(x=x, mean=mean, low=mean, high=mean, count=1, kind=None)
    found = bounds([values])
    low, high = np.clip(found.low, *SHARE), np.clip(found.high, *SHARE)
    return Band(x=x, mean=mean, low=low, high=high, count=len(values), kind=found.kind)


def _late_joiners(run: Run) -> set[str]:
    fired = run.tables["faults"].filter((pl.col("verb") == "join") & (pl.col("time_s") > 0))
    return set(fired["node"])

"""Dice against what it cost: curves of one run, time- and bytes-to-target, and bands over seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy.special import stdtrit

from simulator.record.measures import busiest_link
from simulator.record.measures_dice import site_scores
from simulator.record.measures_run import Run

Cost = Literal["time_s", "carried_nbytes", "busiest_nbytes", "round"]
Score = Literal["dice_mean", "dice_worst"]

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
class Interval:
    """A mean over runs with its 95 % confidence interval; no interval from fewer than two values."""

    mean: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Mean over the runs of a label at each ``x``, with 95 % bounds (equal to it for a single run)."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """When a run first had the target, or how far it got without it (censored).

    ``at`` is None if the target was never reached; then ``until`` is the cost at the run's end.
    """

    at: float | None
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachSummary:
    """Of ``count`` runs ``reached`` had the target; ``median`` takes the others as later than all.

    ``censored``: half of the runs or more never had it, so the median is only known to exceed ``median``.
    """

    reached: int
    count: int
    median: float
    censored: bool


def interval(values: Sequence[float]) -> Interval | None:
    """Return the mean and its 95 % interval by Student's t over the values, None for no value."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return Interval(mean=mean, low=None, high=None, count=1)
    half = float(stdtrit(len(values) - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean=mean, low=mean - half, high=mean + half, count=len(values))


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
    for (time_s,), group in scores.group_by("time_s", maintain_order=True):
        state |= {row["site"]: row for row in group.iter_rows(named=True)}
        if awaited <= state.keys():
            dice = [state[site]["dice"] for site in sorted(state)]
            rounds = math.fsum(row["round"] for row in state.values()) / len(state)
            rows.append((time_s, rounds, len(state), math.fsum(dice) / len(dice), min(dice)))
    columns = ["time_s", "round", "num_sites", "dice_mean", "dice_worst"]
    frame = pl.DataFrame(rows, schema={name: _SCHEMA[name] for name in columns}, orient="row")
    return frame.join_asof(spent(run), on="time_s").with_columns(
        pl.col("carried_nbytes", "busiest_nbytes").fill_null(0)
    )


def curves_of(groups: Mapping[str, Sequence[Run]]) -> dict[str, list[pl.DataFrame]]:
    """Return the curves of all labels that have any."""
    curves = {label: [curve(run) for run in runs] for label, runs in groups.items()}
    return {
        label: kept for label, found in curves.items() if (kept := [c for c in found if not c.is_empty()])
    }


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
    points = curve(run, split="val")
    if points.is_empty():
        return None
    hits = points.filter(pl.col(score) >= target)
    at = None if hits.is_empty() else float(hits[cost][0])
    if cost == "time_s" and run.virtual_time_s is not None:
        return Reach(at=at, until=run.virtual_time_s)
    ends = points if cost in {"time_s", "round"} else spent(run)
    return Reach(at=at, until=0.0 if ends.is_empty() else float(ends[cost][-1]))


def summarize_reach(reaches: Sequence[Reach]) -> ReachSummary:
    """Return the median over runs, counting a run that never reached the target as later than all."""
    reached = sorted(one.at for one in reaches if one.at is not None)
    middle = (len(reaches) + 1) // 2  # the lower median, a value that was observed
    if len(reached) >= middle:
        return ReachSummary(
            reached=len(reached), count=len(reaches), median=reached[middle - 1], censored=False
        )
    until = min(one.until for one in reaches if one.at is None)
    return ReachSummary(reached=len(reached), count=len(reaches), median=until, censored=True)


def band(curves: Sequence[pl.DataFrame], *, cost: Cost, score: Score) -> Band | None:
    """Return mean and 95 % bounds (Student's t) over the runs of a label, as steps over ``cost``.

    A run that has ended keeps its last Dice; the band begins where every run has one.
    """
    steps = [(c[cost].to_numpy().astype(float), c[score].to_numpy()) for c in curves if not c.is_empty()]
    if not steps:
        return None
    x = np.unique(np.concatenate([s[0] for s in steps]))
    x = x[x >= max(s[0][0] for s in steps)]
    values = np.stack([y[np.searchsorted(at, x, side="right") - 1] for at, y in steps])  # (runs, points)
    mean = values.mean(axis=0)
    half = np.zeros_like(mean)
    if len(steps) > 1:
        half = stdtrit(len(steps) - 1, 0.975) * values.std(axis=0, ddof=1) / math.sqrt(len(steps))
    return Band(x=x, mean=mean, low=mean - half, high=mean + half)


def _late_joiners(run: Run) -> set[str]:
    fired = run.tables["faults"].filter((pl.col("verb") == "join") & (pl.col("time_s") > 0))
    return set(fired["node"])

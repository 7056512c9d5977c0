"""Methods of a study against one another, on the seeds and conditions that they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from simulator.record.measures_estimates import estimate
from simulator.record.measures_frames import Frames
from simulator.statistics.intervals import Interval
from simulator.statistics.paired import probability_of_improvement
from simulator.statistics.ranks import Verdict, judge

METRICS = ("dice_mean", "dice_worst", "carried_nbytes", "virtual_time_s")
"""What a standing tells of each method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A method over the shared conditions: metrics over seeds, and its Dice over sites and cases."""

    method: str
    over_seeds: Mapping[str, Interval | None]
    over_sites: Interval | None
    over_cases: Interval | None
    rank: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """All methods, and what can be said of their order.

    Attributes:
        unit: what a seed is here, ``learning seed`` or ``network seed``.
        num_conditions: combinations of conditions that are averaged, the same for all methods.
        left_out: methods that lack some of them, and are not compared.
        verdict: ranks and tests on mean Dice; None for fewer than two methods.
        improvement: by pair, the chance that a run of the first is better at a site than one of the second.

    """

    methods: tuple[Standing, ...]
    unit: str
    num_conditions: int
    left_out: tuple[str, ...]
    verdict: Verdict | None
    improvement: Mapping[tuple[str, str], Interval]


def standings(frames: Frames, *, reference: str | None = None) -> Standings | None:
    """Compare the methods of a study by their Dice; None where nothing was evaluated.

    ``reference``: only pairs with this method are tested, which takes fewer seeds than all pairs, and under
    the conditions that it has. It has runs with Dice.
    """
    scored = frames.runs.drop_nulls("dice_mean") if not frames.runs.is_empty() else frames.runs
    if scored.is_empty():
        return None
    conditions = [one.name for one in frames.conditions]
    kept, left_out, num_conditions = _shared_conditions(scored, conditions, reference)
    names = list(dict.fromkeys(kept["method"]))
    units = sorted(set.intersection(*(set(kept.filter(method=name)["unit"]) for name in names)))
    chosen = pl.col("run").is_in(kept["run"].to_list())
    verdict = None
    if len(names) > 1 and units:
        scores = {name: _by_unit(kept.filter(method=name), units) for name in names}
        verdict = judge(scores, block=frames.unit, against=reference)
    rows = [
        Standing(
            method=name,
            over_seeds={
                metric: estimate(frames, chosen & (pl.col("method") == name), metric) for metric in METRICS
            },
            over_sites=estimate(frames, chosen & (pl.col("method") == name), "dice_mean", "sites"),
            over_cases=estimate(frames, chosen & (pl.col("method") == name), "dice_mean", "cases"),
            rank=None if verdict is None else verdict.ranks[name],
        )
        for name in names
    ]
    return Standings(
        methods=tuple(rows),
        unit=frames.unit,
        num_conditions=num_conditions,
        left_out=tuple(left_out),
        verdict=verdict,
        improvement=_improvement(frames.sites.filter(chosen), verdict, units),
    )


def _shared_conditions(
    scored: pl.DataFrame, names: Sequence[str], reference: str | None
) -> tuple[pl.DataFrame, list[str], int]:
    """The runs under conditions that all methods have; methods that lack most are left out.

    Most of those of the reference, where there is one, which is never left out.
    """
    if not names:
        return scored, [], 1
    had = {
        str(method): set(rows.select(names).unique().iter_rows())
        for (method,), rows in scored.group_by("method", maintain_order=True)
    }
    wanted = had[reference] if reference is not None else max(had.values(), key=len)
    if reference is not None:
        had = {method: found & wanted for method, found in had.items()}
    whole = {method: found for method, found in had.items() if 2 * len(found) > len(wanted)}
    shared = set.intersection(*whole.values())
    if not shared:  # methods under different conditions each: nothing is paired
        shared = wanted
        whole = {method: found for method, found in had.items() if found == shared}
    keep = pl.DataFrame(sorted(shared), schema=dict.fromkeys(names, pl.String), orient="row")
    kept = scored.filter(pl.col("method").is_in(list(whole))).join(
        keep, on=names, how="semi", maintain_order="left"
    )
    return kept, [method for method in had if method not in whole], len(shared)


def _by_unit(rows: pl.DataFrame, units: Sequence[int]) -> list[float]:
    means = dict(rows.group_by("unit").agg(pl.col("dice_mean").mean()).iter_rows())
    return [float(means[unit]) for unit in units]


def _improvement(
    sites: pl.DataFrame, verdict: Verdict | None, units: Sequence[int]
) -> dict[tuple[str, str], Interval]:
    """By pair, over seeds and the sites that both have in all of them."""
    found: dict[tuple[str, str], Interval] = {}
    for pair in verdict.pairs if verdict is not None else ():
        tables = [_grid(sites.filter(method=name), units) for name in (pair.first, pair.second)]
        both = sorted(tables[0].keys() & tables[1].keys())
        if both:
            first, second = (np.array([table[site] for site in both]).T for table in tables)
            found[pair.first, pair.second] = probability_of_improvement(first, second)
    return found


def _grid(rows: pl.DataFrame, units: Sequence[int]) -> dict[str, list[float]]:
    """Dice by site, one value per seed; sites that lack a seed are left out."""
    means: dict[str, dict[int, float]] = {}
    for site, unit, dice in rows.group_by("site", "unit").agg(pl.col("dice").mean()).sort("site").iter_rows():
        means.setdefault(site, {})[unit] = dice
    return {
        site: [by_unit[unit] for unit in units]
        for site, by_unit in means.items()
        if set(units) <= set(by_unit)
    }

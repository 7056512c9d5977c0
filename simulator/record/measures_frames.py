"""A study as a few long tables, from which figures and statistics are made.

Every row names its run: ``run, label, method, algorithm, learning, network, unit``, then a column per
swept condition. ``unit`` is what was repeated independently: the learning seed if several were used, else
the network seed; runs that share it are averaged before anything is said about chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from simulator.record.measures import summarize
from simulator.record.measures_conditions import Condition, conditions, method_names
from simulator.record.measures_curves import COSTS, curve, reaches
from simulator.record.measures_dice import case_scores, selected_table
from simulator.record.measures_run import Run

IDENTITY = ("run", "label", "method", "algorithm", "learning", "network", "unit")
FROM_TRAFFIC = ("transmissions", "carried_nbytes", "delivered_nbytes", "wasted_nbytes", "busiest_nbytes")
FROM_QUALITY = ("dice_mean", "dice_weighted", "dice_worst", "hd95_mm", "assd_mm", "missed")
FROM_EFFORT = ("virtual_time_s", "local_epochs", "lost_s")
NUMBERS = (*FROM_QUALITY, "over_local", "over_pooled", *FROM_TRAFFIC, *FROM_EFFORT)
"""Columns of ``runs`` that are numbers of one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """The long tables of a study.

    Attributes:
        conditions: what was swept beside methods and seeds.
        unit: what ``unit`` holds, ``learning seed`` or ``network seed``.
        runs: a row per run with :data:`NUMBERS`, and for each cost until the target ``<cost>_to_target``
            with ``reached`` (where it is false the run ended at that cost, without the target).
        sites: a row per run and site: ``site, num_cases, dice, over_local, over_pooled``.
        cases: a row per run, site and test case: ``site, case, dice``.
        curves: a row per run and evaluated instant, as :func:`~simulator.record.measures_curves.curve`.

    """

    conditions: tuple[Condition, ...]
    unit: str
    runs: pl.DataFrame
    sites: pl.DataFrame
    cases: pl.DataFrame
    curves: pl.DataFrame


def frames(runs: Sequence[Run], target: float | None = None) -> Frames:
    """Return the tables of runs that ended; ``target``: mean validation Dice to reach."""
    varied = conditions(runs)
    by_learning = len({run.seeds[0] for run in runs}) > 1
    names = [_identity(runs, place, varied, by_learning) for place in range(len(runs))]
    for own, method in zip(names, _methods(runs, names, varied), strict=True):
        own["method"] = method
    tables = [selected_table(run) for run in runs]
    scores = [dict(table.select("site", "dice").iter_rows()) for table in tables]
    partners = {
        reference: [_partner(place, names, scores, reference, varied) for place in range(len(runs))]
        for reference in ("local", "pooled")
    }
    run_rows, site_rows = [], []
    for place, run in enumerate(runs):
        own, gains = scores[place], {}
        for reference, found in partners.items():
            other = found[place]
            gains[reference] = {site: own[site] - other[site] for site in own if site in other}
        run_rows.append(names[place] | _numbers(run, target) | _mean_gains(gains))
        counts = dict(tables[place].select("site", "num_cases").iter_rows())
        for site, dice in sorted(own.items()):
            gain = {f"over_{name}": by_site.get(site) for name, by_site in gains.items()}
            site_rows.append(names[place] | {"site": site, "num_cases": counts[site], "dice": dice} | gain)
    return Frames(
        conditions=tuple(varied),
        unit="learning seed" if by_learning else "network seed",
        runs=_frame(run_rows),
        sites=_frame(site_rows),
        cases=_joined(names, [case_scores(run, selection="selected", split="test") for run in runs]),
        curves=_joined(names, [curve(run) for run in runs]),
    )


def _identity(
    runs: Sequence[Run], place: int, varied: Sequence[Condition], by_learning: bool
) -> dict[str, Any]:
    run = runs[place]
    learning, network = run.seeds
    named = {
        "run": f"{run.folder.parent.name}/{run.manifest['run_id']}",
        "label": run.label,
        "method": "",
        "algorithm": run.algorithm,
        "learning": learning,
        "network": network,
        "unit": learning if by_learning else network,
    }
    return named | {condition.name: condition.of_run[place] for condition in varied}


def _methods(
    runs: Sequence[Run], names: Sequence[Mapping[str, Any]], varied: Sequence[Condition]
) -> list[str]:
    """The runs' methods; their labels where methods, conditions and seeds do not tell all runs apart."""
    if varied:
        named = method_names(runs)
        columns = [condition.name for condition in varied] + ["learning", "network"]
        told = {(method, *(own[name] for name in columns)) for method, own in zip(named, names, strict=True)}
        if len(told) == len(runs):
            return named
    return [run.label for run in runs]


def _numbers(run: Run, target: float | None) -> dict[str, Any]:
    found = summarize(run)
    row = {name: getattr(found.quality, name) for name in FROM_QUALITY}
    row |= {name: getattr(found.traffic, name) for name in FROM_TRAFFIC}
    row |= {name: getattr(found.effort, name) for name in FROM_EFFORT}
    row = {name: None if value is None else float(value) for name, value in row.items()}
    ways = {} if target is None else reaches(run, target)
    row |= dict.fromkeys(f"{cost}_to_target" for cost in COSTS)
    row |= {f"{cost}_to_target": one.until if one.at is None else one.at for cost, one in ways.items()}
    return row | {"reached": ways["time_s"].at is not None if ways else None}


def _mean_gains(gains: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Mean over sites of the gain over each reference; None where there is no reference."""
    return {
        f"over_{name}": sum(by_site[site] for site in sorted(by_site)) / len(by_site) if by_site else None
        for name, by_site in gains.items()
    }


def _partner(
    place: int,
    names: Sequence[Mapping[str, Any]],
    scores: Sequence[Mapping[str, float]],
    reference: str,
    varied: Sequence[Condition],
) -> Mapping[str, float]:
    """Scores of the reference's run that shares most with a run: seeds and conditions, or the learning
    seed at least; nothing for a run of the reference itself, or if several methods compete for it.
    """
    own = names[place]
    if own["algorithm"] == reference:
        return {}
    there = [i for i, one in enumerate(names) if one["algorithm"] == reference and scores[i]]
    if len({names[i]["method"] for i in there}) > 1:
        return {}
    same = [i for i in there if names[i]["learning"] == own["learning"]]
    alike = [condition.name for condition in varied] + ["network"]
    same.sort(key=lambda i: (-sum(names[i][name] == own[name] for name in alike), i))
    return scores[same[0]] if same else {}


def _frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), infer_schema_length=None) if rows else pl.DataFrame()


def _joined(names: Sequence[Mapping[str, Any]], tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The runs' tables below one another, each row with the name of its run."""
    found = [
        pl.DataFrame([one]).join(table, how="cross")
        for one, table in zip(names, tables, strict=True)
        if not table.is_empty()
    ]
    return pl.concat(found) if found else pl.DataFrame()

"""Local epochs: how many a run's sites did, how many were planned, and whether it stopped before."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from simulator.record.measures_run import Run


def epochs_done(run: Run) -> float | None:
    """Return local epochs in rounds that ended, mean over the sites that train; None if none did."""
    sites = _sites(run)
    if not sites:
        return None
    return statistics.fmean(warmup + trained for warmup, trained, _ in sites)


def epochs_planned(run: Run) -> float | None:
    """Return the local epochs per site that the run's scenario sets; None if it sets none."""
    settings = _algorithm(run)
    if settings.get("epochs"):
        return float(settings["epochs"])
    if not settings.get("rounds"):
        return None
    return float(settings["rounds"]) * _per_round(run) + float(settings.get("warmup_epochs") or 0)


def rounds_planned(run: Run) -> int | None:
    """Return the rounds after a warm-up that the run's scenario sets; None if it sets no epochs either."""
    settings = _algorithm(run)
    if settings.get("rounds"):
        return int(settings["rounds"])
    if not settings.get("epochs"):
        return None
    return int((settings["epochs"] - (settings.get("warmup_epochs") or 0)) // _per_round(run))


def stopped(run: Run) -> bool:
    """Whether at least half of the sites ended before the last planned round.

    The number of the last round decides, not the epochs: a site that a server does not choose in
    every round trains less, and has still taken part to the end.
    """
    planned, sites = epochs_planned(run), _sites(run)
    if planned is None or not sites:
        return False
    early = sum(warmup + rounds * _per_round(run) < planned for warmup, _, rounds in sites)
    return 2 * early >= len(sites)


def with_stop(label: str, runs: Sequence[Run]) -> str:
    """Return a label with a remark on those of its runs that were stopped."""
    cut = [run for run in runs if stopped(run)]
    if not cut:
        return label
    done = statistics.fmean(epochs_done(run) or 0.0 for run in cut)
    some = "" if len(cut) == len(runs) else f"{len(cut)} of {len(runs)} runs "
    return f"{label} ({some}stopped after {done:.3g} of {epochs_planned(cut[0]):.3g} local epochs)"


def _algorithm(run: Run) -> Mapping[str, Any]:
    """The settings of the run's algorithm."""
    return run.scenario.get("algorithm") or {}


def _per_task(run: Run) -> float:
    """Local epochs of a training task."""
    return float(_algorithm(run).get("local_epochs") or 1)


def _tasks_per_round(run: Run) -> int:
    """Where regions average several times in a round of the server, sites train as often, and number that."""
    return int(_algorithm(run).get("edge_rounds") or 1)


def _per_round(run: Run) -> float:
    return _per_task(run) * _tasks_per_round(run)


def _sites(run: Run) -> list[tuple[float, float, int]]:
    """Epochs of warm-up, epochs in rounds that ended, and rounds until the last that ended, per site."""
    ended = dict(
        run.tables["events"]
        .filter(pl.col("event") == "round")
        .group_by("node")
        .agg(pl.col("round").max())
        .iter_rows()
    )
    training = pl.col("task").str.starts_with("train") | (pl.col("extra_flop") > 0)
    work = run.tables["work"].filter(training)
    found = []
    for (node,), rows in work.group_by("node", maintain_order=True):
        last = ended.get(node)
        last = -1 if last is None else int(last)
        done = rows.filter(pl.col("status") == "done")
        kept = done.filter(pl.col("round") < (last + 1) * _tasks_per_round(run))
        found.append((_warmup(run, rows, done), kept.height * _per_task(run), last + 1))
    return found


def _warmup(run: Run, rows: pl.DataFrame, done: pl.DataFrame) -> float:
    """Epochs of the tasks before the first round, from their operations: one may hold several epochs."""
    before = done.filter(pl.col("round").is_null())
    in_round = rows.filter(pl.col("round").is_not_null())
    plain = in_round.filter(pl.col("extra_flop") == 0)["flop"].median()
    usual = plain or in_round["extra_flop"].median()  # the incoming model's part costs what its own does
    if not isinstance(usual, int | float) or usual <= 0:
        return before.height * _per_task(run)
    return round(float(before["flop"].sum()) / usual * _per_task(run), 6)

"""Dice and surface distances of a run: per case, per site, and over sites."""

import polars as pl

from simulator.record.measures_run import Run, remembered

DISTANCES = ("hd95_mm", "assd_mm")


@remembered
def case_scores(run: Run, *, selection: str, split: str) -> pl.DataFrame:
    """Return Dice by site, round and case, the mean over the structures that are scored.

    A missed structure and a false alarm count 0 whatever was written for them; a structure that is
    excluded (null) counts neither way.

    Returns:
        columns ``site, round, time_s, case, dice``.
    """
    rows = _metric(run, "dice", selection, split)
    wrong = pl.col("status").is_in(["missed", "false_alarm"])
    return (
        rows.with_columns(pl.when(wrong).then(0.0).otherwise(pl.col("value")).alias("value"))
        .group_by("site", "round", "time_s", "case", maintain_order=True)
        .agg(pl.col("value").mean().alias("dice"))
        .drop_nulls("dice")
    )


@remembered
def site_scores(run: Run, *, selection: str, split: str) -> pl.DataFrame:
    """Return the mean Dice over cases by site and round: ``site, round, time_s, dice, num_cases``."""
    return (
        case_scores(run, selection=selection, split=split)
        .group_by("site", "round", "time_s", maintain_order=True)
        .agg(pl.col("dice").mean(), pl.len().alias("num_cases"))
        .sort("time_s", "round", "site")
    )


@remembered
def selected_table(run: Run) -> pl.DataFrame:
    """Return one row per site for its selected model on its test cases.

    Returns:
        columns ``site, dice, num_cases, missed, false_alarms, hd95_mm, assd_mm``; distances are the
        mean over cases and structures where both masks hold something, null where none does.
    """
    dice = site_scores(run, selection="selected", split="test").select("site", "dice", "num_cases")
    status = (
        _metric(run, "dice", "selected", "test")
        .group_by("site")
        .agg(
            (pl.col("status") == "missed").sum().alias("missed"),
            (pl.col("status") == "false_alarm").sum().alias("false_alarms"),
        )
    )
    table = dice.join(status, on="site", how="left")
    for metric in DISTANCES:
        values = (
            _metric(run, metric, "selected", "test")
            .filter(pl.col("status") == "ok")
            .group_by("site")
            .agg(pl.col("value").mean().alias(metric))
        )
        table = table.join(values, on="site", how="left")
    return table.sort("site")


@remembered
def structure_table(run: Run) -> pl.DataFrame:
    """Return Dice of the selected models by structure over all test cases: ``structure, dice, missed``."""
    wrong = pl.col("status").is_in(["missed", "false_alarm"])
    return (
        _metric(run, "dice", "selected", "test")
        .with_columns(pl.when(wrong).then(0.0).otherwise(pl.col("value")).alias("value"))
        .group_by("structure", maintain_order=True)
        .agg(pl.col("value").mean().alias("dice"), (pl.col("status") == "missed").sum().alias("missed"))
    )


def unseen_table(run: Run) -> pl.DataFrame:
    """Return what the selected models of all sites are worth at hospitals that took no part.

    Returns:
        columns ``site, dice, lowest, num_cases``: mean over models of their mean Dice over cases and
        structures, the lowest of the models, and the number of cases.
    """
    wrong = pl.col("status").is_in(["missed", "false_alarm"])
    return (
        _metric(run, "dice", "unseen", "test")
        .with_columns(pl.when(wrong).then(0.0).otherwise(pl.col("value")).alias("value"))
        .group_by("site", "key", "round", "time_s", maintain_order=True)
        .agg(pl.col("value").mean(), pl.col("case").n_unique().alias("num_cases"))
        .group_by("site", maintain_order=True)
        .agg(
            pl.col("value").mean().alias("dice"),
            pl.col("value").min().alias("lowest"),
            pl.col("num_cases").max(),
        )
        .sort("site")
    )


def _metric(run: Run, metric: str, selection: str, split: str) -> pl.DataFrame:
    return run.tables["metrics"].filter(
        (pl.col("metric") == metric) & (pl.col("selection") == selection) & (pl.col("split") == split)
    )

"""What a study says of one number: its mean, with an interval over seeds, sites or cases."""

from typing import Literal

import polars as pl

from simulator.record.measures_frames import Frames
from simulator.statistics.intervals import AMOUNT, SHARE, Interval, Range, interval, stratified_interval

Over = Literal["seeds", "sites", "cases"]
BY_SITE = {"dice_mean": "dice", "over_local": "over_local", "over_pooled": "over_pooled"}
"""Columns of runs that are means over sites, and the column of sites that each is the mean of."""


def estimate(frames: Frames, chosen: pl.Expr, column: str, over: Over = "seeds") -> Interval | None:
    """Return the mean of a column over the chosen runs, with what another draw would give.

    ``over`` says what is drawn again: seeds (as if the study were repeated at these sites), sites (as if
    these methods ran at other such sites) or test cases (as if these sites had other such patients).
    Whatever else varies among the chosen runs is averaged first. None if no run has the number.

    Raises:
        ValueError: sites or cases for a number that is no mean over sites, or no mean over cases.
    """
    within = range_of(column)
    if over == "seeds":
        return interval(_means(frames.runs.filter(chosen), "unit", column), within)
    if column not in BY_SITE or (over == "cases" and column != "dice_mean"):
        raise ValueError(f"{column} has no interval over {over}; use seeds")
    if over == "sites":
        return interval(_means(_chosen(frames.sites, chosen), "site", BY_SITE[column]), within)
    cases = _chosen(frames.cases, chosen)
    if cases.is_empty():
        return None
    return stratified_interval(
        [_means(rows, "case", "dice") for _, rows in cases.group_by("site", maintain_order=True)], within
    )


def range_of(column: str) -> Range:
    """What a number of runs or sites can be: a share, a difference of shares, or an amount."""
    if column in {"over_local", "over_pooled"}:
        return -1.0, 1.0
    return SHARE if column == "dice" or column.startswith("dice_") else AMOUNT


def _chosen(table: pl.DataFrame, chosen: pl.Expr) -> pl.DataFrame:
    return table if table.is_empty() else table.filter(chosen)


def _means(table: pl.DataFrame, by: str, column: str) -> list[float]:
    """Means by what varies, in its sorted order."""
    if table.is_empty() or table[column].null_count() == table.height:
        return []
    found = table.drop_nulls(column).group_by(by).agg(pl.col(column).mean()).sort(by)
    return [float(value) for value in found[column]]

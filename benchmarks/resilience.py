"""Dice and minutes of every method under every failure, from what ``medgossip compare`` has written: a table.

Run from the repository's root: ``python -m benchmarks.resilience compare/tables/runs.parquet``.
"""

import sys

import polars as pl

from simulator.statistics.intervals import interval


def span(values: pl.Series, digits: int) -> str:
    """The mean of some seeds and half the width of its interval; how many have a value, if not all do."""
    found = interval(values.drop_nulls().to_list())
    if found is None:
        return "–"
    half = "" if found.high is None else f" ± {found.high - found.mean:.{digits}f}"
    few = f" ({found.count} of {len(values)})" if found.count < len(values) else ""
    return f"{found.mean:.{digits}f}{half}{few}"


def main() -> None:
    """Print a table of Dice and one of minutes, a row per method and a column per failure."""
    runs = pl.read_parquet(sys.argv[1]).with_columns(minutes=pl.col("virtual_time_s") / 60)
    failures = runs["faults"].unique(maintain_order=True).to_list()
    for column, words, digits in (("dice_mean", "Dice", 3), ("minutes", "minutes", 1)):
        print(f"| {words} | {' | '.join(failures)} |\n{'|---' * (len(failures) + 1)}|")
        for (method,), own in runs.group_by("method", maintain_order=True):
            cells = [span(own.filter(faults=failure)[column], digits) for failure in failures]
            print(f"| {method} | {' | '.join(cells)} |")
        print()


if __name__ == "__main__":
    main()

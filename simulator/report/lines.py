"""Machines and lines for planners: what a run was computed with, and what every line had to carry."""

from collections.abc import Sequence

import polars as pl

from simulator.record.measures_run import Run
from simulator.report.tables import Table
from simulator.report.text import MISSING, count, natural, percent, size
from simulator.units import short


def assumptions(runs: Sequence[Run]) -> Table | None:
    """Machines and lines as the scenario states them; None if the runs differ in them."""
    tables = [run.tables["sites"] for run in runs]
    sites = max(tables, key=len, default=None)  # a method without a server has one row less
    if sites is None or sites.is_empty() or not all(_is_part(table, sites) for table in tables):
        return None
    rows = [
        (
            row["site"],
            count(row["num_train"]) if row["num_train"] is not None else MISSING,
            row["device"] or MISSING,
            MISSING if row["flop_per_s"] is None else short(row["flop_per_s"], "speed"),
            _rate(row["up_bytes_per_s"]),
            _rate(row["down_bytes_per_s"]),
            short(row["latency_s"], "duration"),
        )
        for row in _sorted(sites).iter_rows(named=True)
    ]
    return Table(
        title="What was assumed",
        head=("", "training cases", "machine", "trains at", "line up", "line down", "latency"),
        rows=tuple(rows),
        note="As the scenario states it, before faults and conditions. A machine's rate is what it sustains "
        "in training; medgossip list devices gives the source of each. Latency: one way, of this line alone.",
    )


def loads(run: Run) -> Table | None:
    """Model bytes of every line, and their share of what it could have carried; None without any."""
    links = run.tables["links"]
    ends = {"up": pl.col("link") == pl.col("src") + ".up", "down": pl.col("link") == pl.col("dst") + ".down"}
    found: dict[str, dict[str, tuple[int, float | None]]] = {}
    for direction, is_access in ends.items():
        node = "src" if direction == "up" else "dst"
        for row in links.filter(is_access).iter_rows(named=True):
            found.setdefault(row[node], {})[direction] = (row["carried_nbytes"], row["bytes_per_s"])
    if not any(nbytes for ways in found.values() for nbytes, _ in ways.values()):
        return None
    names = sorted(found, key=lambda name: (name not in set(run.tables["sites"]["site"]), natural(name)))
    rows = [(name, *_of_line(found[name], run.virtual_time_s or 0.0)) for name in names]
    return Table(
        title="What the lines carried",
        head=("line of", "sent", "received", "up in use", "down in use"),
        rows=tuple(rows),
        note="Models and control messages of the whole run. In use: what was carried, of what the line could "
        "have carried meanwhile.",
    )


def _of_line(ways: dict[str, tuple[int, float | None]], lasted_s: float) -> list[str]:
    both = [ways.get(direction, (0, None)) for direction in ("up", "down")]
    shares = [nbytes / rate / lasted_s if rate and lasted_s else None for nbytes, rate in both]
    return [*(size(nbytes) for nbytes, _ in both), *map(percent, shares)]


def _sorted(sites: pl.DataFrame) -> pl.DataFrame:
    """Hospitals in natural order, then the server."""
    rows = sorted(sites.iter_rows(named=True), key=lambda row: (row["role"] != "site", natural(row["site"])))
    return pl.DataFrame(rows, schema=sites.schema)


def _is_part(table: pl.DataFrame, whole: pl.DataFrame) -> bool:
    return table.join(whole, on=whole.columns, how="anti", nulls_equal=True).is_empty()


def _rate(bytes_per_s: float | None) -> str:
    return "unlimited" if bytes_per_s is None else short(bytes_per_s, "rate")

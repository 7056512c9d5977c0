"""Runs made from a few rows, small enough to compute by hand."""

from pathlib import Path

import polars as pl

from simulator.record.measures_run import Run
from simulator.record.tables import TABLES
from simulator.record.tables_io import columns_of


def made_run(label="gcml", *, seeds=(1, 1), missing=(), virtual_time_s=100.0, folder=None, **rows):
    """A run whose tables hold dictionaries; columns that they leave out are null."""
    tables = {
        name: pl.DataFrame(rows.get(name, []), schema=columns_of(name), orient="row") for name in TABLES
    }
    manifest = {
        "run_id": label, "label": label, "scenario": "made", "algorithm": label, "plan": False,
        "status": "ok",
        "seed": {"learning": seeds[0], "network": seeds[1]}, "virtual_time_s": virtual_time_s,
    }  # fmt: skip
    folder = folder or Path(f"{label}-{seeds}")
    return Run(folder=folder, manifest=manifest, label=label, tables=tables, missing=tuple(missing))


def dice(
    site,
    value,
    *,
    time_s=10.0,
    round_=0,
    split="test",
    selection="round",
    case="a",
    structure="x",
    status="ok",
):
    return {
        "site": site, "selection": selection, "round": round_, "time_s": time_s, "split": split, "case": case,
        "structure": structure, "metric": "dice", "value": value, "status": status,
    }  # fmt: skip


def moved(
    number,
    nbytes,
    end_s,
    *,
    carried=None,
    status="delivered",
    control=False,
    src="a",
    dst="b",
    start_s=0.0,
    attempt=1,
):  # fmt: skip
    return {
        "transfer": number, "attempt": attempt, "src": src, "dst": dst, "kind": "model", "round": 0,
        "control": control, "nbytes": nbytes, "carried_nbytes": nbytes if carried is None else carried,
        "start_s": start_s, "end_s": end_s, "status": status, "route": f"{src}.up {dst}.down",
    }  # fmt: skip

"""What each fault cost: bytes wasted, work lost and models that did not arrive while it lasted."""

from dataclasses import dataclass

import polars as pl

from simulator.record.measures_run import Run

HARMFUL = ("crash", "leave", "disconnect")
"""Verbs that take something away; the others give it back or bring a node in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCost:
    """One firing of a harmful fault, from its instant until it was undone or the run ended.

    Attributes:
        lasted_s: None if it has no recorded end.
        undone: whether it ended before the run did.
        failed_models: model transfers from, to or by way of the node that broke while it lasted.
        wasted_nbytes: model bytes that these had already sent.
        lost_s: virtual seconds of the node's work that it destroyed.

    """

    text: str
    verb: str
    node: str
    time_s: float
    lasted_s: float | None
    undone: bool
    failed_models: int | None
    wasted_nbytes: int | None
    lost_s: float | None
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfiredFault:
    """A declared fault that did not happen, with the reason."""

    text: str
    node: str
    status: str
    reason: str


def fault_costs(run: Run) -> list[FaultCost]:
    """Return the costs of every harmful fault that fired, in order of time.

    Where two faults of one node overlap, what broke in the overlap counts for both.
    """
    fired = run.tables["faults"].filter((pl.col("status") == "fired") & pl.col("verb").is_in(HARMFUL))
    return [_cost(run, row) for row in fired.sort("time_s", "fault", "node").iter_rows(named=True)]


def unfired_faults(run: Run) -> list[UnfiredFault]:
    """Return the declared faults that never fired, had no effect, or do not apply to this algorithm."""
    faults, place = run.tables["faults"], ["fault", "text", "node"]
    fired = faults.filter(pl.col("status") == "fired")
    rows = faults.join(fired, on=place, how="anti").unique(place, keep="first", maintain_order=True)
    return [
        UnfiredFault(text=r["text"], node=r["node"], status=r["status"], reason=r["reason"] or "")
        for r in rows.iter_rows(named=True)
    ]


def _cost(run: Run, fault: dict[str, object]) -> FaultCost:
    node, begin = str(fault["node"]), float(str(fault["time_s"]))
    end = _end_of(run, node, str(fault["verb"]), begin)
    horizon = run.virtual_time_s
    last = float("inf") if end is None else end
    broken = run.tables["transfers"].filter(
        ~pl.col("control")
        & (pl.col("status") == "failed")
        & ((pl.col("src") == node) | (pl.col("dst") == node) | _by_way_of(node))
        & (pl.col("start_s") <= last)
        & (pl.col("end_s") >= begin)
    )
    work = run.tables["work"].filter(
        (pl.col("status") == "lost") & (pl.col("node") == node) & (pl.col("end_s") == begin)
    )
    no_transfers, no_work = "transfers" in run.missing, "work" in run.missing
    return FaultCost(
        text=str(fault["text"]),
        verb=str(fault["verb"]),
        node=node,
        time_s=begin,
        lasted_s=None if end is None else end - begin,
        undone=end is not None and horizon is not None and end < horizon,
        failed_models=None if no_transfers else broken["transfer"].n_unique(),
        wasted_nbytes=None if no_transfers else int(broken["carried_nbytes"].sum()),
        lost_s=None if no_work else float((work["end_s"] - work["start_s"]).sum()),
        remark=str(fault["reason"] or ""),
    )


def _by_way_of(node: str) -> pl.Expr:
    """Whether a transfer's route goes through the line of a node."""
    return pl.col("route").str.split(" ").list.contains(f"{node}.down")


def _end_of(run: Run, node: str, verb: str, begin: float) -> float | None:
    """When the outage that holds ``begin`` ended; None if none is recorded."""
    found = run.tables["outages"].filter(
        (pl.col("node") == node)
        & (pl.col("what") == verb)
        & (pl.col("start_s") <= begin)
        & (pl.col("end_s") >= begin)
    )
    return None if found.is_empty() else float(found["end_s"].max())  # type: ignore[arg-type]

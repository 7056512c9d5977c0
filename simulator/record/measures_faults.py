"""What each fault cost: bytes wasted, work lost and models that did not arrive while it lasted."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from simulator.record.measures_run import WORKED_S, Run, remembered

HARMFUL = ("crash", "leave", "disconnect", "straggle", "corrupt", "partition", "set")
"""Verbs that take something away; the others give it back or bring a node in."""

_ENDS = {"straggle": "catch_up", "corrupt": "clean", "partition": "heal", "set": "restore"}
"""What ends a fault that is no outage of a node."""


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
class FailOver:
    """A standby that became the server.

    Attributes:
        node: the server from then on; ``machine``: where it runs.
        silent_s: how long the former server had been out of reach; None where none was.
        replica_nbytes: what replicas of the server's state had cost by the end of the run; None if the
            table of transfers is missing.

    """

    time_s: float
    node: str
    machine: str
    former: str
    silent_s: float | None
    replica_nbytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """A span in which a node was there, but slow, parted from others or on a line that damages."""

    node: str
    what: str
    start_s: float
    end_s: float


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
    if fired.is_empty():
        return []
    broken = _what_broke(run)
    return [_cost(run, row, broken) for row in fired.sort("time_s", "fault", "node").iter_rows(named=True)]


@remembered
def fail_overs(run: Run) -> list[FailOver]:
    """Return every change of the server, whether a fault asked for it or its silence."""
    rows = run.tables["events"].filter((pl.col("event") == "fail_over") & pl.col("peer").is_not_null())
    if rows.is_empty():
        return []
    replicas = run.tables["transfers"].filter(pl.col("kind") == "replica")
    nbytes = None if "transfers" in run.missing else int(replicas["carried_nbytes"].sum())
    found = []
    for row in rows.iter_rows(named=True):
        former, time_s = row["peer"].removeprefix("server@"), row["time_s"]
        gone = run.tables["outages"].filter(
            (pl.col("node") == former) & (pl.col("start_s") <= time_s) & (pl.col("end_s") >= time_s)
        )
        found.append(
            FailOver(
                time_s=time_s,
                node=row["node"],
                machine=row["node"].removeprefix("server@"),
                former=row["peer"],
                silent_s=None if gone.is_empty() else time_s - float(gone["start_s"].min()),  # type: ignore[arg-type]
                replica_nbytes=nbytes,
            )
        )
    return found


def impairments(run: Run) -> list[Impairment]:
    """Return the spans of faults that take no node away; of a partition, for every node that it names."""
    found = []
    fired = run.tables["faults"].filter((pl.col("status") == "fired") & pl.col("verb").is_in(list(_ENDS)))
    for row in fired.sort("time_s", "fault", "node").iter_rows(named=True):
        end = _undone_at(run, row)
        last = (run.virtual_time_s or row["time_s"]) if end is None else end
        is_partition = row["verb"] == "partition"
        nodes = row["node"].replace(";", " ").split() if is_partition else [row["node"]]
        found += [
            Impairment(node=node, what=row["verb"], start_s=row["time_s"], end_s=last) for node in nodes
        ]
    return found


def unfired_faults(run: Run) -> list[UnfiredFault]:
    """Return the declared faults that never fired, had no effect, or do not apply to this algorithm."""
    faults, place = run.tables["faults"], ["fault", "text", "node"]
    if (faults["status"] == "fired").all():
        return []
    fired = faults.filter(pl.col("status") == "fired")
    rows = faults.join(fired, on=place, how="anti").unique(place, keep="first", maintain_order=True)
    return [
        UnfiredFault(text=r["text"], node=r["node"], status=r["status"], reason=r["reason"] or "")
        for r in rows.iter_rows(named=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broken:
    """What went wrong in a run: model transfers that failed, their routes split, and by node and instant
    the virtual seconds of work that were lost.
    """

    transfers: pl.DataFrame
    lost_s: Mapping[tuple[str, float], float]


def _what_broke(run: Run) -> _Broken:
    lost = run.tables["work"].filter(pl.col("status") == "lost")
    spans = lost.group_by("node", "end_s").agg(WORKED_S.sum().alias("span_s"))
    failed = ~pl.col("control") & (pl.col("status") == "failed")
    transfers = run.tables["transfers"].filter(failed).with_columns(pl.col("route").str.split(" "))
    return _Broken(
        transfers=transfers, lost_s={(node, end_s): span_s for node, end_s, span_s in spans.iter_rows()}
    )


def _cost(run: Run, fault: dict[str, object], seen: _Broken) -> FaultCost:
    node, begin = str(fault["node"]), float(str(fault["time_s"]))
    horizon = run.virtual_time_s
    if fault["verb"] in _ENDS:
        end = _undone_at(run, fault)
        end = horizon if end is None else end
    else:
        end = _end_of(run, node, str(fault["verb"]), begin)
    last = float("inf") if end is None else end
    broken = seen.transfers
    if not broken.is_empty():
        while_it_lasted = (pl.col("start_s") <= last) & (pl.col("end_s") >= begin)
        broken = broken.filter(_met(fault) & while_it_lasted)
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
        lost_s=None if no_work else seen.lost_s.get((node, begin), 0.0),
        remark=str(fault["reason"] or ""),
    )


def _met(fault: Mapping[str, object]) -> pl.Expr:
    """Whether a transfer that failed met a fault: at its node, on its link, or for its reason."""
    node, reason = str(fault["node"]), pl.col("reason")
    at_node = (pl.col("src") == node) | (pl.col("dst") == node) | _by_way_of(node)
    if fault["verb"] == "partition":
        return reason == "partitioned"
    on_link = at_node | pl.col("route").list.contains(node)
    return on_link & (reason == "checksum") if fault["verb"] == "corrupt" else on_link


def _undone_at(run: Run, fault: Mapping[str, object]) -> float | None:
    """When a fault that is no outage ended; None if it lasted to the end of the run."""
    undone = run.tables["faults"].filter(
        (pl.col("fault") == fault["fault"])
        & (pl.col("node") == fault["node"])
        & (pl.col("verb") == _ENDS[str(fault["verb"])])
        & (pl.col("time_s") >= float(str(fault["time_s"])))
    )
    return None if undone.is_empty() else float(undone["time_s"].min())  # type: ignore[arg-type]


def _by_way_of(node: str) -> pl.Expr:
    """Whether a transfer's route goes through the line of a node."""
    return pl.col("route").list.contains(f"{node}.down")


def _end_of(run: Run, node: str, verb: str, begin: float) -> float | None:
    """When the outage that holds ``begin`` ended; None if none is recorded."""
    return max((end_s for start_s, end_s in _outages(run).get((node, verb), ()) if start_s <= begin <= end_s),
               default=None)  # fmt: skip


@remembered
def _outages(run: Run) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Spans of outages by node and verb; those without an end are left out."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for node, what, start_s, end_s in run.tables["outages"].iter_rows():
        if start_s is not None and end_s is not None:
            found.setdefault((node, what), []).append((start_s, end_s))
    return found

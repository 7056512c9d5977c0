"""A run as a trace in Chrome's Trace Event format, which Perfetto (ui.perfetto.dev) opens.

One process per node with threads for computing, the network and faults; a model transfer is a
complete event at both ends, joined by an arrow from sender to receiver. Times are virtual, in
microseconds. (Format: "Trace Event Format", Google, 2016.)
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from simulator.record.measures_run import Run, load_run

Event = dict[str, Any]
THREADS = {"compute": 1, "sending": 2, "receiving": 3, "faults": 4, "events": 5}


def write_trace(run_folder: Path) -> Path:
    """Write ``trace.json`` into a run folder and return its path; tables that are missing are left out."""
    path = run_folder / "trace.json"
    text = json.dumps(trace(load_run(run_folder)), separators=(",", ":"), sort_keys=True)
    path.write_text(text, encoding="utf-8")
    return path


def trace(run: Run) -> Event:
    """Return the trace as a JSON object: metadata first, then events in order of time."""
    tables = run.tables
    nodes = set(tables["sites"]["site"]) | set(tables["work"]["node"]) | set(tables["events"]["node"])
    nodes |= set(tables["transfers"]["src"]) | set(tables["transfers"]["dst"])
    nodes |= set(tables["outages"]["node"])
    pids = {node: number for number, node in enumerate(sorted(nodes - {None}), start=1)}
    timed = [*_work(run, pids), *_transfers(run, pids), *_outages(run, pids), *_instants(run, pids)]
    timed.sort(key=lambda event: event["ts"])
    return {
        "traceEvents": [*_names(pids), *timed],
        "displayTimeUnit": "ms",
        "otherData": {"run": run.manifest["run_id"], "clock": "virtual time", "medgossip": "1"},
    }


def _us(seconds: float) -> int:
    """Whole microseconds; Perfetto keeps no more."""
    return round(seconds * 1e6)


def _names(pids: dict[str, int]) -> Iterator[Event]:
    for node, pid in pids.items():
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "ts": 0, "args": {"name": node}}
        for thread, tid in THREADS.items():
            yield {
                "ph": "M",
                "name": "thread_name",
                "pid": pid,
                "tid": tid,
                "ts": 0,
                "args": {"name": thread},
            }


def _complete(
    name: str, category: str, pid: int, thread: str, span: tuple[float, float], args: Event
) -> Event:
    start, end = _us(span[0]), _us(span[1])
    known = {key: value for key, value in args.items() if value is not None}
    return {
        **{"ph": "X", "name": name, "cat": category, "pid": pid, "tid": THREADS[thread]},
        **{"ts": start, "dur": max(0, end - start), "args": known},
    }


def _work(run: Run, pids: dict[str, int]) -> Iterator[Event]:
    for row in run.tables["work"].drop_nulls(["start_s", "end_s"]).iter_rows(named=True):
        name = row["task"] if row["status"] == "done" else f"{row['task']} ({row['status']})"
        args = {key: row[key] for key in ("round", "status", "flop", "extra_flop", "key")}
        yield _complete(name, "work", pids[row["node"]], "compute", (row["start_s"], row["end_s"]), args)


def _transfers(run: Run, pids: dict[str, int]) -> Iterator[Event]:
    """Both ends of each transfer; an arrow only where something arrived."""
    for number, row in enumerate(
        run.tables["transfers"].drop_nulls(["start_s", "end_s"]).iter_rows(named=True)
    ):
        args = {
            key: row[key]
            for key in (
                "src",
                "dst",
                "round",
                "nbytes",
                "carried_nbytes",
                "status",
                "reason",
                "attempt",
                "route",
            )
        }
        span = (row["start_s"], row["end_s"])
        category = "control" if row["control"] else "model"
        suffix = "" if row["status"] == "delivered" else f" ({row['status']})"
        src, dst = pids[row["src"]], pids[row["dst"]]
        yield _complete(f"{row['kind']} to {row['dst']}{suffix}", category, src, "sending", span, args)
        yield _complete(f"{row['kind']} from {row['src']}{suffix}", category, dst, "receiving", span, args)
        if row["status"] == "delivered":
            arrow = {"name": row["kind"], "cat": category, "id": number}
            yield {**arrow, "ph": "s", "pid": src, "tid": THREADS["sending"], "ts": _us(span[0])}
            end = {"ph": "f", "bp": "e", "pid": dst, "tid": THREADS["receiving"]}
            yield {**arrow, **end, "ts": max(_us(span[0]), _us(span[1]))}


def _outages(run: Run, pids: dict[str, int]) -> Iterator[Event]:
    for row in run.tables["outages"].drop_nulls(["start_s", "end_s"]).iter_rows(named=True):
        yield _complete(row["what"], "fault", pids[row["node"]], "faults", (row["start_s"], row["end_s"]), {})


def _instants(run: Run, pids: dict[str, int]) -> Iterator[Event]:
    """What protocols recorded; the details as arguments."""
    for row in run.tables["events"].filter(pl.col("node").is_not_null()).iter_rows(named=True):
        args = {key: row[key] for key in ("round", "peer") if row[key] is not None}
        if row["detail"]:
            args["detail"] = json.loads(row["detail"])
        yield {
            **{"ph": "i", "s": "t", "name": row["event"], "cat": "event", "pid": pids[row["node"]]},
            **{"tid": THREADS["events"], "ts": _us(row["time_s"]), "args": args},
        }

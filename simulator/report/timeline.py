"""A run as a trace in Chrome's Trace Event format, which Perfetto (ui.perfetto.dev) opens.

One process per node with threads for computing, the network and faults; a model transfer is a
complete event at both ends, joined by an arrow from sender to receiver. Times are virtual, in
microseconds. (Format: "Trace Event Format", Google, 2016.)
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.record.measures_run import Run

Event = dict[str, Any]
Span = tuple[int, int]  # microseconds
THREADS = {"faults": 1, "events": 1000, "compute": 2000, "sending": 3000, "receiving": 4000}
"""First thread number by purpose; spans that overlap go to the numbers that follow."""


class Lanes:
    """Threads per node and purpose, as many as it takes that no two spans of one thread overlap."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, str], list[int]] = {}

    def take(self, pid: int, thread: str, span: Span) -> int:
        """Return the number of a thread that is free from the span's start on, and occupy it."""
        ends = self._ends.setdefault((pid, thread), [])
        lane = next((i for i, busy_until in enumerate(ends) if busy_until <= span[0]), len(ends))
        ends[lane : lane + 1] = [span[1]]
        return THREADS[thread] + lane

    def names(self) -> Iterator[Event]:
        """Metadata that names every thread in use."""
        for (pid, thread), ends in self._ends.items():
            for lane in range(len(ends)):
                name = thread if lane == 0 else f"{thread} {lane + 1}"
                yield _metadata("thread_name", pid, THREADS[thread] + lane, name)


def write_trace(run: Run) -> Path:
    """Write ``trace.json`` into a run's folder and return its path; tables that are missing are left out."""
    path = run.folder / "trace.json"
    text = json.dumps(trace(run), separators=(",", ":"), sort_keys=True, allow_nan=False)
    path.write_text(text, encoding="utf-8")
    return path


def trace(run: Run) -> Event:
    """Return the trace as a JSON object: metadata first, then events in order of time."""
    pids = {node: number for number, node in enumerate(_nodes(run), start=1)}
    lanes = Lanes()
    timed = [*_work(run, pids, lanes), *_transfers(run, pids, lanes), *_outages(run, pids, lanes)]
    timed += _instants(run, pids, lanes)
    timed.sort(key=lambda event: event["ts"])
    processes = [_metadata("process_name", pid, 0, node) for node, pid in pids.items()]
    return {
        "traceEvents": [*processes, *lanes.names(), *timed],
        "displayTimeUnit": "ms",
        "otherData": {"run": run.manifest["run_id"], "clock": "virtual time"},
    }


def _nodes(run: Run) -> list[str]:
    """Every node that any table names, sorted."""
    columns = (
        *(("sites", "site"), ("work", "node"), ("events", "node"), ("outages", "node")),
        *(("transfers", "src"), ("transfers", "dst")),
    )
    return sorted({name for table, column in columns for name in run.tables[table][column].drop_nulls()})


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


def _metadata(what: str, pid: int, tid: int, name: str) -> Event:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": {"name": name}}


def _complete(name: str, category: str, pid: int, tid: int, span: Span, args: Event) -> Event:
    known = {key: value for key, value in args.items() if value is not None}
    head = {"ph": "X", "name": name, "cat": category, "pid": pid, "tid": tid}
    return {**head, "ts": span[0], "dur": span[1] - span[0], "args": known}


def _spans(run: Run, table: str) -> Iterator[tuple[dict[str, Any], Span]]:
    """The rows of a table that lasted from one instant to another, in order of their start."""
    rows = run.tables[table].drop_nulls(["start_s", "end_s"]).sort("start_s", "end_s", maintain_order=True)
    for row in rows.iter_rows(named=True):
        start = _us(row["start_s"])
        yield row, (start, max(start, _us(row["end_s"])))


def _work(run: Run, pids: dict[str, int], lanes: Lanes) -> Iterator[Event]:
    for row, span in _spans(run, "work"):
        name = row["task"] if row["status"] == "done" else f"{row['task']} ({row['status']})"
        args = {key: row[key] for key in ("round", "status", "flop", "extra_flop", "key")}
        pid = pids[row["node"]]
        yield _complete(name, "work", pid, lanes.take(pid, "compute", span), span, args)


def _transfers(run: Run, pids: dict[str, int], lanes: Lanes) -> Iterator[Event]:
    """Both ends of each transfer; an arrow only where something arrived."""
    for number, (row, span) in enumerate(_spans(run, "transfers")):
        args = {
            key: row[key] for key in ("src", "dst", "round", "nbytes", "carried_nbytes", "attempt", "route")
        }
        args |= {"status": row["status"], "reason": row["reason"] or None}
        category = "control" if row["control"] else "model"
        suffix = "" if row["status"] == "delivered" else f" ({row['status']})"
        src, dst = pids[row["src"]], pids[row["dst"]]
        out, into = lanes.take(src, "sending", span), lanes.take(dst, "receiving", span)
        yield _complete(f"{row['kind']} to {row['dst']}{suffix}", category, src, out, span, args)
        yield _complete(f"{row['kind']} from {row['src']}{suffix}", category, dst, into, span, args)
        if row["status"] == "delivered":
            arrow = {"name": row["kind"], "cat": category, "id": number}
            yield {**arrow, "ph": "s", "pid": src, "tid": out, "ts": span[0]}
            yield {**arrow, "ph": "f", "bp": "e", "pid": dst, "tid": into, "ts": span[1]}


def _outages(run: Run, pids: dict[str, int], lanes: Lanes) -> Iterator[Event]:
    for row, span in _spans(run, "outages"):
        pid = pids[row["node"]]
        yield _complete(row["what"], "fault", pid, lanes.take(pid, "faults", span), span, {})


def _instants(run: Run, pids: dict[str, int], lanes: Lanes) -> Iterator[Event]:
    """What protocols recorded; the details as arguments."""
    for row in run.tables["events"].drop_nulls(["node", "time_s"]).sort("seq").iter_rows(named=True):
        args = {key: row[key] for key in ("round", "peer") if row[key] is not None}
        if row["detail"]:
            args["detail"] = json.loads(row["detail"], parse_constant=str)
        pid = pids[row["node"]]
        tid = lanes.take(pid, "events", (0, 0))
        head = {"ph": "i", "s": "t", "name": row["event"], "cat": "event"}
        yield {**head, "pid": pid, "tid": tid, "ts": _us(row["time_s"]), "args": args}

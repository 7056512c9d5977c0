"""What ``run`` and ``plan`` print when they are done."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.commands.tables import cell, print_table
from simulator.record.gathered import gathered
from simulator.scenario.topologies import SERVER

if TYPE_CHECKING:  # importing them takes longer than the commands that print nothing of them
    from simulator.forecast import Foreseen
    from simulator.plans import PlanRow
    from simulator.run import StudyResult
    from simulator.work.costs import Source
    from simulator.work.sampling import Sample

RESULT_COLUMNS = {
    "label": "run",
    "status": "status",
    "virtual_time_s": "virtual time",
    "carried_nbytes": "traffic",
    "busiest_nbytes": "busiest link",
    "dice_mean": "Dice mean",
    "dice_worst": "worst site",
    "worst_site": "which",
}
PLAN_COLUMNS = {
    "label": "run",
    "virtual_time_s": "virtual time",
    "transmissions": "models sent",
    "carried_nbytes": "traffic",
    "busiest_nbytes": "busiest link",
    "busiest_link": "which",
    "wasted_nbytes": "wasted",
    "end_reason": "ended by",
}
FORECAST_COLUMNS = {
    "label": "run",
    "status": "status",
    "num_tasks": "tasks",
    "num_known": "known",
    "num_new": "to do",
    "work_s": "work of one core",
    "wall_s": "time",
    "new_nbytes": "new in store",
}
SOURCE_COLUMNS = {
    "source": "estimated from",
    "count": "to do",
    "work_s": "work of one core",
    "new_nbytes": "new in store",
}


def print_result(result: StudyResult) -> None:
    """Print the runs' warnings, one row per run, and where the results lie."""
    folders = [result.folder / str(line["label"]) for line in result.lines]
    abouts = [json.loads((folder / "manifest.json").read_text(encoding="utf-8")) for folder in folders]
    nodes = {site for about in abouts for site in about["fingerprints"]} | {SERVER}
    warnings = [
        (str(line["label"]), about["warnings"]) for line, about in zip(result.lines, abouts, strict=True)
    ]
    _warn(warnings, nodes)
    print_table(result.lines, RESULT_COLUMNS)
    for folder, line, about in zip(folders, result.lines, abouts, strict=True):
        if line["status"] != "ok":
            print(_trouble(folder, line, about["error"]), file=sys.stderr)
    for path in result.damaged:
        print(f"warning: damaged, set aside, and computed again: {path}", file=sys.stderr)
    if result.tasks is not None:
        saved = cell("saved_s", result.tasks.saved_s)
        told = f"{result.tasks.executed} computed, {result.tasks.reused} reused"
        print(f"tasks: {told}{f', which saved {saved} of one core' if result.tasks.saved_s else ''}")
    print(f"results: {result.folder}")
    if result.report is not None:
        print(f"report: {result.report}")


def _trouble(folder: Path, line: Mapping[str, object], error: str) -> str:
    """What went wrong in a run, where, and what to try; the recipe stays in the manifest."""
    what = " ".join(error.partition("; recipe:")[0].split())
    more = folder / "manifest.json"
    remedy = f"repeat the command once its cause is gone, finished work is kept; more in {more}"
    if line["status"] == "diverged":
        remedy = "lower task.optimizer.lr or set clip_norm"
    return f"{line['label']}: {line['status']}: {what}; {remedy}"


def print_forecast(found: Foreseen) -> None:
    """Print one row per run and one for all, and where its numbers come from; what could not be foreseen
    on standard error.
    """
    rows = found.rows
    time = f"time with --jobs {found.num_workers}"
    print_table([asdict(row) for row in rows], FORECAST_COLUMNS | {"wall_s": time})
    parts = found.estimate.parts
    if parts:
        print()
        told = [
            {"source": _told(source, found.sample), "count": cost.count}
            | {"work_s": cost.seconds, "new_nbytes": cost.nbytes}
            for source, cost in parts.items()
        ]
        print_table(told, SOURCE_COLUMNS)
    for row in rows:
        if row.remark:
            print(f"warning: {row.remark}", file=sys.stderr)
    if found.estimate.unmeasured:
        print(
            f"warning: not in work and store: {', '.join(found.estimate.unmeasured)}, never done with this "
            "store, and not to be measured in a few seconds; the first run tells: "
            f"repeat without --plan, with --only {next(row.label for row in rows if row.unmeasured)}",
            file=sys.stderr,
        )


def _told(source: Source, sample: Sample | None) -> str:
    """Where an estimate comes from, in words."""
    if source == "sampled" and sample is not None:
        size = f"{sample.num_tasks} tasks on up to {sample.num_cases} case(s) per site"
        wall = cell("wall_s", sample.wall_s)
        return f"measured just now on this machine's {sample.device} in {wall}: {size}"
    return {
        "done": "such tasks of earlier runs",
        "sampled": "such tasks, measured for an earlier --plan",
        "alike": "such tasks of other recipes with these data and networks",
        "scaled": "other tasks with these data and networks, by operations",
    }[source]


def print_plan(rows: Sequence[PlanRow], as_json: bool) -> None:
    """Print one row per run, warnings on standard error; or all of it as JSON."""
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print_table([asdict(row) for row in rows], PLAN_COLUMNS)
    for row in rows:
        for what, nbytes in row.apart_nbytes.items():
            part = " of ".join(cell("nbytes", value) for value in (nbytes, row.carried_nbytes))
            print(f"{row.label}: {what}: {part}")
    _warn([(row.label, row.warnings) for row in rows])


def _warn(runs: Sequence[tuple[str, Sequence[str]]], nodes: Collection[str] = ()) -> None:
    """Print the warnings of runs, what many of them share once; names of ``nodes`` may differ."""
    notes = [(label, text) for label, texts in runs for text in texts]
    for who, text in gathered(notes, len(runs), nodes):
        print(f"warning: {who}: {text}", file=sys.stderr)

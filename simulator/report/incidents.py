"""The tables of a report that tell what happened on the way: faults, events, skipped cases, problems."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from simulator.record.gathered import gathered
from simulator.record.measures_faults import FaultCost, fail_overs, fault_costs, unfired_faults
from simulator.record.measures_run import Run, Study
from simulator.report.tables import Summaries, Table, lengthwise
from simulator.report.text import MISSING, count, duration, listing, size
from simulator.scenario.topologies import SERVER

MAX_STRUCK = 40
"""With more faults in all runs, their means by label are told."""


def faults(runs: Sequence[Run]) -> list[Table]:
    """What each fault cost, and the declared faults that did not happen."""
    costs = [(run, one) for run in runs for one in fault_costs(run)]
    made = []
    if costs:
        made.append(_struck(costs) if len(costs) <= MAX_STRUCK else _struck_on_average(runs, costs))
    made += _changes_of_server(runs)
    idle = [
        (str(run.manifest["run_id"]), "\t".join((gone.text, gone.node, gone.status, gone.reason)))
        for run in runs
        for gone in unfired_faults(run)
    ]
    if idle:
        nodes = {name for run in runs for name in run.tables["sites"]["site"]}
        alike = [(who, *text.split("\t")) for who, text in gathered(idle, len(runs), nodes)]
        head = ("run", "fault", "node", "status", "why")
        made.append(Table(title="Declared faults that did not strike", head=head, rows=tuple(alike)))
    return made


def _struck(costs: Sequence[tuple[Run, FaultCost]]) -> Table:
    rows = []
    for run, one in costs:
        lasted = duration(one.lasted_s) + ("" if one.undone or one.lasted_s is None else " (to the end)")
        what = f"{one.verb} {one.node}" + (f" ({one.remark})" if one.remark else "")
        broken = (count(one.failed_models), size(one.wasted_nbytes), duration(one.lost_s))
        rows.append((str(run.manifest["run_id"]), what, duration(one.time_s), lasted, *broken))
    return Table(
        title="Faults that struck",
        head=("run", "fault", "at", "lasted", "models not delivered", "bytes wasted", "work lost"),
        rows=tuple(rows),
        note="Counted while the fault lasted, at its node; where two overlap, for both.",
    )


def _struck_on_average(runs: Sequence[Run], costs: Sequence[tuple[Run, FaultCost]]) -> Table:
    """The same by method and kind of fault."""
    num_runs = Counter(run.label for run in runs)
    alike: dict[tuple[str, str], list[FaultCost]] = {}
    for run, one in costs:
        who = SERVER if one.node == SERVER else "sites"
        alike.setdefault((run.label, f"{one.verb} {who}"), []).append(one)
    rows = tuple(
        (
            label,
            what,
            count(len(found) / num_runs[label]),
            duration(_per(len(found), [one.lasted_s for one in found])),
            count(_per(num_runs[label], [one.failed_models for one in found])),
            size(_per(num_runs[label], [one.wasted_nbytes for one in found])),
            duration(_per(num_runs[label], [one.lost_s for one in found])),
        )
        for (label, what), found in alike.items()
    )
    return Table(
        title="Faults that struck, means over runs",
        head=("method", "fault", "times", "lasted", "models not delivered", "bytes wasted", "work lost"),
        rows=rows,
        note="Counted while a fault lasted, at its node; where two overlap, for both. Each fault by itself: "
        "medgossip report and the folder of a run.",
    )


def _per(number_of: int, values: Sequence[float | None]) -> float | None:
    """The sum of what is known over a number of something; None where nothing is known."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / number_of if known else None


def _changes_of_server(runs: Sequence[Run]) -> list[Table]:
    rows = [
        (str(run.manifest["run_id"]), duration(one.time_s), one.former, one.machine, duration(one.silent_s),
         size(one.replica_nbytes))
        for run in runs
        for one in fail_overs(run)
    ]  # fmt: skip
    head = ("run", "at", "from", "to", "silent for", "replicas, whole run")
    note = "“–”: by plan, the former server was there."
    return [Table(title="Changes of the server", head=head, rows=tuple(rows), note=note)] if rows else []


def events(summaries: Summaries) -> Table | None:
    """What protocols recorded, counted by name; rounds and ends of tasks are left out."""
    names = sorted({name for many in summaries.values() for s in many for name in s.effort.events})
    names = [name for name in names if name not in {"round", "ended"} and not name.endswith("_outcome")]
    if not names:
        return None
    rows = tuple(
        (
            name,
            *(
                count(sum(s.effort.events.get(name, 0) for s in many) / len(many))
                for many in summaries.values()
            ),
        )
        for name in names
    )
    head = ("event", *summaries)
    return lengthwise(Table(title="Events by name", head=head, rows=rows, note="Means over runs."))


def skipped(runs: Sequence[Run]) -> Table | None:
    """Cases that could not be used, each once."""
    rows = {row for run in runs for row in run.tables["skipped_cases"].iter_rows()}
    ordered = sorted(tuple(MISSING if v is None else str(v) for v in row) for row in rows)
    head = ("site", "case", "reason")
    return Table(title="Skipped cases", head=head, rows=tuple(ordered)) if ordered else None


def problems(study: Study, chosen: Collection[Path] | None = None) -> list[str]:
    """Everything a reader must know before trusting the numbers: failed runs, warnings, missing tables.

    ``chosen`` are the folders of the runs that are shown, by default of all; of others only failures count.
    """
    told = [run for run in study.runs if chosen is None or run.folder in chosen or not run.has_ended]
    notes = [(str(run.manifest["run_id"]), text) for run in told for text in _problems(run)]
    nodes = {name for run in told for name in run.tables["sites"]["site"]}
    found: dict[str, list[str]] = {}  # each text once, with the runs that it is about
    for who, text in gathered(notes, len(study.runs), nodes):
        found.setdefault(text, []).append(who)
    return [*study.problems, *(f"{listing(names, 8)}: {text}" for text, names in found.items())]


def _problems(run: Run) -> list[str]:
    said = []
    ended = str(run.manifest.get("end_reason") or "")
    if not run.has_ended:
        why = run.manifest.get("error") or ended or "no reason recorded"
        said.append(f"{run.manifest['status']}, left out of figures and comparisons: {why}")
    # when a run ended does not tell one unfired fault from another
    said += [str(text).split(": the run ended at")[0] for text in run.manifest.get("warnings", ())]
    if ended.startswith("deadlock"):
        said.append(f"ended in a {ended}")
    if run.missing:
        absent = ", ".join(f"{name}.parquet" for name in run.missing)
        said.append(f"{absent} missing; what needs them is shown as {MISSING}")
    return said

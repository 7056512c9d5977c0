"""The tables of a report that tell what happened on the way: faults, events, skipped cases, problems."""

from collections.abc import Sequence

from simulator.record.gathered import gathered
from simulator.record.measures_faults import fail_overs, fault_costs, unfired_faults
from simulator.record.measures_run import Run, Study, by_label
from simulator.report.tables import Summaries, Table
from simulator.report.text import MISSING, count, duration, listing, size

MAX_STRUCK = 40
"""With more faults in all runs, those of the first run of each label are told one by one."""


def faults(runs: Sequence[Run]) -> list[Table]:
    """What each fault cost, and the declared faults that did not happen."""
    made = []
    struck = {str(run.manifest["run_id"]): _struck(run) for run in runs}
    firsts = {str(some[0].manifest["run_id"]) for some in by_label(runs).values()}
    everything = sum(map(len, struck.values())) <= MAX_STRUCK
    rows = [(name, *row) for name, some in struck.items() if everything or name in firsts for row in some]
    if rows:
        columns = ("run", "fault", "at", "lasted", "models not delivered", "bytes wasted", "work lost")
        note = "Counted while the fault lasted, at its node; where two overlap, for both."
        note += "" if everything else " Of the first run of each; the others' lie in their faults.parquet."
        made.append(Table(title="Faults that struck", head=columns, rows=tuple(rows), note=note))
    made += _changes_of_server(runs)
    idle = [
        (str(run.manifest["run_id"]), "\t".join((gone.text, gone.node, gone.status, gone.reason)))
        for run in runs
        for gone in unfired_faults(run)
    ]
    if idle:
        alike = [(who, *text.split("\t")) for who, text in gathered(idle, len(runs))]
        head = ("run", "fault", "node", "status", "why")
        made.append(Table(title="Declared faults that did not strike", head=head, rows=tuple(alike)))
    return made


def _struck(run: Run) -> list[tuple[str, ...]]:
    """Each fault of a run, when it struck, and what it cost."""
    rows: list[tuple[str, ...]] = []
    for one in fault_costs(run):
        lasted = duration(one.lasted_s) + ("" if one.undone or one.lasted_s is None else " (to the end)")
        what = f"{one.verb} {one.node}" + (f" ({one.remark})" if one.remark else "")
        broken = (count(one.failed_models), size(one.wasted_nbytes), duration(one.lost_s))
        rows.append((what, duration(one.time_s), lasted, *broken))
    return rows


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
    return Table(title="Events by name", head=("event", *summaries), rows=rows, note="Means over runs.")


def skipped(runs: Sequence[Run]) -> Table | None:
    """Cases that could not be used, each once."""
    rows = {row for run in runs for row in run.tables["skipped_cases"].iter_rows()}
    ordered = sorted(tuple(MISSING if v is None else str(v) for v in row) for row in rows)
    head = ("site", "case", "reason")
    return Table(title="Skipped cases", head=head, rows=tuple(ordered)) if ordered else None


def problems(study: Study) -> list[str]:
    """Everything a reader must know before trusting the numbers: failed runs, warnings, missing tables."""
    notes = [(str(run.manifest["run_id"]), text) for run in study.runs for text in _problems(run)]
    found: dict[str, list[str]] = {}  # each text once, with the runs that it is about
    for who, text in gathered(notes, len(study.runs)):
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

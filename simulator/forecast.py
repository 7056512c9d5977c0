"""What a study will take before it runs: its tasks, those that are known, hours and gigabytes."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from simulator import observations, study_folder
from simulator.errors import NoValue
from simulator.scenario import Study
from simulator.simulation import Bases, simulate
from simulator.work.costs import (
    Estimate,
    Kind,
    Notes,
    Source,
    by_kind,
    estimate,
    note,
    noted,
    seconds_by_key,
)
from simulator.work.foreseer import Foreseer
from simulator.work.graph import with_ancestors
from simulator.work.jobs import Job
from simulator.work.makespan import makespan_s
from simulator.work.sampling import Sample, sample
from simulator.work.store import Store, default_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A run's tasks. ``work_s`` (seconds of one worker), ``wall_s`` (seconds until all workers together have
    done it, the simulation in virtual time before it included) and ``new_nbytes`` are without those of
    ``unmeasured`` tasks, of which nothing is known, and None where nothing is known of any; ``remark`` says
    why nothing could be foreseen.
    """

    label: str
    status: str
    num_tasks: int | None
    num_known: int | None
    num_new: int | None
    work_s: float | None
    wall_s: float | None
    new_nbytes: int | None
    unmeasured: tuple[str, ...] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A row per run and one for all, what runs have in common counted once there; and where that one's
    numbers come from, with the sample that was taken for them; for so many workers.
    """

    rows: list[Forecast]
    num_workers: int
    estimate: Estimate
    sample: Sample | None


@dataclass(slots=True, kw_only=True)
class _Foresight:
    """A run: all its keys, those to compute, and the seconds that its simulation took; or a remark why these
    are not known.
    """

    label: str
    status: str
    keys: set[str] = field(default_factory=set)
    todo: set[str] = field(default_factory=set)
    simulated_s: float = 0.0
    remark: str = ""


def forecast(
    study: Study, *, out: Path, jobs: int, device: str, store: Path | None, tell: Callable[[str], None]
) -> Foreseen:
    """Return what a study will take with so many ``jobs`` at a time.

    Where nothing like its tasks was done before with this store, some are done as a sample, and noted there;
    ``tell`` hears of it before. The tests of the models that will be selected are left out, as nobody
    knows yet which these are.
    """
    from simulator.learning.numerics import device_and_modes

    chosen, modes = device_and_modes(device, (point.scenario.task.precision for point in study.points))
    kept_in = Store(store or default_root())
    foreseer, notes = Foreseer(kept_in), noted(kept_in.root)
    runs = _foresee(study, out / study_folder.name_of(study), foreseer, modes)
    todo = set().union(*(run.todo for run in runs))
    missing = _missing(_jobs(foreseer, todo), notes, chosen)
    taken = None
    if missing:
        names = ", ".join(sorted({kind.task for kind in missing}))
        tell(f"never done with this store: {names}; doing a few of these to see what they take")
        taken = sample(foreseer.jobs, missing, chosen)
        note(kept_in.root, taken.costs, sampled=True)
        notes.add(taken.costs, sampled=True)
    together = _Foresight(
        label="together",
        status="",
        keys=set().union(*(run.keys for run in runs)),
        todo=todo,
        simulated_s=math.fsum(run.simulated_s for run in runs),
    )
    seconds = seconds_by_key(_jobs(foreseer, todo), notes, chosen)
    rows = []
    for run in [*runs, together]:
        found = estimate(_jobs(foreseer, run.todo), notes, chosen)
        wall_s = makespan_s({key: foreseer.jobs[key] for key in run.todo}, seconds, jobs)
        rows.append(_row(run, found, run.simulated_s + wall_s))
    return Foreseen(rows=rows, num_workers=jobs, estimate=found, sample=taken)


def _foresee(study: Study, folder: Path, foreseer: Foreseer, modes: Sequence[str]) -> list[_Foresight]:
    """Simulate every point, and look which of its results are there."""
    bases, studies = study_folder.bases(study, modes), study_folder.of_this_name(folder, study.name)
    runs, found = [], Bases()
    for point, mode, basis in zip(study.points, modes, bases, strict=True):
        finished = study_folder.finished_run(studies, point, basis) is not None
        run = _Foresight(label=point.label, status="finished" if finished else "to run")
        runs.append(run)
        begun = perf_counter()
        try:
            shared = found.of(point.scenario)
            simulated = simulate(point.label, point.scenario, foreseer, mode, shared)
        except NoValue as error:
            run.remark = f"{point.label}: cannot be foreseen: {error}"
            continue
        wanted = [one.key for one in observations.rounds(simulated, foreseer)]
        run.keys = with_ancestors(foreseer.jobs, wanted)
        if not finished:
            run.todo, run.simulated_s = foreseer.todo(wanted), perf_counter() - begun
    return runs


def _jobs(foreseer: Foreseer, keys: Iterable[str]) -> list[Job]:
    return [foreseer.jobs[key] for key in keys]


def _missing(jobs: Iterable[Job], notes: Notes, device: str) -> set[Kind]:
    """Kinds of which nothing is known; if there are any, those too that would be scaled from others."""
    found = {kind: notes.find(group[0], kind) for kind, group in by_kind(jobs, device)}
    if None not in found.values():
        return set()
    return {kind for kind, known in found.items() if known is None or known[0] == Source.SCALED}


def _row(run: _Foresight, found: Estimate, wall_s: float) -> Forecast:
    if run.remark:
        return Forecast(
            label=run.label, status=run.status, num_tasks=None, num_known=None, num_new=None,
            work_s=None, wall_s=None, new_nbytes=None, remark=run.remark,
        )  # fmt: skip
    is_known = bool(found.parts) or not found.unmeasured
    return Forecast(
        label=run.label,
        status=run.status,
        num_tasks=len(run.keys),
        num_known=len(run.keys) - len(run.todo),
        num_new=len(run.todo),
        work_s=found.cost.seconds if is_known else None,
        wall_s=wall_s if is_known else None,
        new_nbytes=found.cost.nbytes if is_known else None,
        unmeasured=found.unmeasured,
    )

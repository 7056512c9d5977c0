"""A study from its points to its folder: simulate, compute what is needed, evaluate, write, report."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from time import perf_counter

from simulator import observations, results
from simulator.errors import ExitCode, MedgossipError
from simulator.outcome import Outcome
from simulator.progress import Progress
from simulator.scenario import Point, Study, digest
from simulator.simulation import Simulated, simulate
from simulator.work.executors import Executor, PlanExecutor, PoolExecutor
from simulator.work.pools import InlinePool, Pool, ProcessPool
from simulator.work.store import Store, default_root

STORE_LIMIT_NBYTES = 50e9


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What became of a study. ``lines`` are rows to print: label, status, virtual time, …"""

    folder: Path
    report: Path | None
    exit_code: ExitCode
    lines: list[dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """A run's time and traffic, without training."""

    label: str
    virtual_time_s: float
    transmissions: int
    carried_nbytes: int
    wasted_nbytes: int
    busiest_link: str
    busiest_nbytes: int
    end_reason: str
    warnings: tuple[str, ...]
    apart_nbytes: Mapping[str, int]  # of what was delivered, what a method counts apart


def plan(study: Study) -> list[PlanRow]:
    """Simulate every point without computing a value."""
    rows = []
    for point in study.points:
        run = simulate(point.label, point.scenario, PlanExecutor(), "plan", lambda _: None)
        rows.append(plan_row(run))
    return rows


def plan_row(run: Simulated) -> PlanRow:
    """Time and traffic of a simulated run."""
    traffic = results.traffic(run.ledger)
    return PlanRow(
        label=run.label,
        virtual_time_s=run.virtual_time_s,
        end_reason=run.end_reason,
        warnings=run.warnings,
        apart_nbytes=run.world.payloads.account()["apart_nbytes"],
        **traffic,
    )


def execute(
    study: Study, *, out: Path, jobs: int, device: str, store: Path | None, progress: Progress
) -> StudyResult:
    """Run every point of a study, write its folder and report.

    A study's folder appears under its name when it is complete; what was trained before an
    interruption lies in the store, so the same command goes on from there.
    """
    from simulator.learning.numerics import numeric_mode, pick_device, setup_process

    start = perf_counter()
    chosen = pick_device(device)
    if jobs == 1:  # else this process trains nothing
        setup_process()
    executor = make_executor(Store(store or default_root()), jobs, chosen)
    ready = perf_counter()
    try:
        progress.stage(f"simulating {len(study.points)} run(s) in virtual time")
        modes = [numeric_mode(point.scenario.task.precision, chosen) for point in study.points]
        outcomes = [_simulate(point, executor, mode) for point, mode in zip(study.points, modes, strict=True)]
        simulated = perf_counter()
        _compute(outcomes, executor, progress)
        computed = perf_counter()
        progress.stage("writing tables and the report")
        wall_s = {"start": ready - start, "simulate": simulated - ready, "compute": computed - simulated}
        return _write(study, outcomes, executor, out, wall_s)
    finally:
        executor.close()
        progress.close()


def make_executor(store: Store, jobs: int, device: str) -> PoolExecutor:
    """Inline for one job on a CPU, resident processes otherwise."""
    from simulator.learning.numerics import WORKER_ENVIRONMENT

    pool: Pool
    pool = InlinePool(store, device) if jobs == 1 else ProcessPool(store, device, jobs, WORKER_ENVIRONMENT)
    return PoolExecutor(store, pool)


def _simulate(point: Point, executor: Executor, mode: str) -> Outcome:
    outcome = Outcome(point=point)
    try:
        outcome.run = simulate(point.label, point.scenario, executor, mode, lambda _: None)
        outcome.rounds = observations.rounds(outcome.run, executor)
    except MedgossipError as error:
        if error.exit_code in {ExitCode.BAD_INPUT, ExitCode.ENVIRONMENT}:
            raise  # the same for every run that follows: nothing has been lost yet
        outcome.error = error
    return outcome


def _compute(outcomes: Sequence[Outcome], executor: Executor, progress: Progress) -> None:
    """Everything that an evaluation needs, then the tests of the selected models."""
    progress.stage("training and evaluating")
    shown = [0]

    def tell(task: str, done: int, total: int) -> None:
        if total != shown[0]:
            shown[0] = total
            progress.total(total)
        progress.advance(task)

    wanted = [one.key for outcome in outcomes for one in outcome.rounds]
    errors = executor.finish(wanted, tell)
    for outcome in outcomes:
        _note_errors(outcome, outcome.rounds, errors)
        if outcome.error is None and outcome.run is not None:
            outcome.selected = observations.selected(outcome.run, executor, outcome.rounds)
            outcome.unseen = observations.unseen(outcome.run, executor, outcome.selected)
    progress.stage("testing the selected models")
    shown[0] = 0
    errors = executor.finish([one.key for outcome in outcomes for one in outcome.tests], tell)
    for outcome in outcomes:
        _note_errors(outcome, outcome.tests, errors)


def _note_errors(
    outcome: Outcome, evaluations: Sequence[observations.Evaluation], errors: dict[str, MedgossipError]
) -> None:
    failed = [errors[one.key] for one in evaluations if one.key in errors]
    if failed and outcome.error is None:
        outcome.error = failed[0]


def _write(
    study: Study, outcomes: Sequence[Outcome], executor: PoolExecutor, out: Path, wall_s: dict[str, float]
) -> StudyResult:
    """Write into a hidden folder, then give it its name: no reader ever sees half a study."""
    from simulator import report

    name = f"{study.name}-{_study_digest(study)}"
    partial, final = out / f".{name}.{os.getpid()}", out / name
    out.mkdir(parents=True, exist_ok=True)
    _sweep_up(out, name)
    try:
        partial.mkdir()
        for outcome in outcomes:
            results.write_run(partial / outcome.point.label, outcome, executor, wall_s)
        results.write_study(partial, study)
        report.build([partial], partial)
        old = partial.with_name(f"{partial.name}.old")
        if final.exists():
            final.replace(old)  # the name is free only for the blink of an eye
        partial.replace(final)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    executor.store.evict(STORE_LIMIT_NBYTES, keep=_used(outcomes))
    codes = [outcome.error.exit_code for outcome in outcomes if outcome.error is not None]
    code = ExitCode.OK
    if codes:
        code = ExitCode.DIVERGED if ExitCode.DIVERGED in codes else ExitCode.SOME_RUNS_FAILED
    lines = [results.summary_line(final / outcome.point.label) for outcome in outcomes]
    return StudyResult(folder=final, report=final / "report.html", exit_code=code, lines=lines)


def _sweep_up(out: Path, name: str) -> None:
    """Delete what killed runs of this study left: hidden folders whose process is gone."""
    for path in out.glob(f".{escape(name)}.*"):
        pid = path.name.removeprefix(f".{name}.").removesuffix(".old")
        if pid == str(os.getpid()) or (pid.isdecimal() and not _is_running(int(pid))):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs and is somebody else's
        return True
    return True


def _used(outcomes: Sequence[Outcome]) -> set[str]:
    """Keys of all that these runs are made of: cases, work, evaluations."""
    keys: set[str] = set()
    for outcome in outcomes:
        if outcome.run is not None:
            keys |= outcome.run.world.keys | set(outcome.run.namer.prepared.values())
        keys |= {one.key for one in [*outcome.rounds, *outcome.tests]}
    return keys


def _study_digest(study: Study) -> str:
    from simulator.work.jobs import digest as digest_of

    return digest_of([digest(point.scenario) for point in study.points])[:8]

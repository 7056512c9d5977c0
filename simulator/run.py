"""A study from its points to its folder: simulate, compute what is needed, evaluate, write, report."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from simulator import observations, results, study_folder
from simulator.errors import ExitCode, Interrupted, MedgossipError
from simulator.outcome import Outcome
from simulator.progress import NotedProgress, Progress
from simulator.reuse import Reuse, ReuseCounter, together
from simulator.scenario import Study
from simulator.simulation import Bases, simulate
from simulator.work.executors import Executor, PoolExecutor, Stopping, Tell
from simulator.work.pools import InlinePool, ProcessPool, import_ahead
from simulator.work.slots import slots
from simulator.work.store import LIMIT_NBYTES, Store, default_root


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What became of a study. ``lines`` are rows to print: label, status, virtual time, …; ``damaged``
    are files of the store that could not be read, and whose work was done again. ``tasks``: those of the
    runs that were made now, None where all were finished before.
    """

    folder: Path
    report: Path | None
    exit_code: ExitCode
    lines: list[dict[str, object]]
    damaged: tuple[Path, ...] = ()
    tasks: Reuse | None = None


def execute(
    study: Study,
    *,
    out: Path,
    jobs: int,
    device: str,
    store: Path | None,
    progress: Progress,
    stopping: Stopping = lambda: False,
    cluster: str | None = None,
) -> StudyResult:
    """Run every point of a study, write its folder and report.

    The folder is declared at once and completed at the end; what was trained before an interruption
    lies in the store, so the same command goes on from there. Points whose results lie in the folder
    are kept as they are, unless something has changed that decides them. With a ``cluster``, its workers
    train, see :func:`simulator.work.cluster.connect`; ``jobs`` of them, or all for 0.

    Raises:
        Interrupted: ``stopping`` said so; running tasks were finished first.
        SetupError: no space left, or another process runs this study into the same folder.
    """
    from simulator.learning.numerics import WORKER_ENVIRONMENT, device_and_modes

    start, folder = perf_counter(), out / study_folder.name_of(study)
    if jobs > 1 and cluster is None and not (folder / "report.html").is_file():
        import_ahead(device, WORKER_ENVIRONMENT)
    chosen, modes = device_and_modes(device, (point.scenario.task.precision for point in study.points))
    progress = NotedProgress(progress, study_folder.note_of(folder))
    with study_folder.alone(folder):
        bases = study_folder.bases(study, modes)
        study_folder.declare(folder, study, bases)
        outcomes = [
            Outcome(point=point, basis=basis, kept=study_folder.is_finished(folder / point.label, basis))
            for point, basis in zip(study.points, bases, strict=True)
        ]
        if all(outcome.kept for outcome in outcomes) and (folder / "report.html").is_file():
            noted = study_folder.lines(folder)
            return _result(folder, outcomes, [dict(noted[one.point.label]) for one in outcomes])
        kept_in = store or default_root()
        executor = _prepared_executor(Store(kept_in), jobs, chosen, stopping, cluster, progress.line)
        damaged = executor.store.quarantined()
        try:
            wall_s = _work(outcomes, modes, executor, progress, start)
            progress.stage("writing tables")
            reuse = ReuseCounter(executor)
            lines = _write(study, outcomes, executor, folder, wall_s, reuse, progress)
            executor.store.evict(LIMIT_NBYTES)
        except Interrupted as error:
            where = f" --store {shlex.quote(str(store))}" if store else ""
            remedy = f"go on with: medgossip resume {shlex.quote(str(folder))}{where}"
            raise Interrupted(f"{error.args[0]}, {remedy}") from None
        finally:
            executor.close()
            progress.close()
        found = sorted(set(executor.store.quarantined()) - set(damaged))
        named = [kept_in / "quarantine" / name for name in found]
        return _result(folder, outcomes, lines, named, together(reuse.runs) if reuse.runs else None)


def _work(
    outcomes: Sequence[Outcome],
    modes: Sequence[str],
    executor: PoolExecutor,
    progress: Progress,
    start: float,
) -> dict[str, float]:
    """Simulate and compute what is not kept; return the wall seconds of each part."""
    todo = [(one, mode) for one, mode in zip(outcomes, modes, strict=True) if not one.kept]
    kept = f"; {len(outcomes) - len(todo)} finished before" if len(todo) < len(outcomes) else ""
    ready = perf_counter()
    progress.stage(f"simulating {len(todo)} run(s) in virtual time{kept}")
    progress.total(len(todo))
    bases = Bases()
    for outcome, mode in todo:
        executor.check_stop()
        _simulate(outcome, executor, mode, bases)
        progress.advance(outcome.point.label)
    simulated = perf_counter()
    _compute([outcome for outcome, _ in todo], executor, progress)
    computed = perf_counter()
    return {"start": ready - start, "simulate": simulated - ready, "compute": computed - simulated}


def _prepared_executor(
    store: Store, jobs: int, device: str, stopping: Stopping, cluster: str | None, tell: Tell
) -> PoolExecutor:
    from simulator.learning.numerics import setup_process

    if cluster is not None:
        from simulator.work.cluster import connect

        pool = connect(cluster, store=store, device=device, num_workers=jobs)
        return PoolExecutor(store, pool, stopping, tell)
    if jobs == 1:  # else this process trains nothing
        setup_process()
    return make_executor(store, jobs, device, stopping, tell)


def make_executor(
    store: Store,
    jobs: int,
    device: str,
    stopping: Stopping = lambda: False,
    tell: Tell = lambda _: None,
) -> PoolExecutor:
    """Inline for one job, resident processes otherwise; on GPUs always such, as one may have to be replaced,
    and no more than find room.
    """
    from simulator.learning.numerics import WORKER_ENVIRONMENT, free_gpu_memory

    if jobs == 1 and device == "cpu":
        return PoolExecutor(store, InlinePool(store, device), stopping, tell)
    shared = slots(free_gpu_memory(), jobs) if device == "cuda" else None
    if shared is not None:
        tell(str(shared))
    pool = ProcessPool(store, device, shared.count if shared else jobs, WORKER_ENVIRONMENT, shared)
    return PoolExecutor(store, pool, stopping, tell)


def _simulate(outcome: Outcome, executor: Executor, mode: str, bases: Bases) -> None:
    point = outcome.point
    try:
        basis = bases.of(point.scenario)
        outcome.run = simulate(point.label, point.scenario, executor, mode, basis)
        outcome.rounds = observations.rounds(outcome.run, executor)
    except MedgossipError as error:
        if error.exit_code in {ExitCode.BAD_INPUT, ExitCode.ENVIRONMENT, ExitCode.INTERRUPTED}:
            raise  # the same for every run that follows: nothing has been lost yet
        outcome.error = error


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
    study: Study,
    outcomes: Sequence[Outcome],
    executor: PoolExecutor,
    folder: Path,
    wall_s: Mapping[str, float],
    reuse: ReuseCounter,
    progress: Progress,
) -> list[dict[str, object]]:
    """Write the complete folder, then give it its name; return a row per run to print."""
    from simulator import report

    progress.total(len(outcomes))
    with study_folder.replacing(folder) as partial:
        for outcome in outcomes:
            run = partial / outcome.point.label
            if outcome.kept:
                study_folder.keep_run(folder / outcome.point.label, run)
            else:
                results.write_run(run, outcome, executor, wall_s, reuse.count)
            progress.advance(outcome.point.label)
        progress.stage("writing the report")
        lines = results.conclude([partial / outcome.point.label for outcome in outcomes])
        results.write_study(partial, study, lines)
        report.build([partial], partial)
    return lines


def _result(
    folder: Path,
    outcomes: Sequence[Outcome],
    lines: list[dict[str, object]],
    damaged: Sequence[Path] = (),
    tasks: Reuse | None = None,
) -> StudyResult:
    codes = [outcome.error.exit_code for outcome in outcomes if outcome.error is not None]
    code = ExitCode.OK
    if codes:
        code = ExitCode.DIVERGED if ExitCode.DIVERGED in codes else ExitCode.SOME_RUNS_FAILED
    return StudyResult(
        folder=folder,
        report=folder / "report.html",
        exit_code=code,
        lines=lines,
        damaged=tuple(damaged),
        tasks=tasks,
    )

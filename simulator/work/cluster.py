"""Workers of a Dask cluster: each takes one job at a time, results travel through a store that all share.

Dask carries a job to a worker and its outcome back, under the task's key, and gives the job of a lost
worker to another. What a worker must have in common with this process is checked at every job: the
folder of the store, the source code, the numeric mode, and one thread per process.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from shutil import which
from time import monotonic, sleep
from typing import Any

from simulator.errors import ScenarioError, SetupError
from simulator.record.manifest import source_digest
from simulator.work.jobs import Job
from simulator.work.store import Store
from simulator.work.worker import Bench, Outcome

SLURM = "slurm"
_LOOK_EVERY_S, _PATIENCE_S, _CONNECT_S = 1.0, 600.0, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Passport:
    """What a worker must have in common with the process that hands out the work.

    ``token`` names a file in ``store``; ``mode`` decides bits; ``code`` is a digest of source by package.
    """

    store: Path
    token: str
    device: str
    mode: str
    code: Mapping[str, str] = field(default_factory=dict)


class ClusterPool:
    """The workers of a Dask scheduler, as many as there are at any time, or ``most`` of them."""

    def __init__(self, client: Any, cluster: Any, store: Store, device: str, most: int) -> None:
        from simulator.learning.numerics import numeric_mode

        self.device = device
        self._client, self._cluster, self._store, self._most = client, cluster, store, most
        self._token, self._mode = f"cluster-{token_hex(8)}", numeric_mode("any precision", device)
        self._numbers: dict[str, int] = {}  # of workers, by address
        self._futures: dict[Any, tuple[int, Job]] = {}
        self._tries: dict[str, int] = {}
        self._seen_s = monotonic()  # when there was a worker
        (store.root / self._token).touch()

    def idle(self) -> list[int]:
        """Workers without a job, in the order in which they came."""
        there = self._workers()
        for address in sorted(there - self._numbers.keys()):
            self._numbers[address] = len(self._numbers)
        taken = {worker for worker, _ in self._futures.values()}
        free = [
            worker for address, worker in self._numbers.items() if address in there and worker not in taken
        ]
        return free[: max(self._most - len(self._futures), 0) if self._most else None]

    def _workers(self) -> set[str]:
        """Addresses of the workers that the scheduler knows.

        Raises:
            SetupError: there has been none for ten minutes, or no scheduler.
        """
        try:
            there = set(self._client.scheduler_info(n_workers=-1)["workers"])
        except OSError:
            raise SetupError(
                "the cluster's scheduler has gone; the same command goes on from there"
            ) from None
        if there:
            self._seen_s = monotonic()
        if monotonic() - self._seen_s > _PATIENCE_S:
            scheduler = self._client.scheduler.address
            raise SetupError(
                f"no worker for {_PATIENCE_S:.0f} s at {scheduler}; start one with: "
                f"dask worker {scheduler} --nthreads 1"
            )
        return there

    def busy(self) -> bool:
        """Whether any worker has a job."""
        return bool(self._futures)

    def start(self, worker: int, job: Job, *, regardless: bool = False) -> None:
        """Send the job to its worker; should that one get lost, another takes it."""
        (address,) = (one for one, number in self._numbers.items() if number == worker)
        again = self._tries[job.key] = self._tries.get(job.key, 0) + 1
        # other commands may use this scheduler, with this store or others
        name = f"{job.key}-{self._token}{f'-{again}' if again > 1 else ''}"
        packages = {"simulator", job.function.partition(":")[0].partition(".")[0]}
        passport = Passport(
            store=self._store.root.resolve(), token=self._token, device=self.device, mode=self._mode,
            code={package: _code(package) for package in sorted(packages)},
        )  # fmt: skip
        future = self._client.submit(
            run_job, job, passport, regardless, key=name, workers=[address],
            allow_other_workers=True, pure=False,
        )  # fmt: skip
        self._futures[future] = worker, job

    def wait(self, timeout_s: float | None = None) -> list[tuple[int, Job, Outcome | None]]:
        """Wait a second at most for outcomes, or for workers where there are none.

        Raises:
            SetupError: a worker cannot do this work, or the scheduler has gone.
        """
        from distributed import wait

        if not self._futures:
            sleep(0 if self._workers() and timeout_s is None else _LOOK_EVERY_S)
            return []
        try:
            wait(list(self._futures), timeout=_LOOK_EVERY_S, return_when="FIRST_COMPLETED")
        except (TimeoutError, CancelledError):
            self._workers()  # raises where nobody is left to wait for
        ended = [future for future in self._futures if future.done()]
        return [(*self._futures.pop(future), _outcome(future)) for future in ended]

    def make_room(self, job: Job) -> int:
        """Return 0: how many workers share a machine is decided there."""
        return 0

    def close(self) -> None:
        """Let go of the cluster; jobs that still run end there, their results lie in the store."""
        self._client.cancel(list(self._futures))
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
        (self._store.root / self._token).unlink(missing_ok=True)


def _outcome(future: Any) -> Outcome | None:
    """What became of a job; None where it went down with its workers, more often than Dask allows.

    Raises:
        SetupError: the worker could not even begin.
    """
    from distributed import KilledWorker

    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    if future.status == "cancelled":
        raise SetupError("the cluster's scheduler has gone; the same command goes on from there")
    error = future.exception()
    if isinstance(error, KilledWorker):
        return None
    what = f"{type(error).__name__}: {error}"
    raise SetupError(
        f"a worker of the cluster cannot work: {what}; install the same medgossip on all of them"
    )


def connect(where: str, *, store: Store, device: str, num_workers: int) -> ClusterPool:
    """Return the workers of a Dask scheduler, or of a SLURM cluster as jobqueue.yaml describes it.

    Args:
        where: ``tcp://HOST:PORT`` or another address of a scheduler, or ``slurm``.
        store: lies in a folder that all workers see under the same path.
        device: where training runs.
        num_workers: how many to use, or to ask SLURM for; 0 for all there are.

    Raises:
        ScenarioError: ``where`` is neither, or a number is missing for SLURM.
        SetupError: the extra is not installed, or nothing answers.
    """
    if where != SLURM and "://" not in where:
        raise ScenarioError(f"--cluster {where}: write tcp://HOST:PORT of a Dask scheduler, or {SLURM}")
    if where == SLURM and not num_workers:
        raise ScenarioError(f"--cluster {SLURM}: say with --jobs how many workers to ask for")
    try:
        from distributed import Client

        cluster = _slurm(num_workers) if where == SLURM else None
    except ImportError as error:
        raise SetupError(f'--cluster: {error.name} is missing; pip install "medgossip[cluster]"') from None
    try:
        client = Client(cluster or where, timeout=_CONNECT_S)
    except OSError as error:
        raise SetupError(
            f"--cluster {where}: no scheduler answers ({error}); start one with: dask scheduler"
        ) from None
    return ClusterPool(client, cluster, store, device, num_workers)


def _slurm(num_workers: int) -> Any:
    """Workers of one thread each, in the environment of our own worker processes.

    Raises:
        SetupError: no job is described, or none can be submitted from here.
    """
    import dask.config
    from dask_jobqueue import SLURMCluster

    from simulator.learning.numerics import WORKER_ENVIRONMENT

    cores = dask.config.get("jobqueue.slurm.cores")
    if cores is None or dask.config.get("jobqueue.slurm.memory") is None:
        raise SetupError(
            f"--cluster {SLURM}: cores or memory of a job are missing; "
            "describe a job in ~/.config/dask/jobqueue.yaml"
        )
    if which("sbatch") is None:
        raise SetupError(f"--cluster {SLURM}: no sbatch here; run the command where jobs are submitted")
    prologue = dask.config.get("jobqueue.slurm.job-script-prologue") or []
    exports = [f"export {name}={value}" for name, value in WORKER_ENVIRONMENT.items()]
    try:
        cluster = SLURMCluster(cores=cores, processes=cores, job_script_prologue=[*prologue, *exports])
    except ValueError as error:
        raise SetupError(
            f"--cluster {SLURM}: {error}; describe a job in ~/.config/dask/jobqueue.yaml"
        ) from None
    cluster.scale(n=num_workers)
    return cluster


def run_job(job: Job, passport: Passport, regardless: bool) -> Outcome:
    """Do a job on a worker of the cluster; refuse where its result would not be that of other workers."""
    from distributed import get_worker

    from simulator.learning.numerics import setup_process

    worker = get_worker()
    trouble = _trouble(passport, worker.state.nthreads)
    if trouble:
        error = SetupError(f"worker {worker.address}: {trouble}")
        return Outcome(key=job.key, seconds=0.0, nbytes=0, error=error)
    setup_process()  # some of it belongs to the thread
    return _bench(passport.store, passport.device).run(job, regardless=regardless)


def _trouble(passport: Passport, num_threads: int) -> str:
    from simulator.learning.numerics import numeric_mode

    if num_threads != 1:
        return f"{num_threads} threads; start it with --nthreads 1, and more workers instead"
    if not (passport.store / passport.token).exists():
        return f"does not see the store {passport.store}; choose a shared folder with --store"
    mode = numeric_mode("any precision", passport.device)
    if mode != passport.mode:
        return f"computes with {mode}, the command with {passport.mode}; use machines of one kind"
    other = [package for package, code in passport.code.items() if _code(package) != code]
    return f"has another source of {', '.join(other)}; install the same everywhere" if other else ""


@cache
def _code(package: str) -> str:
    return source_digest([Path(folder) for folder in import_module(package).__path__])


@cache
def _bench(store: Path, device: str) -> Bench:
    return Bench(Store(store), device)

"""Pools of workers that take one job each: this process, or resident processes."""

import multiprocessing
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from time import sleep
from typing import Any, Protocol

from simulator.errors import TaskFailed
from simulator.work.jobs import Job
from simulator.work.slots import Slots
from simulator.work.store import Store
from simulator.work.worker import Bench, Outcome, serve

_READY = ("simulator.work.worker", "simulator.learning.ready")
"""What nearly every job imports, torch and MONAI with it."""
_COUNTERS = Path("/proc/vmstat")
_LEAVE_S = 10.0  # an idle worker ends within a fraction of a second


def _context(device: str) -> ForkServerContext | SpawnContext:
    """How workers start. Linux forks them from a process that has imported what they need and has done
    nothing else: that costs one import for all of them, and its memory is theirs together. CUDA does not
    survive a fork, if any import should have looked for a GPU.
    """
    if device != "cpu" or sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_READY))
    return context


def import_ahead(device: str, environment: Mapping[str, str]) -> None:
    """Let the process from which workers will be forked import now what they need, while this one goes on.
    Where the device is still to be chosen, and a GPU may be there, nothing happens.
    """
    wanted = "cpu" if device == "auto" and not Path("/dev/nvidiactl").exists() else device
    if isinstance(_context(wanted), ForkServerContext):
        with _surroundings(environment):
            forkserver.ensure_running()


def _num_killed() -> int:
    """How many processes Linux has killed for want of memory since it started; 0 where nobody says."""
    try:
        found = re.search(r"^oom_kill (\d+)$", _COUNTERS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


@contextmanager
def _surroundings(environment: Mapping[str, str]) -> Iterator[None]:
    """The environment of processes that are started meanwhile."""
    saved = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)  # read by the C library before Python starts there
    try:
        yield
    finally:
        for name, old in saved.items():
            if old is None:
                del os.environ[name]
            else:
                os.environ[name] = old


class Pool(Protocol):
    """Workers that take one job each."""

    device: str

    def idle(self) -> list[int]:
        """Workers without a job."""

    def busy(self) -> bool:
        """Whether any job has been started and not returned by :meth:`wait`."""

    def start(self, worker: int, job: Job, *, regardless: bool = False) -> None:
        """Hand a job to an idle worker, see :meth:`simulator.work.worker.Bench.run`."""

    def wait(self, timeout_s: float | None = None) -> list[tuple[int, Job, Outcome | None]]:
        """Wait for at least one job to end, or for so long; None instead of an outcome: its worker died."""

    def make_room(self, job: Job) -> int:
        """For a job that memory did not suffice for: how many jobs at a time there are from now on so that
        it may try again, 0 if it was alone.
        """

    def close(self) -> None:
        """End all workers."""


class InlinePool:
    """One worker: this process."""

    def __init__(self, store: Store, device: str) -> None:
        self.device = device
        self._bench = Bench(store, device)
        self._tried_again: set[str] = set()
        self._done: list[tuple[int, Job, Outcome | None]] = []

    def idle(self) -> list[int]:
        """Worker 0, unless its outcome was not yet taken."""
        return [] if self._done else [0]

    def busy(self) -> bool:
        """Whether an outcome waits to be taken."""
        return bool(self._done)

    def start(self, worker: int, job: Job, *, regardless: bool = False) -> None:
        """Run the job here and now."""
        self._done.append((worker, job, self._bench.run(job, regardless=regardless)))

    def wait(self, timeout_s: float | None = None) -> list[tuple[int, Job, Outcome | None]]:
        """Return what has ended; without that, let some time pass."""
        if not self._done:
            sleep(timeout_s or 0.0)
        done, self._done = self._done, []
        return done

    def make_room(self, job: Job) -> int:
        """Let it try again once: nothing is kept in memory any more."""
        again = job.key not in self._tried_again
        self._tried_again.add(job.key)
        return int(again)

    def close(self) -> None:
        """Nothing to end."""


class ProcessPool:
    """Resident worker processes, one torch thread each; results travel through the store.

    With ``slots`` each has its part of a GPU's memory. A job that memory does not suffice for runs again with
    half as many at a time, or where it was alone once more, as its worker keeps nothing in memory then.
    """

    def __init__(
        self,
        store: Store,
        device: str,
        num_workers: int,
        environment: Mapping[str, str],
        slots: Slots | None = None,
    ) -> None:
        self.device = device
        self._most, self._slots = num_workers, slots
        self._least = 1 if slots is None else min(len(slots.gpus), num_workers)  # each alone on its GPU
        self._tried_alone: set[str] = set()
        self._num_killed = _num_killed()
        self._beside: dict[str, int] = {}  # jobs at a time when a job began
        self._root, self._environment = store.root, dict(environment)
        self._workers = list(range(num_workers))
        self._processes: dict[int, Any] = {}  # those that have had a job
        self._connections: dict[int, Connection] = {}
        self._jobs: dict[int, Job] = {}

    def _spawn(self, worker: int) -> None:
        context = _context(self.device)
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self._root, self.device), daemon=True)
        gpu = {} if self._slots is None else {"CUDA_VISIBLE_DEVICES": self._slots.gpu_of(worker)}
        with _surroundings(self._environment | gpu):
            process.start()
        theirs.close()
        self._processes[worker], self._connections[worker] = process, ours

    def idle(self) -> list[int]:
        """Workers that may take a job, in order."""
        free = [worker for worker in self._workers if worker not in self._jobs]
        while len(self._workers) > self._most and free:
            self._retire(free.pop())
        return free[: max(self._most - len(self._jobs), 0)]

    def make_room(self, job: Job) -> int:
        """Halve the number of jobs at a time, unless that has happened since this one began."""
        if self._beside[job.key] <= self._least:
            again = job.key not in self._tried_alone
            self._tried_alone.add(job.key)
            return self._most if again else 0
        self._most = max(min(self._most, self._beside[job.key] // 2), self._least)
        return self._most

    def _retire(self, worker: int) -> None:
        """End an idle worker."""
        self._workers.remove(worker)
        if worker in self._processes:
            self._end(worker)

    def _end(self, worker: int) -> None:
        """End the process of a worker without a job; it is started again for its next one."""
        process, connection = self._processes.pop(worker), self._connections.pop(worker)
        try:
            connection.send((None, 0, False))
        except OSError:  # it has gone
            process.kill()
        process.join(_LEAVE_S)
        process.kill()  # one that was suspended
        process.join()
        connection.close()

    def busy(self) -> bool:
        """Whether any worker has a job."""
        return bool(self._jobs)

    def start(self, worker: int, job: Job, *, regardless: bool = False) -> None:
        """Send the job to its worker; it is started for its first one."""
        if worker not in self._processes:
            self._spawn(worker)
        self._jobs[worker], self._beside[job.key] = job, self._most
        try:
            part = 0.0 if self._slots is None else self._slots.part_nbytes(self._most)
            self._connections[worker].send((job, part, regardless))
        except BrokenPipeError:
            return  # it died while idle; wait() finds that out

    def wait(self, timeout_s: float | None = None) -> list[tuple[int, Job, Outcome | None]]:
        """Wait for outcomes; a worker that died is replaced, and so is one that lacked memory: that frees all
        that it has kept, and makes its GPU's libraries choose algorithms anew. On a GPU any error may have
        spoiled the process.
        """
        by_connection = {self._connections[worker]: worker for worker in self._jobs}
        done: list[tuple[int, Job, Outcome | None]] = []
        for ready in wait(list(by_connection), timeout_s):
            worker = by_connection[ready]  # type: ignore[index]
            job = self._jobs.pop(worker)
            try:
                outcome: Outcome | None = self._connections[worker].recv()
            except (EOFError, OSError):  # it died, perhaps in the middle of a message
                self._processes[worker].kill()  # it is of no use without its connection
                outcome = self._killed(job)
            failed = outcome is None or outcome.error is not None
            if failed and (self.device != "cpu" or outcome is None or outcome.starved):
                self._end(worker)
            done.append((worker, job, outcome))
        return done

    def _killed(self, job: Job) -> Outcome | None:
        """What became of a job whose worker died: it lacked memory, if the system has killed for that."""
        before, self._num_killed = self._num_killed, _num_killed()
        if self._num_killed == before:
            return None
        reason = f"the system killed its worker for want of memory; recipe: {job.describe()}"
        error = TaskFailed(job.task, job.site, reason)
        return Outcome(key=job.key, seconds=0.0, nbytes=0, error=error, starved=True)

    def close(self) -> None:
        """Ask idle workers to end and stop busy ones at once: the store has results whole or not."""
        for worker in list(self._workers):
            if worker in self._jobs:
                self._processes[worker].kill()
            self._retire(worker)

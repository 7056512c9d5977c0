"""Executors: who computes the values behind the virtual clock, and when.

The event loop only *submits* jobs; nothing is computed until a value is asked for or the loop has
ended. Then exactly the ancestors of what is wanted run, longest first, in parallel. Work whose
result nobody uses (a crashed site's last epoch) is never done.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from simulator.api import Bundle
from simulator.errors import Interrupted, MedgossipError, NoValue, SetupError, TaskFailed
from simulator.work.costs import Cost, Kind, declared, kind_of, note
from simulator.work.elsewhere import LOOK_EVERY_S, Elsewhere
from simulator.work.graph import Graph, with_ancestors
from simulator.work.jobs import Job
from simulator.work.pools import Pool
from simulator.work.store import Store
from simulator.work.worker import Outcome

Progress = Callable[[str, int, int], None]
"""Called as ``progress(task, done, total)`` after each job."""

Stopping = Callable[[], bool]
"""Says whether to stop: what runs is finished, nothing else is started."""

Tell = Callable[[str], None]
"""Called with a line to print."""

_NEARLY = 0.9  # as urgent: then a worker prefers the site whose data it has
_TRIES = 3  # a job whose worker dies this often is at fault itself
_ELSEWHERE = -1  # in place of a worker: another process has a site's data at hand


@dataclass(slots=True, kw_only=True)
class Tally:
    """What an executor did, for the manifest. ``reused`` were found in the store."""

    executed: Counter[str] = field(default_factory=Counter)
    reused: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    costs: defaultdict[Kind, Cost] = field(default_factory=lambda: defaultdict(Cost))


class Executor(Protocol):
    """Computes submitted jobs; all ways of doing it give the same bits."""

    tally: Tally

    def submit(self, job: Job) -> None:
        """Make a job known; it runs when something asks for it."""

    def value(self, key: str) -> Bundle:
        """Compute what ``key`` needs and return it."""

    def finish(self, keys: Iterable[str], progress: Progress) -> dict[str, MedgossipError]:
        """Compute everything that ``keys`` need; return the errors by key of those that failed."""

    def close(self) -> None:
        """End all workers."""


class PlanExecutor:
    """Executor "none": knows every job, computes none."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._names: dict[str, str] = {}

    def submit(self, job: Job) -> None:
        """Remember the job's name for the message that says what cannot be computed."""
        self._names[job.key] = job.task

    def value(self, key: str) -> Bundle:
        """Raise :class:`~simulator.errors.NoValue`: a plan has no values."""
        raise NoValue(self._names.get(key, key))

    def finish(self, keys: Iterable[str], progress: Progress) -> dict[str, MedgossipError]:
        """Nothing to do."""
        return {}

    def ancestors(self, keys: Iterable[str]) -> set[str]:
        """Nothing is evaluated, so nothing went into it."""
        return set()

    def close(self) -> None:
        """Nothing to do."""


class PoolExecutor:
    """Runs what is needed on a pool: the longest way to the end first, near its data if possible."""

    def __init__(
        self, store: Store, pool: Pool, stopping: Stopping = lambda: False, tell: Tell = lambda _: None
    ) -> None:
        self.tally = Tally()
        self.store = store
        self._tell = tell
        self._stopping = stopping
        self._pool = pool
        self._jobs: dict[str, Job] = {}
        self.executed: set[str] = set()
        self._known: set[str] = set()  # in the store, seen by this process
        self._failed: dict[str, MedgossipError] = {}
        self._causes: dict[str, MedgossipError] = {}  # of them those that failed themselves
        self._home: dict[str, int] = {}  # site -> worker that has its data in memory

    def submit(self, job: Job) -> None:
        """Make a job known."""
        self._jobs.setdefault(job.key, job)

    def value(self, key: str) -> Bundle:
        """Compute what ``key`` needs and return it; raise the error that stopped it."""
        for _ in range(_TRIES):
            errors = self.finish([key], lambda *_: None)
            if key in errors:
                raise errors[key]
            bundle = self.store.get(key)
            if bundle is not None:
                return bundle
            self._known.discard(key)  # evicted or damaged since it was seen: compute it again
        raise TaskFailed("reading a result", "the store", f"{key} was gone or damaged {_TRIES} times")

    def ancestors(self, keys: Iterable[str]) -> set[str]:
        """Return ``keys`` and all that goes into them, whether or not it lies in the store."""
        return with_ancestors(self._jobs, keys)

    @property
    def device(self) -> str:
        """Where its jobs run."""
        return self._pool.device

    def jobs_of(self, keys: Iterable[str]) -> list[Job]:
        """Return the jobs of ``keys``."""
        return [self._jobs[key] for key in keys]

    def has_failed(self, key: str) -> bool:
        """Whether a job, or one that goes into it, ended with an error."""
        return key in self._failed

    def finish(self, keys: Iterable[str], progress: Progress) -> dict[str, MedgossipError]:
        """Compute everything that ``keys`` need, see :class:`Executor`.

        Raises:
            SetupError: the machine does not offer what it takes; all other errors are returned.
            Interrupted: told to stop.
        """
        wanted = list(keys)
        self.store.need(self.ancestors(wanted))
        graph = Graph(self._failed)
        graph.add(self._needed(wanted))
        elsewhere = Elsewhere(self.store, self._tell)
        tries: Counter[str] = Counter()
        while graph.ready or elsewhere or self._pool.busy():
            if not self._stopping():
                self._hand_out(graph, elsewhere)
            elif not self._pool.busy():
                self.check_stop()
            for _, job, outcome in self._pool.wait(LOOK_EVERY_S if elsewhere else None):
                if outcome is not None and outcome.taken:
                    self._home[job.site] = _ELSEWHERE
                    elsewhere.add(job)
                elif self._has_ended(graph, job, outcome, tries):
                    progress(job.task, graph.done, graph.total)
        return {key: self._cause(key) for key in wanted if key in self._failed}

    def _has_ended(self, graph: Graph, job: Job, outcome: Outcome | None, tries: Counter[str]) -> bool:
        """Book a job that came back, well or not; or have it run once more."""
        error = outcome.error if outcome is not None else None
        if isinstance(error, SetupError):
            raise error  # a full disk, say: every other job would end the same way
        if outcome is not None and outcome.starved and self._made_room(job):
            self._again(graph, job, None)
            return False
        if outcome is None or outcome.missing:
            tries[job.key] += 1
            if tries[job.key] < _TRIES:
                if outcome is None:
                    self._tell(f"{job.task} at {job.site}: its worker died; again")
                self._again(graph, job, outcome)
                return False
            error = _gave_up(job, outcome)
        elif error is None:
            self._book(job, outcome)
        if error is not None:
            self._causes[job.key] = error
        graph.finished(job.key, error)
        return True

    def _cause(self, key: str) -> MedgossipError:
        """Why a job failed: of several causes the same one, whichever came first this time."""
        return self._causes[min(self.ancestors([key]) & self._causes.keys())]

    def check_stop(self) -> None:
        """Raise :class:`~simulator.errors.Interrupted` if told to stop."""
        if self._stopping():
            raise Interrupted("finished work is kept")

    def _again(self, graph: Graph, job: Job, outcome: Outcome | None) -> None:
        """Have a job run once more, after what it missed."""
        missing = outcome.missing if outcome is not None else ()
        self._known.difference_update(missing)
        graph.add(self._needed(missing))
        graph.wait_for_inputs(job.key)

    def _needed(self, keys: Iterable[str]) -> dict[str, Job]:
        """The jobs to run for ``keys``: ancestors that are not in the store."""
        needed: dict[str, Job] = {}
        stack = list(keys)
        while stack:
            key = stack.pop()
            if key in needed or key in self._known or key in self._failed:
                continue
            job = self._jobs[key]
            if key in self.store:
                self._known.add(key)
                self.tally.reused[job.task] += 1
                continue
            needed[key] = job
            stack.extend(job.needs)
        return needed

    def _made_room(self, job: Job) -> bool:
        """Whether a job that memory did not suffice for may try again, with fewer beside it."""
        num = self._pool.make_room(job)
        if num:
            self._tell(f"{job.task} at {job.site}: out of memory; again, {num} at a time from now on")
        return num > 0

    def _hand_out(self, graph: Graph, elsewhere: Elsewhere) -> None:
        """Give idle workers the most urgent ready jobs, of nearly equal ones those of sites they know."""
        idle = self._pool.idle()
        graph.ready += elsewhere.freed()
        if idle and not graph.ready:
            graph.ready += elsewhere.overdue()
        graph.ready.sort(key=lambda key: (graph.urgency[key], key))
        for worker in list(idle):
            key = self._job_at_home(graph, worker)
            if key is not None:
                idle.remove(worker)
                self._start(graph, worker, key, elsewhere)
        for worker in idle:
            if graph.ready:
                self._start(graph, worker, graph.ready[-1], elsewhere)

    def _job_at_home(self, graph: Graph, worker: int) -> str | None:
        """The most urgent of the jobs whose site is new to all workers or known to this one."""
        for key in reversed(graph.ready):
            if graph.urgency[key] < _NEARLY * graph.urgency[graph.ready[-1]]:
                break
            if self._home.get(graph.jobs[key].site, worker) == worker:
                return key
        return None

    def _start(self, graph: Graph, worker: int, key: str, elsewhere: Elsewhere) -> None:
        job = graph.jobs[key]
        graph.ready.remove(key)
        self._home[job.site] = worker
        self._pool.start(worker, job, regardless=key in elsewhere.given_up)

    def _book(self, job: Job, outcome: Outcome) -> None:
        self._known.add(job.key)
        if outcome.found:
            self.tally.reused[job.task] += 1
            return
        self.executed.add(job.key)
        self.tally.executed[job.task] += 1
        self.tally.seconds[job.task] += outcome.seconds
        cost = replace(declared(job), seconds=outcome.seconds, nbytes=outcome.nbytes)
        self.tally.costs[kind_of(job, self.device)].add(cost)

    def close(self) -> None:
        """End all workers, note what work has cost, and need nothing of the store any more."""
        self._pool.close()
        self.store.lease.release()
        with suppress(OSError):  # a full disk has its own message
            note(self.store.root, self.tally.costs)
        self.tally.costs.clear()


def _gave_up(job: Job, outcome: Outcome | None) -> TaskFailed:
    why = "its worker died" if outcome is None else f"inputs {outcome.missing} were gone or damaged"
    return TaskFailed(job.task, job.site, f"{why} {_TRIES} times; recipe: {job.describe()}")

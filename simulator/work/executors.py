"""Executors: who computes the values behind the virtual clock, and when.

The event loop only *submits* jobs; nothing is computed until a value is asked for or the loop has
ended. Then exactly the ancestors of what is wanted run, longest first, in parallel. Work whose
result nobody uses (a crashed site's last epoch) is never done.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from simulator.api import Bundle
from simulator.errors import MedgossipError, NoValue, TaskFailed
from simulator.work.jobs import Job
from simulator.work.pools import Pool
from simulator.work.store import Store
from simulator.work.worker import Outcome

Progress = Callable[[str, int, int], None]
"""Called as ``progress(task, done, total)`` after each job."""

_TRIES = 3  # a job whose worker dies this often is at fault itself


@dataclass(slots=True, kw_only=True)
class Tally:
    """What an executor did, for the manifest. ``reused`` were found in the store."""

    executed: Counter[str] = field(default_factory=Counter)
    reused: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))


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

    def close(self) -> None:
        """Nothing to do."""


class PoolExecutor:
    """Runs what is needed on a pool: the longest way to the end first, near its data if possible."""

    def __init__(self, store: Store, pool: Pool) -> None:
        self.tally = Tally()
        self.store = store
        self._pool = pool
        self._jobs: dict[str, Job] = {}
        self._known: set[str] = set()  # in the store, seen by this process
        self._failed: dict[str, MedgossipError] = {}
        self._home: dict[str, int] = {}  # site -> worker that has its data in memory

    def submit(self, job: Job) -> None:
        """Make a job known."""
        self._jobs.setdefault(job.key, job)

    def value(self, key: str) -> Bundle:
        """Compute what ``key`` needs and return it; raise the error that stopped it."""
        errors = self.finish([key], lambda *_: None)
        if key in errors:
            raise errors[key]
        bundle = self.store.get(key)
        if bundle is None:
            raise TaskFailed("reading a result", "the store", f"{key} is gone or damaged")
        return bundle

    def finish(self, keys: Iterable[str], progress: Progress) -> dict[str, MedgossipError]:
        """Compute everything that ``keys`` need, see :class:`Executor`."""
        wanted = list(keys)
        needed = self._needed(wanted)
        graph = Graph(needed, self._failed)
        tries: Counter[str] = Counter()
        done = 0
        while graph.ready or self._pool.busy():
            self._hand_out(graph)
            for worker, job, outcome in self._pool.wait():
                if outcome is None:
                    tries[job.key] += 1
                    if tries[job.key] < _TRIES:
                        graph.ready.append(job.key)
                        continue
                    reason = f"its worker died {_TRIES} times; recipe: {job.describe()}"
                    outcome = Outcome(
                        key=job.key, seconds=0.0, nbytes=0, error=TaskFailed(job.task, job.site, reason)
                    )
                self._book(worker, job, outcome)
                done += 1 + graph.finished(job.key, outcome.error)
                progress(job.task, done, len(needed))
        return {key: self._failed[key] for key in wanted if key in self._failed}

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

    def _hand_out(self, graph: Graph) -> None:
        """Give idle workers the most urgent ready jobs, preferring the worker that knows the site."""
        idle = self._pool.idle()
        graph.ready.sort(key=lambda key: (graph.urgency[key], key))
        while idle and graph.ready:
            job = graph.jobs[graph.ready.pop()]
            home = self._home.get(job.site, idle[0])
            worker = home if home in idle else idle[0]
            idle.remove(worker)
            self._home[job.site] = worker
            self._pool.start(worker, job)

    def _book(self, worker: int, job: Job, outcome: Outcome) -> None:
        if outcome.error is None:
            self._known.add(job.key)
            self.tally.executed[job.task] += 1
            self.tally.seconds[job.task] += outcome.seconds

    def close(self) -> None:
        """End all workers."""
        self._pool.close()


class Graph:
    """The jobs still to run, who waits for whom, and how far each is from the end."""

    def __init__(self, jobs: Mapping[str, Job], failed: dict[str, MedgossipError]) -> None:
        self.jobs = jobs
        self._failed = failed
        self._missing = {key: {name for name in job.needs if name in jobs} for key, job in jobs.items()}
        self._users: dict[str, list[str]] = {}
        for key, inputs in self._missing.items():
            for name in inputs:
                self._users.setdefault(name, []).append(key)
        self.urgency = self._critical_paths()
        self.ready: list[str] = []
        for key, job in jobs.items():
            broken = next((failed[name] for name in job.needs if name in failed), None)
            if broken is not None:
                self._fail(key, broken)
            elif not self._missing[key]:
                self.ready.append(key)
        self.ready = [key for key in self.ready if key not in failed]

    def _critical_paths(self) -> dict[str, float]:
        """Work from each job to the end of its longest chain of users."""
        longest: dict[str, float] = {}
        left = {key: len(self._users.get(key, ())) for key in self.jobs}
        stack = [key for key, count in left.items() if not count]
        while stack:
            key = stack.pop()
            after = max((longest[user] for user in self._users.get(key, ())), default=0.0)
            longest[key] = after + self.jobs[key].flop + 1.0
            for name in self._missing[key]:
                left[name] -= 1
                if not left[name]:
                    stack.append(name)
        return longest

    def _fail(self, key: str, error: MedgossipError) -> int:
        """Fail a job and all that need it; return how many that are."""
        count, stack = 0, [key]
        while stack:
            name = stack.pop()
            if name not in self._failed:
                self._failed[name] = error
                count += 1
                stack.extend(self._users.get(name, ()))
        return count

    def finished(self, key: str, error: MedgossipError | None) -> int:
        """Free the users of a job that ended well, or fail them; return how many others failed."""
        if error is not None:
            return self._fail(key, error) - 1
        for user in self._users.get(key, ()):
            self._missing[user].discard(key)
            if not self._missing[user] and user not in self._failed:
                self.ready.append(user)
        return 0

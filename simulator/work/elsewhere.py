"""Ready jobs that other processes with the same store are at: waited for while there is other work."""

from collections.abc import Callable
from time import monotonic

from simulator.work.jobs import Job
from simulator.work.store import Store

LOOK_EVERY_S = 0.05
_PATIENCE_S, _TELL_S = 600.0, 5.0


class Elsewhere:
    """Jobs that were found taken, until whoever has them is done with them or is no more.

    A process may stand still with a job in its hands. After ten minutes it is given up: its job is done
    here too, if nothing else is to be done. That costs time, not bits.
    """

    def __init__(self, store: Store, tell: Callable[[str], None]) -> None:
        self._store, self._tell = store, tell
        self._jobs: dict[str, tuple[Job, float]] = {}  # with the time when it was found taken
        self._told: set[str] = set()
        self.given_up: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, job: Job) -> None:
        """Note a job that was found taken."""
        self._jobs[job.key] = job, monotonic()

    def freed(self) -> list[str]:
        """Take out what nobody is at any more: its result is in the store, or its process has died."""
        return self._without([key for key in self._jobs if not self._store.is_claimed(key)])

    def overdue(self) -> list[str]:
        """For a process that has nothing else to do: take out what has been waited for long enough. What is
        waited for is told after a few seconds.
        """
        now_s = monotonic()
        for key, (job, since_s) in self._jobs.items():
            if now_s - since_s >= _TELL_S and key not in self._told:
                self._told.add(key)
                self._tell(f"{job.task} at {job.site}: waits for another process that has begun it")
        late = [key for key, (_, since_s) in self._jobs.items() if now_s - since_s >= _PATIENCE_S]
        self.given_up.update(late)
        return self._without(late)

    def _without(self, keys: list[str]) -> list[str]:
        for key in keys:
            del self._jobs[key]
        return keys

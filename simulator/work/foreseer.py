"""An executor that computes nothing and remembers everything: what is there, and what would be to do."""

from collections.abc import Iterable

from simulator.api import Bundle
from simulator.errors import MedgossipError, NoValue
from simulator.work.executors import Tally
from simulator.work.graph import with_ancestors
from simulator.work.jobs import Job
from simulator.work.store import Store


class Foreseer:
    """Knows every job in the order of submission, and which results lie in the store."""

    def __init__(self, store: Store) -> None:
        self.tally = Tally()
        self._store = store
        self.jobs: dict[str, Job] = {}
        self._known: dict[str, bool] = {}

    def submit(self, job: Job) -> None:
        """Make a job known."""
        self.jobs.setdefault(job.key, job)

    def value(self, key: str) -> Bundle:
        """Return a result of earlier runs.

        Raises:
            NoValue: there is none yet.
        """
        bundle = self._store.get(key)
        if bundle is None:
            raise NoValue(self.jobs[key].task)
        return bundle

    def finish(self, keys: Iterable[str], progress: object) -> dict[str, MedgossipError]:
        """Nothing to do."""
        return {}

    def close(self) -> None:
        """Nothing to end."""

    def has(self, key: str) -> bool:
        """Whether a result lies in the store."""
        if key not in self._known:
            self._known[key] = self._store.path(key).exists()
        return self._known[key]

    def todo(self, keys: Iterable[str]) -> set[str]:
        """What must be computed for ``keys``: ancestors that are not in the store."""
        return with_ancestors(self.jobs, keys, stop=self.has)

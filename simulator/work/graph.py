"""Which jobs wait for which, and which are the most urgent."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from simulator.errors import MedgossipError
from simulator.work.jobs import Job


def with_ancestors(
    jobs: Mapping[str, Job], keys: Iterable[str], stop: Callable[[str], bool] = lambda _: False
) -> set[str]:
    """Return ``keys`` and all that goes into them, but nothing for which ``stop`` holds or beyond."""
    found: set[str] = set()
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key not in found and not stop(key):
            found.add(key)
            stack.extend(jobs[key].needs)
    return found


class Graph:
    """The jobs still to run, who waits for whom, and how far each is from the end."""

    def __init__(self, failed: dict[str, MedgossipError]) -> None:
        self.jobs: dict[str, Job] = {}  # neither done nor failed
        self.total = 0  # jobs ever added; one whose result got lost counts again
        self.done = 0  # those of them that ended, well or not
        self.ready: list[str] = []
        self.urgency: dict[str, float] = {}
        self._failed = failed
        self._missing: dict[str, set[str]] = {}
        self._users: dict[str, list[str]] = {}

    def add(self, jobs: Mapping[str, Job]) -> None:
        """Take in jobs with all their ancestors that must run; those already here stay as they are."""
        new = {key: job for key, job in jobs.items() if key not in self.jobs}
        self.jobs.update(new)
        self.total += len(new)
        for key in new:
            self._missing[key] = set()
        for key in new:
            self.wait_for_inputs(key)
        self.urgency = self._critical_paths()

    def wait_for_inputs(self, key: str) -> None:
        """Make a job ready, or wait for its inputs that are still to run, or fail with a failed one."""
        if key not in self.jobs:
            return  # failed with one of its inputs
        needs = self.jobs[key].needs
        broken = next((self._failed[name] for name in needs if name in self._failed), None)
        if broken is not None:
            self._fail(key, broken)
            return
        self._missing[key] = {name for name in needs if name in self.jobs}
        for name in self._missing[key]:
            self._users.setdefault(name, []).append(key)
        if not self._missing[key]:
            self.ready.append(key)

    def _critical_paths(self) -> dict[str, float]:
        """Work from each job to the end of its longest chain of users."""
        longest = dict.fromkeys(self.jobs, 0.0)
        left = Counter(name for key in self.jobs for name in self._missing[key])
        stack = [key for key in self.jobs if not left[key]]
        while stack:
            key = stack.pop()
            longest[key] += self.jobs[key].flop + 1.0
            for name in self._missing[key]:
                longest[name] = max(longest[name], longest[key])
                left[name] -= 1
                if not left[name]:
                    stack.append(name)
        return longest

    def _fail(self, key: str, error: MedgossipError) -> None:
        """Fail a job and all that need it."""
        stack = [key]
        while stack:
            name = stack.pop()
            if self.jobs.pop(name, None) is not None:
                self._failed[name] = error
                self.done += 1
                stack.extend(self._users.pop(name, ()))

    def finished(self, key: str, error: MedgossipError | None) -> None:
        """Free the users of a job that ended well, or fail them with it."""
        if error is not None:
            self._fail(key, error)
            return
        del self.jobs[key]
        self.done += 1
        for user in self._users.pop(key, ()):
            if user in self.jobs:
                self._missing[user].discard(key)
                if not self._missing[user]:
                    self.ready.append(user)

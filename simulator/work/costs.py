"""What work has cost on this machine: noted in the store, for the estimate of what is to come."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.work.jobs import Job, digest

_NAME = "costs.jsonl"

Kind = tuple[str, str]
"""A task's name, and a digest of what it works with: recipe and device."""


@dataclass(slots=True, kw_only=True)
class Cost:
    """Sums over some jobs; ``flop`` is what they were declared to take."""

    count: int = 0
    flop: float = 0.0
    seconds: float = 0.0
    nbytes: int = 0

    def add(self, other: "Cost") -> None:
        """Add other jobs."""
        self.count += other.count
        self.flop += other.flop
        self.seconds += other.seconds
        self.nbytes += other.nbytes

    def of(self, jobs: Iterable[Job]) -> "Cost":
        """What jobs of this kind will cost: as much per operation, or each as much if none is declared."""
        found = list(jobs)
        flop = sum(job.flop for job in found)
        share = flop / self.flop if self.flop else len(found) / self.count
        return Cost(
            count=len(found),
            flop=flop,
            seconds=self.seconds * share,
            nbytes=round(self.nbytes * len(found) / self.count),
        )


def kind_of(job: Job, device: str) -> Kind:
    """What jobs have in common that cost alike."""
    return job.task, digest([dict(job.recipe), device])


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What jobs cost together, without the tasks that were never measured: these are named."""

    cost: Cost
    unmeasured: tuple[str, ...]


def estimate(jobs: Iterable[Job], costs: Mapping[Kind, Cost], device: str) -> Estimate:
    """Return what jobs will cost, by what jobs of the same kind have cost."""
    kinds: dict[Kind, list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job.key):
        kinds.setdefault(kind_of(job, device), []).append(job)
    total = Cost()
    for kind in sorted(kinds.keys() & costs.keys()):
        total.add(costs[kind].of(kinds[kind]))
    unmeasured = {task for task, what in kinds if (task, what) not in costs}
    return Estimate(cost=total, unmeasured=tuple(sorted(unmeasured)))


def note(root: Path, costs: Mapping[Kind, Cost]) -> None:
    """Add what a run has measured to the store, in one write."""
    lines = "".join(
        json.dumps({"task": task, "with": what, **asdict(cost)}) + "\n"
        for (task, what), cost in sorted(costs.items())
    )
    if lines:
        descriptor = os.open(root / _NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, lines.encode())
        finally:
            os.close(descriptor)


def noted(root: Path) -> dict[Kind, Cost]:
    """All that runs have measured, summed; a line that a full disk cut short is left out."""
    found: dict[Kind, Cost] = {}
    for kind, cost in _lines(root / _NAME):
        found.setdefault(kind, Cost()).add(cost)
    return found


def _lines(path: Path) -> Iterator[tuple[Kind, Cost]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            values = json.loads(line)
            yield (values.pop("task"), values.pop("with")), Cost(**values)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue

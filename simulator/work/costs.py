"""What work has cost on this machine: noted in the store, for the estimate of what is to come."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from simulator.learning.tasks import PREPARE, READ
from simulator.work.jobs import Job, digest

_NAME = "costs.jsonl"
_DECISIVE = ("batch_size", "dataset", "network", "patch_size", "precision")
_PER_CASE = {READ.name, PREPARE.name}
"""Tasks whose declared operations only put them first; they take as long as they have cases."""


class Kind(NamedTuple):
    """What jobs have in common that cost alike: the task, its recipe on a device, and of these the part
    that decides what an operation costs.
    """

    task: str
    recipe: str
    like: str


@dataclass(slots=True, kw_only=True)
class Cost:
    """Sums over some jobs; ``flop`` is what they were declared to take, ``pieces`` counts cases where a
    task reads them, and jobs elsewhere.
    """

    count: int = 0
    flop: float = 0.0
    pieces: int = 0
    seconds: float = 0.0
    nbytes: int = 0

    def add(self, other: "Cost") -> None:
        """Add other jobs."""
        self.count += other.count
        self.flop += other.flop
        self.pieces += other.pieces
        self.seconds += other.seconds
        self.nbytes += other.nbytes

    def of(self, jobs: Iterable[Job]) -> "Cost":
        """What other jobs of this kind will cost: as many seconds per operation and bytes per job; both
        per piece where no operations are declared.
        """
        found = total(declared(job) for job in jobs)
        share = bytes_share = found.pieces / self.pieces
        if self.flop:
            share, bytes_share = found.flop / self.flop, found.count / self.count
        found.seconds, found.nbytes = self.seconds * share, round(self.nbytes * bytes_share)
        return found


def total(costs: Iterable[Cost]) -> Cost:
    """Return the sum."""
    found = Cost()
    for cost in costs:
        found.add(cost)
    return found


def declared(job: Job) -> Cost:
    """What is known of a job before it is done."""
    if job.task in _PER_CASE:
        return Cost(count=1, pieces=max(len(job.inputs), 1))
    return Cost(count=1, flop=job.flop, pieces=1)


def kind_of(job: Job, device: str) -> Kind:
    """What a job has in common with others that cost alike."""
    decisive = [job.recipe.get(name) for name in _DECISIVE]
    moments = job.recipe.get("optimizer", {}).get("name")  # bytes of a model's state
    return Kind(job.task, digest([dict(job.recipe), device]), digest([*decisive, moments, device]))


class Source(StrEnum):
    """Where an estimate comes from, the best first."""

    DONE = "done"  # the same task, of the same recipe
    SAMPLED = "sampled"  # the same, on few cases, only to see what it takes
    ALIKE = "alike"  # the same task, of a recipe with the same data, network and batches
    SCALED = "scaled"  # another task of such a recipe, by operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What was measured by doing the work, and by doing some of it as a sample."""

    done: dict[Kind, Cost] = field(default_factory=dict)
    sampled: dict[Kind, Cost] = field(default_factory=dict)

    def add(self, costs: Mapping[Kind, Cost], *, sampled: bool = False) -> None:
        """Take in what was measured."""
        mine = self.sampled if sampled else self.done
        for kind, cost in costs.items():
            mine.setdefault(kind, Cost()).add(cost)

    def find(self, job: Job, kind: Kind) -> tuple[Source, Cost] | None:
        """Return by what to estimate jobs of a kind, one of which is ``job``; None: by nothing."""
        if kind in self.done:
            return Source.DONE, self.done[kind]
        if kind in self.sampled:
            return Source.SAMPLED, self.sampled[kind]
        near = [
            (other, cost)
            for costs in (self.done, self.sampled)
            for other, cost in sorted(costs.items())
            if other.like == kind.like
        ]
        alike = [cost for other, cost in near if other.task == kind.task]
        if alike:
            return Source.ALIKE, total(alike)
        # what trains or predicts: others are bound by memory or the disk, and take seconds of their own
        if job.data and declared(job).flop and any(cost.flop for _, cost in near):
            return Source.SCALED, max((cost for _, cost in near), key=lambda cost: cost.flop)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What jobs cost by where that comes from; tasks of which nothing is known are not in it, but named."""

    parts: Mapping[Source, Cost]
    unmeasured: tuple[str, ...]

    @property
    def cost(self) -> Cost:
        """All of it."""
        return total(self.parts.values())


def estimate(jobs: Iterable[Job], notes: Notes, device: str) -> Estimate:
    """Return what jobs will cost by what others have cost."""
    parts: dict[Source, Cost] = {}
    unmeasured = set()
    for kind, group in by_kind(jobs, device):
        found = notes.find(group[0], kind)
        if found is None:
            unmeasured.add(kind.task)
        else:
            source, cost = found
            parts.setdefault(source, Cost()).add(cost.of(group))
    sources = {source: parts[source] for source in Source if source in parts}
    return Estimate(parts=sources, unmeasured=tuple(sorted(unmeasured)))


def seconds_by_key(jobs: Iterable[Job], notes: Notes, device: str) -> dict[str, float]:
    """Return what each job will take; 0 where nothing is known, see ``unmeasured`` of :func:`estimate`."""
    found: dict[str, float] = {}
    for kind, group in by_kind(jobs, device):
        known = notes.find(group[0], kind)
        for job in group:
            found[job.key] = known[1].of([job]).seconds if known is not None else 0.0
    return found


def by_kind(jobs: Iterable[Job], device: str) -> Iterator[tuple[Kind, list[Job]]]:
    """Jobs with the kind that they are of; several groups may be of one kind."""
    groups: dict[tuple[str, int], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job.key):
        groups.setdefault((job.task, id(job.recipe)), []).append(job)  # a digest per job would take long
    for group in groups.values():
        yield kind_of(group[0], device), group


def note(root: Path, costs: Mapping[Kind, Cost], *, sampled: bool = False) -> None:
    """Add what a run or a sample has measured to the store, in one write."""
    lines = "".join(
        json.dumps({**kind._asdict(), "sampled": sampled, **asdict(cost)}) + "\n"
        for kind, cost in sorted(costs.items())
    )
    if lines:
        descriptor = os.open(root / _NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, lines.encode())
        finally:
            os.close(descriptor)


def noted(root: Path) -> Notes:
    """All that was measured, summed; a line that a full disk cut short is left out."""
    found = Notes()
    for kind, cost, sampled in _lines(root / _NAME):
        found.add({kind: cost}, sampled=sampled)
    return found


def _lines(path: Path) -> Iterator[tuple[Kind, Cost, bool]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            values = json.loads(line)
            kind = Kind(*(str(values.pop(name)) for name in Kind._fields))
            sampled = bool(values.pop("sampled"))
            yield kind, Cost(**values), sampled
        except (ValueError, KeyError, TypeError, AttributeError):
            continue

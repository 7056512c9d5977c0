"""What a study's tasks take on this machine, where nothing like them was done before: a few are done as a
sample.

They are the study's own first tasks on a case or two of every site, one epoch each, in a worker as runs
have it. What trains or predicts is repeated on more cases as long as that takes a few seconds: single small
batches are slow. The results are thrown away.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from simulator.errors import Interrupted
from simulator.learning.numerics import WORKER_ENVIRONMENT
from simulator.learning.tasks import PREPARE
from simulator.work.costs import Cost, Kind, by_kind, declared
from simulator.work.executors import PoolExecutor
from simulator.work.graph import with_ancestors
from simulator.work.jobs import MODEL, Job, digest
from simulator.work.pools import ProcessPool
from simulator.work.store import Store

_FEW_S = 10.0  # of training and predicting; then the number of cases does not grow any more
_ENOUGH_S = 30.0  # then no further task is begun
_GROWTH = 4

_Jobs = Mapping[str, Job]


@dataclass(slots=True, kw_only=True)
class Sample:
    """What was found on a device, in ``num_tasks`` tasks with up to ``num_cases`` training cases per site."""

    device: str
    costs: dict[Kind, Cost] = field(default_factory=dict)
    num_tasks: int = 0
    num_cases: int = 0
    wall_s: float = 0.0


def sample(jobs: _Jobs, wanted: Collection[Kind], device: str) -> Sample:
    """Measure what tasks of these kinds cost; those that take too long, or fail on few cases, are left out.

    Args:
        jobs: a study's, by key, in the order in which they were submitted.
        wanted: kinds of some of them.
        device: where they run, ``cpu`` or ``cuda``.
    """
    found, begun = Sample(device=device), monotonic()
    ways = _ways(jobs, wanted, device)
    growing = [way for way in ways if way[-1].data and declared(way[-1]).flop]
    most = max((_num_training(job) for way in ways for job in way if job.task == PREPARE.name), default=1)
    with TemporaryDirectory(prefix="medgossip-sample-") as folder:
        store = Store(Path(folder))
        with closing(ProcessPool(store, device, 1, WORKER_ENVIRONMENT)) as pool:
            num_cases, spent_s, last_s = 1, 0.0, 0.0
            while spent_s + last_s <= _FEW_S:
                executor = PoolExecutor(store, pool, lambda: monotonic() - begun > _ENOUGH_S)
                _run(executor, growing if num_cases > 1 else ways, num_cases)
                if not executor.tally.executed:
                    break  # it was told to stop
                last_s = math.fsum(cost.seconds for cost in executor.tally.costs.values() if cost.flop)
                spent_s += last_s
                found.costs |= {kind: cost for kind, cost in executor.tally.costs.items() if kind in wanted}
                found.num_tasks += executor.tally.executed.total()
                found.num_cases = min(num_cases, most)
                if num_cases >= most:
                    break
                num_cases *= _GROWTH
    found.wall_s = monotonic() - begun
    return found


def _num_training(prepare: Job) -> int:
    return sum(case["split"] == "train" for case in prepare.params["cases"])


def _ways(jobs: _Jobs, wanted: Collection[Kind], device: str) -> list[list[Job]]:
    """For each kind all that goes into the first job of it, and that job; those with the fewest operations
    first.
    """
    place = {key: number for number, key in enumerate(jobs)}
    first: dict[Kind, str] = {}
    for kind, group in by_kind(jobs.values(), device):
        if kind in wanted:
            here = [job.key for job in group] + ([first[kind]] if kind in first else [])
            first[kind] = min(here, key=place.__getitem__)
    ways = [
        [*(jobs[key] for key in sorted(with_ancestors(jobs, [last]) - {last})), jobs[last]]
        for last in first.values()
    ]
    return sorted(ways, key=lambda way: (math.fsum(declared(job).flop for job in way), len(way)))


def _run(executor: PoolExecutor, ways: Sequence[Sequence[Job]], num_cases: int) -> None:
    """Do the work on so many cases, until told to stop; what fails is left out."""
    whole = {job.key: job for way in ways for job in way}
    cut = _Cut(whole, num_cases)
    for job in whole.values():
        executor.submit(cut.job(job))
    for way in ways:
        with suppress(Interrupted):
            executor.finish([cut.key(way[-1].key)], lambda *_: None)


class _Cut:
    """Smaller jobs in the place of others; they are other work, so they have other keys."""

    def __init__(self, jobs: _Jobs, num_cases: int) -> None:
        self._jobs, self._num_cases = jobs, num_cases

    def key(self, key: str) -> str:
        """The key of the smaller job; what needs nothing, as reading a case, stays as it is."""
        name, mark, part = key.partition(MODEL)
        job = self._jobs[name]
        return (digest([name, self._num_cases]) if job.needs else name) + mark + part

    def job(self, job: Job) -> Job:
        """Fewer cases, one epoch; as many operations as these take of the whole."""
        params, inputs, flop = dict(job.params), job.inputs, job.flop
        if job.task == PREPARE.name:
            kept = self._kept(job)
            params["cases"] = list(compress(params["cases"], kept))
            inputs = tuple(compress(inputs, kept))
        elif job.data:
            flop *= self._share(job)
        if params.get("epochs", 1) > 1:
            flop /= params["epochs"]
            params["epochs"] = 1
        return replace(
            job,
            key=self.key(job.key),
            inputs=tuple(self.key(key) for key in inputs),
            data=tuple(self.key(key) for key in job.data),
            params=params,
            flop=flop,
        )

    def _kept(self, prepare: Job) -> list[bool]:
        """Which cases of a site stay: the first of each split, more of those for training."""
        seen: Counter[str] = Counter()
        kept = []
        for case in prepare.params["cases"]:
            seen[case["split"]] += 1
            kept.append(seen[case["split"]] <= (self._num_cases if case["split"] == "train" else 1))
        return kept

    def _share(self, job: Job) -> float:
        """Of the items of the whole job, those that stay."""
        split, found = job.params.get("split", "train"), Counter[bool]()
        for prepare in (self._jobs[key] for key in job.data):
            for case, kept in zip(prepare.params["cases"], self._kept(prepare), strict=True):
                found[kept] += case["num_items"] * (case["split"] == split)
        return found[True] / found.total() if found.total() else 1.0

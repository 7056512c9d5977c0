"""What a study will take before it runs: its tasks, those that are known, hours and gigabytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simulator import observations, study_folder
from simulator.api import Bundle
from simulator.errors import MedgossipError, NoValue
from simulator.scenario import Study
from simulator.simulation import simulate
from simulator.work.costs import Cost, Kind, estimate, noted
from simulator.work.executors import Tally
from simulator.work.graph import with_ancestors
from simulator.work.jobs import Job
from simulator.work.store import Store, default_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A run's tasks. ``work_s`` (seconds of one worker) and ``new_nbytes`` are None where ``unmeasured``
    tasks have never been done with this store; ``remark`` says why nothing could be foreseen.
    """

    label: str
    status: str
    num_tasks: int | None
    num_known: int | None
    num_new: int | None
    work_s: float | None
    new_nbytes: int | None
    unmeasured: tuple[str, ...] = ()
    remark: str = ""


class Foreseer:
    """An executor that computes nothing, and knows what lies in the store."""

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


@dataclass(slots=True, kw_only=True)
class _Sums:
    """The keys of all runs together."""

    keys: set[str] = field(default_factory=set)
    todo: set[str] = field(default_factory=set)


def forecast(study: Study, *, out: Path, device: str, store: Path | None) -> list[Forecast]:
    """Return a row per run, and one for all: what runs have in common counts once there.

    The tests of the models that will be selected are not in it, as nobody knows yet which these are.
    """
    from simulator.learning.numerics import numeric_mode, pick_device

    chosen, folder = pick_device(device), out / study_folder.name_of(study)
    modes = [numeric_mode(point.scenario.task.precision, chosen) for point in study.points]
    kept_in = Store(store or default_root())
    foreseer, costs, sums, rows = Foreseer(kept_in), noted(kept_in.root), _Sums(), []
    bases, studies = study_folder.bases(study, modes), study_folder.of_this_name(folder, study.name)
    for point, mode, basis in zip(study.points, modes, bases, strict=True):
        finished = study_folder.finished_run(studies, point, basis) is not None
        try:
            run = simulate(point.label, point.scenario, foreseer, mode, lambda _: None)
        except NoValue as error:
            rows.append(_unforeseen(point.label, str(error)))
            continue
        wanted = [one.key for one in observations.rounds(run, foreseer)]
        keys = with_ancestors(foreseer.jobs, wanted)
        todo = set() if finished else foreseer.todo(wanted)
        sums.keys |= keys
        sums.todo |= todo
        rows.append(
            _row(point.label, "finished" if finished else "to run", foreseer, keys, todo, costs, chosen)
        )
    return [*rows, _row("together", "", foreseer, sums.keys, sums.todo, costs, chosen)]


def _unforeseen(label: str, why: str) -> Forecast:
    return Forecast(
        label=label, status="to run", num_tasks=None, num_known=None, num_new=None, work_s=None,
        new_nbytes=None, remark=f"{label}: cannot be foreseen: {why}",
    )  # fmt: skip


def _row(
    label: str,
    status: str,
    foreseer: Foreseer,
    keys: set[str],
    todo: set[str],
    costs: Mapping[Kind, Cost],
    device: str,
) -> Forecast:
    found = estimate((foreseer.jobs[key] for key in todo), costs, device)
    return Forecast(
        label=label,
        status=status,
        num_tasks=len(keys),
        num_known=len(keys) - len(todo),
        num_new=len(todo),
        work_s=None if found.unmeasured else found.cost.seconds,
        new_nbytes=None if found.unmeasured else found.cost.nbytes,
        unmeasured=found.unmeasured,
    )

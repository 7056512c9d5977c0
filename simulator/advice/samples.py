"""What one plan says: how long it took, how far sites came, whose training went where."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from simulator import results
from simulator.api import Bundle
from simulator.errors import MedgossipError, NoValue
from simulator.simulation import Simulated
from simulator.sites.workbench import END, EXTRA, FLOP, PAUSED, START, STATUS
from simulator.work.executors import Tally
from simulator.work.jobs import MODEL, Job

_NODE, _KEY = 0, 2


class Lineage:
    """An executor that computes nothing and remembers what was made of what."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.jobs: dict[str, Job] = {}

    def submit(self, job: Job) -> None:
        """Remember a job; what it takes was submitted before it."""
        self.jobs.setdefault(job.key, job)

    def value(self, key: str) -> Bundle:
        """Raise :class:`~simulator.errors.NoValue`: a plan has no values."""
        raise NoValue(self.jobs[key].task)

    def finish(self, keys: Iterable[str], progress: object) -> dict[str, MedgossipError]:
        """Nothing to do."""
        return {}

    def close(self) -> None:
        """Nothing to do."""

    def owners(self, models: Mapping[str, str]) -> dict[str, set[str]]:
        """Return for every job which of the ``models`` (key by owner) it went into."""
        found: dict[str, set[str]] = {key: set() for key in self.jobs}
        for owner, key in models.items():
            found[key.removesuffix(MODEL)].add(owner)
        for key, job in reversed(self.jobs.items()):
            if found[key]:
                for source in job.needs:
                    if source:  # the server has no prepared cases
                        found[source] |= found[key]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One plan.

    Attributes:
        seconds: virtual time at its end.
        reached: the last round whose model each site had.
        trained: local training of each site that others' last models hold, in operations.
        compute_s: machine time that the sites spent computing; ``wasted_s`` of it went into nobody's
            last model, and ``idle_s`` they waited.
        carried_nbytes: of models; ``wasted_nbytes`` of them in transfers that failed.

    """

    seconds: float
    end_reason: str
    reached: Mapping[str, int]
    trained: Mapping[str, float]
    compute_s: float
    wasted_s: float
    idle_s: float
    carried_nbytes: int
    wasted_nbytes: int


def sample_of(run: Simulated, lineage: Lineage) -> Sample:
    """Measure a plan that ran with this executor."""
    sites = run.world.sites
    reached: dict[str, int] = {}
    last: dict[str, str] = {}
    for seen in run.world.trace.observations:
        for name in sites if seen.site is None else (seen.site,):
            if seen.round >= reached.get(name, -1):
                reached[name], last[name] = seen.round, seen.model.key
    owners = lineage.owners(last)
    trained = dict.fromkeys(sites, 0.0)
    compute_s = wasted_s = 0.0
    for row in run.world.work:
        name, key = row[_NODE], row[_KEY]
        if name not in trained:
            continue  # the server trains nothing
        seconds = row[END] - row[START] - row[PAUSED]
        compute_s += seconds
        if row[STATUS] != "done" or not owners[key]:
            wasted_s += seconds
        elif lineage.jobs[key].data and owners[key] - {name}:
            trained[name] += row[FLOP] - row[EXTRA]
    traffic = results.traffic(run.ledger)
    return Sample(
        seconds=run.virtual_time_s,
        end_reason=run.end_reason,
        reached=reached,
        trained=trained,
        compute_s=compute_s,
        wasted_s=wasted_s,
        idle_s=max(0.0, len(sites) * run.virtual_time_s - compute_s),
        carried_nbytes=traffic["carried_nbytes"],
        wasted_nbytes=traffic["wasted_nbytes"],
    )

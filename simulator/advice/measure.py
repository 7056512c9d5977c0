"""Many trials of one scenario, their samples, and what they say together."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

from simulator.advice.samples import Lineage, Sample, sample_of
from simulator.advice.trials import Trial, drawn, with_settings
from simulator.crew import Crew
from simulator.plans import Planner
from simulator.progress import Progress
from simulator.scenario.advise import Advise
from simulator.scenario.dump import pack, unpack
from simulator.scenario.schema import ScenarioBase

Z95 = 1.959964
"""The standard normal distribution has 95 % between minus and plus this."""


PATIENCE = 10
"""A plan that takes so many times as long as the undisturbed one is given up: it counts as not ended.
Drawn faults could keep a site from ever finishing.
"""


class Trials:
    """Runs trials of a scenario; those of earlier calls are remembered. ``best`` is what comes of it when
    nothing goes wrong.
    """

    def __init__(self, scenario: ScenarioBase, advise: Advise, crew: Crew, progress: Progress) -> None:
        self._packed = pack(scenario), advise.model_dump_json(by_alias=True)
        self._crew, self._progress = crew, progress
        self._known: dict[Trial, Sample] = {}
        self._until_s: float | None = None
        self.best = self.run([Trial(number=None)])[0]
        self._until_s = PATIENCE * max(self.best.seconds, advise.within or 0.0)

    def run(self, trials: Sequence[Trial]) -> list[Sample]:
        """Return a sample of each."""
        new = list(dict.fromkeys(trial for trial in trials if trial not in self._known))
        self._progress.total(len(self._known) + len(new))
        samples = self._crew.map(partial(_sampled, *self._packed, self._until_s), new, self._told)
        self._known |= dict(zip(new, samples, strict=True))
        return [self._known[trial] for trial in trials]

    def _told(self, done: int) -> None:
        for _ in range(done):
            self._progress.advance("plans")

    @property
    def num_plans(self) -> int:
        """Plans made so far."""
        return len(self._known)


def _sampled(scenario: str, advise: str, until_s: float | None, trials: Sequence[Trial]) -> list[Sample]:
    planner, uncertain = _planner(), Advise.model_validate_json(advise)
    samples = []
    for trial in trials:
        lineage = Lineage()
        changed = drawn(_changed(scenario, trial.settings), uncertain, trial)
        if until_s is not None and until_s < changed.stop.virtual_time:
            stop = changed.stop.model_copy(update={"virtual_time": until_s})
            changed = changed.model_copy(update={"stop": stop})
        samples.append(sample_of(planner.run("advise", changed, lineage), lineage))
    return samples


@cache
def _planner() -> Planner:
    """One per process, which looks at the data once."""
    return Planner()


@cache
def _changed(scenario: str, settings: tuple[tuple[str, str], ...]) -> ScenarioBase:
    return with_settings(unpack(scenario), settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a sample amounts to, measured against the plan in which nothing goes wrong.

    Attributes:
        aborted: no site got as far.
        incomplete: sites that did not, while others did.
        late: it took longer than allowed.
        unused: share of each site's training that others' last models do not hold, but would.

    """

    aborted: bool
    incomplete: tuple[str, ...]
    late: bool
    unused: Mapping[str, float]
    fails: bool


def judge(sample: Sample, best: Sample, advise: Advise) -> Verdict:
    """Compare a sample with that of the undisturbed plan."""
    short = [name for name, last in sorted(best.reached.items()) if sample.reached.get(name, -1) < last]
    aborted = len(short) == len(best.reached) or sample.end_reason.startswith("deadlock")
    unused = {
        name: max(0.0, 1 - sample.trained[name] / flop) if flop else 0.0
        for name, flop in sorted(best.trained.items())
    }
    late = advise.within is not None and sample.seconds > advise.within
    fails = bool(short) or aborted or late or max(unused.values(), default=0.0) > advise.unused
    return Verdict(
        aborted=aborted,
        incomplete=() if aborted else tuple(short),
        late=late,
        unused=unused,
        fails=fails,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """How often something happened, with a 95 % interval (Wilson's, of a binomial share)."""

    count: int
    num: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The share observed."""
        return self.count / self.num


def risk(count: int, num: int) -> Risk:
    """Return a share with the interval of E. B. Wilson, "Probable inference, the law of succession, and
    statistical inference", J. Am. Stat. Assoc. 22 (1927).
    """
    share, spread = count / num, Z95**2 / num
    center = (share + spread / 2) / (1 + spread)
    half = Z95 * math.sqrt(share * (1 - share) / num + spread / (4 * num)) / (1 + spread)
    return Risk(count=count, num=num, low=max(0.0, center - half), high=min(1.0, center + half))


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Median, and the 5th and 95th of a hundred."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Range | None:
    """Return the range of values, interpolated between neighbors; None of none."""
    if not values:
        return None
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        below = math.floor(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (place - below) * (ordered[above] - ordered[below])

    return Range(median=at(0.5), low=at(0.05), high=at(0.95))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What many draws say of one choice of settings.

    Attributes:
        hours: of the plans that were not aborted; None if all were.
        unused: mean share of each site's training that went unused.
        gpu_hours: machine hours of all sites together; wasted: what nobody's last model holds.

    """

    num: int
    fails: Risk
    aborts: Risk
    incomplete: Risk
    late: Risk | None
    too_unused: Risk
    hours: Range | None
    gpu_hours: Range
    wasted_gpu_hours: Range
    idle_gpu_hours: Range
    gigabytes: Range
    wasted_gigabytes: Range
    unused: Mapping[str, float]


def outlook(samples: Sequence[Sample], best: Sample, advise: Advise) -> Outlook:
    """Sum up samples of different draws."""
    verdicts = [judge(sample, best, advise) for sample in samples]
    num = len(samples)
    ended = [one.seconds / 3600 for one, is_ in zip(samples, verdicts, strict=True) if not is_.aborted]

    def over(values: Sequence[float]) -> Range:
        found = spread(values)
        assert found is not None  # there are samples
        return found

    def of(what: Callable[[Verdict], bool]) -> Risk:
        return risk(sum(map(what, verdicts)), num)

    names = verdicts[0].unused
    return Outlook(
        num=num,
        fails=of(lambda one: one.fails),
        aborts=of(lambda one: one.aborted),
        incomplete=of(lambda one: bool(one.incomplete)),
        late=None if advise.within is None else of(lambda one: one.late),
        too_unused=of(lambda one: max(one.unused.values(), default=0.0) > advise.unused),
        hours=spread(ended),
        gpu_hours=over([one.compute_s / 3600 for one in samples]),
        wasted_gpu_hours=over([one.wasted_s / 3600 for one in samples]),
        idle_gpu_hours=over([one.idle_s / 3600 for one in samples]),
        gigabytes=over([one.carried_nbytes / 1e9 for one in samples]),
        wasted_gigabytes=over([one.wasted_nbytes / 1e9 for one in samples]),
        unused={name: math.fsum(one.unused[name] for one in verdicts) / num for name in names},
    )

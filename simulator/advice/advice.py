"""Advice on a scenario: its outlook, whose training is lost, limits, and the settings to change."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from simulator.advice.choices import Choice, candidates, described
from simulator.advice.limits import Limit, limits
from simulator.advice.measure import Outlook, Trials, judge, outlook
from simulator.advice.samples import Sample
from simulator.advice.trials import Trial
from simulator.advice.upgrades import Upgrade, upgrades
from simulator.crew import Crew
from simulator.errors import ScenarioError
from simulator.progress import Progress
from simulator.registry import registry
from simulator.scenario.advise import Advise
from simulator.scenario.schema import ScenarioBase

FEWEST_PLANS = 100
_SHARE_BASE, _SHARE_LIMITS, _SHARE_CHOICES = 0.4, 0.3, 0.15  # of the plans; as many for the finalists
_SHARE_UPGRADES, _FEWEST_UPGRADES = 0.05, 20
_STEPS, _FINALISTS, _FEWEST_DRAWS = 24, 3, 6
_WORTH = 0.97
"""A setting that is no safer must take at most this share of the time to be worth a change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A setting that was tried: its outlook, and that of the scenario as it is under the same draws.

    Attributes:
        better: draws under which it alone does not fail; ``worse``: under which it alone fails.

    """

    setting: str
    outlook: Outlook
    unchanged: Outlook
    better: int
    worse: int

    @property
    def chance(self) -> float:
        """How likely such a difference is or a larger one if the setting changes nothing (sign test)."""
        num, most = self.better + self.worse, max(self.better, self.worse)
        tail = sum(comb(num, count) for count in range(most, num + 1)) * 0.5**num
        return min(1.0, 2 * tail)

    @property
    def helps(self) -> bool:
        """Whether fewer plans fail, or no more do and they take less time."""
        mine, other = self.outlook, self.unchanged
        if mine.fails.count != other.fails.count:
            return mine.fails.count < other.fails.count
        if mine.hours is None or other.hours is None:
            return False
        return mine.hours.median <= _WORTH * other.hours.median


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Everything that is told of one scenario; hours of ``nothing_wrong`` are those of its plan without
    faults, as declared. ``options`` are in the order of merit, the best first, and so are ``upgrades``.
    """

    label: str
    num_plans: int
    num_sites: int
    nothing_wrong: Sample
    outlook: Outlook
    limits: tuple[Limit, ...]
    options: tuple[Option, ...]
    upgrades: tuple[Upgrade, ...]
    assumed: Advise

    @property
    def best(self) -> Option | None:
        """The setting to change, if any helps."""
        return next((one for one in self.options if one.helps), None)


def advice(
    label: str,
    scenario: ScenarioBase,
    advise: Advise,
    *,
    plans: int,
    jobs: int,
    progress: Progress,
) -> Advice:
    """Plan a scenario about ``plans`` times and say what came of it; equal for any number of jobs.

    Raises:
        ScenarioError: fewer plans than :data:`FEWEST_PLANS`, or a choice that is not possible.
    """
    if plans < FEWEST_PLANS:
        raise ScenarioError(f"--plans {plans}: too few to tell a risk; take {FEWEST_PLANS} or more")
    choices = candidates(scenario, advise)
    algorithm = registry("algorithms")[scenario.algorithm.name]
    with Crew(jobs) as crew:
        trials = Trials(scenario, advise, crew, progress)
        num_draws = round(_SHARE_BASE * plans)
        best, samples = trials.best, trials.run(_draws(num_draws))
        bounds = limits(
            scenario,
            advise,
            trials,
            num_draws=max(_FEWEST_DRAWS, round(_SHARE_LIMITS * plans / _STEPS)),
            has_server=algorithm.server is not None,
        )
        gains = upgrades(scenario, trials, max(_FEWEST_UPGRADES, round(_SHARE_UPGRADES * plans)))
        return Advice(
            label=label,
            nothing_wrong=best,
            num_sites=len(best.trained),
            outlook=outlook(samples, best, advise),
            limits=tuple(bounds),
            options=tuple(_options(choices, trials, advise, plans, num_draws)),
            upgrades=gains,
            num_plans=trials.num_plans,
            assumed=advise,
        )


def _draws(count: int, choice: Choice = ()) -> list[Trial]:
    return [Trial(number=number, settings=choice) for number in range(count)]


def _options(
    choices: Sequence[Choice], trials: Trials, advise: Advise, plans: int, most: int
) -> list[Option]:
    """Try all settings under a few draws, and the best of them under more."""
    if not choices:
        return []
    few = max(_FEWEST_DRAWS, round(_SHARE_CHOICES * plans / len(choices)))
    many = min(most, few + round(_SHARE_CHOICES * plans / _FINALISTS))

    def tried(choice: Choice, count: int) -> Option:
        under, plain = trials.run(_draws(count, choice)), trials.run(_draws(count))
        failed = [[judge(one, trials.best, advise).fails for one in some] for some in (plain, under)]
        pairs = list(zip(*failed, strict=True))
        return Option(
            setting=described(choice),
            outlook=outlook(under, trials.best, advise),
            unchanged=outlook(plain, trials.best, advise),
            better=pairs.count((True, False)),
            worse=pairs.count((False, True)),
        )

    trials.run([trial for choice in choices for trial in _draws(few, choice)])  # all at once
    ranked = sorted(choices, key=lambda choice: _merit(tried(choice, few)))
    trials.run([trial for choice in ranked[:_FINALISTS] for trial in _draws(many, choice)])
    first = sorted((tried(choice, many) for choice in ranked[:_FINALISTS]), key=_merit)
    return [*first, *(tried(choice, few) for choice in ranked[_FINALISTS:])]


def _merit(option: Option) -> tuple[float, float, str]:
    """Fewer failures than unchanged first, then less time."""
    mine, other = option.outlook, option.unchanged
    hours = [one.hours.median if one.hours else float("inf") for one in (mine, other)]
    gained = hours[0] / hours[1] if hours[1] < float("inf") else hours[0]
    return (mine.fails.count - other.fails.count) / mine.num, gained, option.setting

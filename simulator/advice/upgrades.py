"""What a faster line or machine would save, one at a time, when nothing goes wrong."""

from dataclasses import dataclass
from typing import Literal

from simulator.advice.measure import Trials
from simulator.advice.trials import Faster, Trial, faster
from simulator.scenario.schema import ScenarioBase

WORTH = 0.99
"""What saves less than a hundredth of the time is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """A line or a machine of a node, twice as fast, and how long it would take then."""

    part: Faster
    seconds: float


def upgrades(scenario: ScenarioBase, trials: Trials, most: int) -> tuple[Upgrade, ...]:
    """Return those that save time, the best first; at most so many are tried, the slowest lines first."""
    machines = scenario.machines
    lines = sorted(machines, key=lambda name: (min(machines[name].link.up, machines[name].link.down), name))
    whats: tuple[Literal["line", "machine"], ...] = ("line", "machine")
    parts = [Faster(node=name, what=what) for name in lines for what in whats]
    able = [part for part in parts if faster(scenario, part) != scenario][:most]
    samples = trials.run([Trial(number=None, faster=part) for part in able])
    found = [Upgrade(part=part, seconds=one.seconds) for part, one in zip(able, samples, strict=True)]
    worth = [one for one in found if one.seconds <= WORTH * trials.best.seconds]
    return tuple(sorted(worth, key=lambda one: one.seconds))

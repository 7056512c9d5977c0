"""What a condition makes of a link, as a function of virtual time."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import floor, inf
from typing import Protocol

import numpy as np

from simulator.network.topology import Link
from simulator.scenario.times import Sampler


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one cause makes of a link: values in place of its own, a share of its bandwidth, traffic
    taken off it that leaves it ``floor``, or nothing at all while it is down.
    """

    bytes_per_s: float | None = None
    latency_s: float | None = None
    loss: float | None = None
    share: float = 1.0
    taken: float = 0.0
    floor: float = 0.0
    down: bool = False


NONE = Effect()
DOWN = Effect(down=True)


@dataclass(frozen=True, slots=True)
class State:
    """A link under all its effects; bandwidth on the wire in bytes per second."""

    bytes_per_s: float
    latency_s: float
    loss: float
    down: bool


def combine(link: Link, effects: Iterable[Effect]) -> State:
    """Return what a link is under effects, later ones over earlier ones.

    Traffic is taken off last: ``max(rate − taken, floor)``, but no more than the rate.
    """
    rate, latency_s, loss, taken, least, down = link.bytes_per_s, link.latency_s, link.loss, 0.0, 0.0, False
    for effect in effects:
        rate = effect.share * (rate if effect.bytes_per_s is None else effect.bytes_per_s)
        latency_s = latency_s if effect.latency_s is None else effect.latency_s
        loss = loss if effect.loss is None else effect.loss
        taken, least, down = taken + effect.taken, max(least, effect.floor), down or effect.down
    if taken > 0:
        rate = min(rate, max(rate - taken, least))
    return State(rate, latency_s, loss, down)


class Timeline(Protocol):
    """Effects over time. ``cuts``: whether the link is ever down."""

    cuts: bool

    def at(self, now: float) -> tuple[Effect, float]:
        """Return the effect at ``now`` and when it changes next. Never asked about earlier times
        than before.
        """


class Steps:
    """Effects that begin at given seconds, the first at 0; they come again after ``period_s``.

    Instants are computed from whole numbers of periods, always alike: no change is missed or repeated
    by rounding, however late it is.
    """

    def __init__(
        self,
        times: Sequence[float],
        effects: Sequence[Effect],
        *,
        period_s: float = inf,
        offset_s: float = 0.0,
    ) -> None:
        self._times, self._effects, self._period_s, self._offset_s = times, effects, period_s, offset_s
        self.cuts = any(effect.down for effect in effects)

    def at(self, now: float) -> tuple[Effect, float]:
        """See :class:`Timeline`."""
        clock, size = now + self._offset_s, len(self._times)
        turn = 0 if self._period_s == inf else floor(clock / self._period_s)
        begun = 0.0 if turn == 0 else turn * self._period_s
        step = turn * size + bisect_right(self._times, clock - begun) - 1
        while self._begin(step + 1) <= now:
            step += 1
        while self._begin(step) > now:
            step -= 1
        effect, change = self._effects[step % size], step + 1
        while self._effects[change % size] == effect and change < step + size and self._begin(change) < inf:
            change += 1
        return effect, self._begin(change) if change < step + size or size > 1 else inf

    def _begin(self, step: int) -> float:
        turn, place = divmod(step, len(self._times))
        if turn and self._period_s == inf:
            return inf if turn > 0 else -inf
        return (turn * self._period_s if turn else 0.0) + self._times[place] - self._offset_s


class Alternating:
    """Off for a drawn time, on for a drawn time, and so on; each effect is drawn when it begins."""

    def __init__(
        self,
        off: Sampler,
        on: Sampler,
        effect: Callable[[np.random.Generator], Effect],
        rng: np.random.Generator,
        *,
        cuts: bool,
    ) -> None:
        self._off, self._on, self._effect, self._rng, self.cuts = off, on, effect, rng, cuts
        self._present, self._until = NONE, off(rng)
        self._is_on = False

    def at(self, now: float) -> tuple[Effect, float]:
        """See :class:`Timeline`."""
        while self._until <= now:
            self._is_on = not self._is_on
            self._present = self._effect(self._rng) if self._is_on else NONE
            self._until += (self._on if self._is_on else self._off)(self._rng)
        return self._present, self._until

"""Conditions of links over time: brings links up to date when something about them changes.

Changes are looked up one at a time, never listed in advance. A link that nobody uses is left alone,
but for outages, which messages under way must not miss; whoever uses it next finds it up to date. So
cost grows with the changes that somebody meets.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from math import inf

from simulator.network.agenda import Timer
from simulator.network.timelines import NONE, Effect, State, Timeline, combine
from simulator.network.transport import Network

CAUSE = "conditions"
RESET = "connection reset"

Tell = Callable[["Influence", bool], None]
"""Told when an influence cuts its link (True) and when it no longer does."""


@dataclass(slots=True, kw_only=True, eq=False)
class Influence:
    """A line of ``network.conditions`` on one link. ``owner`` is the site or link that it names;
    ``resets``: connections do not outlive its outages.
    """

    number: int
    link: str
    owner: str
    timeline: Timeline
    resets: bool = False
    effect: Effect = NONE
    next_s: float = 0.0
    first_s: float = inf  # when it first had, or will first have, an effect


@dataclass(slots=True, kw_only=True, eq=False)
class _Watch:
    """A link that changes: its influences, and what faults set (by cause)."""

    link: str
    influences: list[Influence] = field(default_factory=list)
    held: dict[object, Effect] = field(default_factory=dict)
    state: State | None = None
    timer: Timer | None = None


class Conditions:
    """Follows the influences on all links of a network. ``tell`` hears of outages."""

    def __init__(self, network: Network, influences: Iterable[Influence], tell: Tell) -> None:
        self._network, self._tell = network, tell
        self._watches: dict[str, _Watch] = {}
        for influence in influences:
            self._watch(influence.link).influences.append(influence)
        for watch in self._watches.values():
            self._refresh(watch, network.now, used=False)
            for one in watch.influences:
                one.first_s = network.now if one.effect != NONE else one.next_s

    def hold(self, link: str, cause: object, effect: Effect) -> None:
        """Let a fault have an effect on a link until it is released."""
        watch = self._watch(link)
        watch.held[cause] = effect
        self._refresh(watch, self._network.now, used=False)

    def release(self, link: str, cause: object) -> None:
        """End what :meth:`hold` began."""
        watch = self._watch(link)
        watch.held.pop(cause, None)
        self._refresh(watch, self._network.now, used=False)

    def _watch(self, link: str) -> _Watch:
        if link not in self._watches:
            self._watches[link] = _Watch(link=link)
        return self._watches[link]

    def _refresh(self, watch: _Watch, now: float, *, used: bool) -> None:
        """Bring a link up to date, and wait for its next change; ``used`` if somebody is about to need
        it.
        """
        was = [one.effect.down for one in watch.influences]
        for one in watch.influences:
            if one.next_s <= now:
                one.effect, one.next_s = one.timeline.at(now)
        effects = [*(one.effect for one in watch.influences), *watch.held.values()]
        self._apply(watch, combine(self._network.links[watch.link], effects))
        for one, was_down in zip(watch.influences, was, strict=True):
            if one.effect.down != was_down:
                self._tell(one, one.effect.down)
                if one.effect.down and one.resets:
                    self._network.reset_link(watch.link, RESET)
        self._wait(watch, used=used)

    def _apply(self, watch: _Watch, state: State) -> None:
        was = watch.state or combine(self._network.links[watch.link], ())
        watch.state = state
        if state.down and not was.down:
            self._network.set_link(watch.link, up=False, cause=CAUSE)
        self._network.set_link(
            watch.link,
            bytes_per_s=None if state.bytes_per_s == was.bytes_per_s else state.bytes_per_s,
            latency_s=None if state.latency_s == was.latency_s else state.latency_s,
            loss=None if state.loss == was.loss else state.loss,
        )
        if was.down and not state.down:
            self._network.set_link(watch.link, up=True, cause=CAUSE)

    def _wait(self, watch: _Watch, *, used: bool) -> None:
        if watch.timer is not None:
            watch.timer.cancel()
        idle = not used and self._network.is_idle(watch.link)
        due_s = min((one.next_s for one in watch.influences if one.timeline.cuts or not idle), default=inf)
        watch.timer = self._network.at(due_s, self._due, (watch, due_s)) if due_s < inf else None
        if idle and any(one.next_s < inf for one in watch.influences):
            self._network.on_use(watch.link, partial(self._use, watch))

    def _use(self, watch: _Watch) -> None:
        self._refresh(watch, self._network.now, used=True)

    def _due(self, item: tuple[_Watch, float]) -> None:
        watch, due_s = item
        now = max(due_s, self._network.now)  # timers may be early by their tolerance
        self._refresh(watch, now, used=False)

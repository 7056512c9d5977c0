"""The network's own calendar: one pending SimPy event for any number of timers.

Timers of one instant run together, after everything else that SimPy holds for that instant. Then, if
anything was touched or it asked for this instant, ``settle`` is called once; it tells when it wants to
be called next. SimPy cannot unschedule, so its event carries a version and a late one is ignored.
"""

import heapq
from collections.abc import Callable
from math import inf
from typing import Any

import simpy
from simpy.events import EventPriority

from simulator.network.due import SAME_INSTANT

LATE = EventPriority(2)
"""After SimPy's URGENT (0) and NORMAL (1)."""


class Timer:
    """A call that is due at some time, unless canceled."""

    __slots__ = ("action", "at_s", "item", "live")

    def __init__(self, at_s: float, action: Callable[[Any], None], item: object) -> None:
        self.at_s, self.action, self.item, self.live = at_s, action, item, True

    def cancel(self) -> None:
        """Forget it, and what it was for: that holds the timer, and a circle is left to the collector."""
        self.live, self.item = False, None


class Agenda:
    """Timers in order of time, then of creation."""

    def __init__(self, env: simpy.Environment, settle: Callable[[], float]) -> None:
        self._env = env
        self._settle = settle
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._version = 0
        self._armed_s = inf
        self._next_s = inf  # when ``settle`` wants to be called
        self._tidy_from = 1024

    @property
    def now(self) -> float:
        """Virtual time."""
        return float(self._env.now)

    def at(self, at_s: float, action: Callable[[Any], None], item: object) -> Timer:
        """Have ``action(item)`` called at ``at_s``, now at the earliest."""
        timer = Timer(at_s, action, item)
        self._count += 1
        heapq.heappush(self._heap, (at_s, self._count, timer))
        if at_s < self._armed_s:
            self._arm(at_s)
        return timer

    def others(self) -> float:
        """When a timer is due, or SimPy holds an event, next; inf for never."""
        event_s = float(self._env.peek())
        return min(event_s, self._heap[0][0]) if self._heap else event_s

    def touch(self) -> None:
        """Have ``settle`` called at the end of this instant."""
        self._next_s = -inf
        if self._armed_s > self._env.now:
            self._arm(self._env.now)

    def close(self) -> None:
        """Drop all timers."""
        self._heap.clear()
        self._version += 1

    def _arm(self, at_s: float) -> None:
        self._version += 1
        self._armed_s = at_s
        event = simpy.Event(self._env)
        event._ok, event._value = True, self._version  # triggered by hand: succeed() knows no priority
        event.callbacks.append(self._wake)
        self._env.schedule(event, LATE, max(at_s - self._env.now, 0.0))

    def _wake(self, event: simpy.Event) -> None:
        if event._value != self._version:
            return
        limit = self._env.now * SAME_INSTANT
        self._armed_s = self._env.now  # what is added meanwhile needs no event of its own
        while True:
            while self._heap and (self._heap[0][0] <= limit or not self._heap[0][2].live):
                timer = heapq.heappop(self._heap)[2]
                if timer.live:
                    item = timer.item
                    timer.cancel()
                    timer.action(item)
            if self._next_s <= limit:
                self._next_s = self._settle()
            self._tidy()
            if not (self._heap and self._heap[0][0] <= limit):
                break
        next_s = min(self._next_s, self._heap[0][0]) if self._heap else self._next_s
        self._armed_s = inf
        if next_s < inf:
            self._arm(next_s)

    def _tidy(self) -> None:
        """Drop canceled timers: at the head, and everywhere once the heap has doubled."""
        if len(self._heap) > self._tidy_from:
            self._heap = [entry for entry in self._heap if entry[2].live]
            heapq.heapify(self._heap)
            self._tidy_from = max(1024, 2 * len(self._heap))
        while self._heap and not self._heap[0][2].live:
            heapq.heappop(self._heap)

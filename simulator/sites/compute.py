"""How long work takes: work divided by speed, integrated over the windows in which a site computes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.api import Cost, ModelSize
from simulator.scenario.availability import Availability, AvailabilityTrace, presence_of
from simulator.scenario.clock import DAY_S, window
from simulator.scenario.schema import NodeSpec
from simulator.sites.devices import sustained_flop_per_s

BACKWARD = 2.0
"""A backward pass costs about two forward passes (it multiplies for weights and for inputs)."""


def flop(cost: Cost, model: ModelSize, *incoming: ModelSize) -> float:
    """Floating-point operations of a piece of work; ``incoming`` are the networks of the inputs after the
    first, by default the same.
    """
    own = (1 + BACKWARD) * cost.train_items + cost.forward_items
    others = (1 + BACKWARD) * cost.incoming_train_items + cost.incoming_forward_items
    return model.forward_flop * own + _forward_flop(incoming or (model,)) * others + cost.flop


def extra_flop(cost: Cost, model: ModelSize, *incoming: ModelSize) -> float:
    """The part of :func:`flop` that a plain local epoch would not have had."""
    extra = model.forward_flop * cost.extra_train_items
    return (1 + BACKWARD) * (extra + _forward_flop(incoming or (model,)) * cost.incoming_train_items)


def _forward_flop(networks: Sequence[ModelSize]) -> float:
    """Operations of one forward pass, the mean of networks that share their items evenly."""
    return math.fsum(one.forward_flop for one in networks) / len(networks)


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a machine is available, as disjoint, sorted (open, close) seconds of a ``period_s``."""

    windows: tuple[tuple[float, float], ...]
    offset_s: float  # second of the period at virtual time 0
    period_s: float = DAY_S

    @classmethod
    def from_spec(cls, spec: Availability) -> "Calendar":
        """Windows of the day or week, one that ends before it begins runs over midnight; or a trace."""
        if spec.trace is not None:
            return _of_trace(spec.trace)
        days = range(7 if spec.weekly else 1)
        spans = [span for text in spec.daily for span in window(text, weekly=False)]
        pieces = [(begin + day * DAY_S, end + day * DAY_S) for day in days for begin, end in spans]
        pieces += [span for text in spec.weekly for span in window(text, weekly=True)]
        merged: list[tuple[float, float]] = []
        for begin, end in sorted(pieces):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            elif begin < end:
                merged.append((begin, end))
        period_s = len(days) * DAY_S
        return cls(tuple(merged), spec.offset_s % period_s, period_s)

    def finish(self, start_s: float, busy_s: float) -> float:
        """When work of ``busy_s`` that may begin at ``start_s`` is done, pausing outside windows; infinity
        if they end before.
        """
        clock, left = start_s + self.offset_s, busy_s
        turn = 0 if self.period_s == math.inf else math.floor(clock / self.period_s)
        while True:
            begun = turn * self.period_s if turn else 0.0
            for begin, end in self.windows:
                opening = max(begun + begin, clock)
                room = begun + end - opening
                if room > 0:
                    if left <= room:  # rounded, it could lie before the start
                        return max(start_s, opening + left - self.offset_s)
                    left -= room
            if self.period_s == math.inf:
                return math.inf
            per_turn = sum(end - begin for begin, end in self.windows)
            whole = max(0, math.ceil(left / per_turn) - 1)  # passed at once, so that years cost nothing
            left -= whole * per_turn
            turn += 1 + whole
            clock = turn * self.period_s

    def open_s(self, start_s: float, end_s: float) -> float:
        """Seconds between two instants that lie inside windows."""
        return self._open_until(end_s + self.offset_s) - self._open_until(start_s + self.offset_s)

    def _open_until(self, clock: float) -> float:
        """Seconds inside windows from the beginning of the period of virtual time 0 to ``clock``."""
        turn, inside = (0.0, clock) if self.period_s == math.inf else divmod(clock, self.period_s)
        before = turn * sum(end - begin for begin, end in self.windows) if turn else 0.0
        return before + sum(min(end, max(begin, inside)) - begin for begin, end in self.windows)

    def next_change(self, now_s: float) -> tuple[float, bool]:
        """When it opens or closes next after ``now_s``, infinity for never, and whether it is open then."""
        edges = [(begin, True) for begin, _ in self.windows] + [(end, False) for _, end in self.windows]
        first, last = self.windows[0][0], self.windows[-1][1]
        if first == 0 and last == self.period_s:  # open over the end of the period
            edges = [edge for edge in edges if edge not in {(first, True), (last, False)}]
        edges = sorted(edge for edge in edges if edge[0] < math.inf)
        turn = 0 if self.period_s == math.inf else math.floor((now_s + self.offset_s) / self.period_s)
        for begun in (turn * self.period_s if turn else 0.0, (turn + 1) * self.period_s):
            for edge, opens in edges:
                at_s = begun + edge - self.offset_s
                if now_s < at_s < math.inf:
                    return at_s, opens
        return math.inf, True

    def is_open(self, now_s: float) -> bool:
        """Whether an instant lies inside a window."""
        clock = now_s + self.offset_s
        inside = clock if self.period_s == math.inf else clock % self.period_s
        return any(begin <= inside < end for begin, end in self.windows)


def _of_trace(trace: AvailabilityTrace) -> Calendar:
    presence = presence_of(trace)
    end_s = math.inf if trace.at_end == "hold" else trace.period
    assert end_s is not None  # the scenario was checked
    edges = [*([0.0] if presence.is_on else []), *(time for time in presence.transitions if time < end_s)]
    if len(edges) % 2:
        edges.append(end_s)
    windows = tuple(zip(edges[::2], edges[1::2], strict=True))
    return Calendar(windows, trace.start if end_s == math.inf else trace.start % end_s, end_s)


@dataclass(frozen=True, slots=True)
class Processor:
    """A node's computing: its speed and when it may be used."""

    flop_per_s: float
    calendar: Calendar | None

    @classmethod
    def from_spec(cls, spec: NodeSpec, model: ModelSize) -> "Processor":
        """Speed from the device, a number, or the measured time of one training item."""
        if spec.device is not None:
            speed = sustained_flop_per_s(spec.device)
        elif spec.speed is not None:
            speed = spec.speed
        else:
            assert spec.seconds_per_item is not None  # the scenario was checked
            speed = flop(Cost(train_items=1), model) / spec.seconds_per_item
        pauses = spec.availability is not None and spec.availability.means != "line-only"
        return cls(speed, Calendar.from_spec(spec.availability) if spec.availability and pauses else None)

    def finish(self, start_s: float, work_flop: float) -> float:
        """When work that begins at ``start_s`` is done."""
        busy_s = work_flop / self.flop_per_s
        return start_s + busy_s if self.calendar is None else self.calendar.finish(start_s, busy_s)

    def paused_s(self, start_s: float, end_s: float) -> float:
        """Seconds between two instants in which work stands still, because the machine is not available."""
        if self.calendar is None:
            return 0.0
        paused_s = end_s - start_s - self.calendar.open_s(start_s, end_s)
        return paused_s if paused_s > 1e-9 * max(1.0, end_s) else 0.0  # less is rounding

    def flop_done(self, start_s: float, until_s: float) -> float:
        """Operations that work which began at ``start_s`` has seen at ``until_s``."""
        open_s = until_s - start_s if self.calendar is None else self.calendar.open_s(start_s, until_s)
        return open_s * self.flop_per_s

    def part_done(self, start_s: float, end_s: float, until_s: float, work_flop: float) -> float:
        """Part, 0 to 1, that is done at ``until_s`` of work that runs from ``start_s`` to ``end_s``."""
        if until_s >= end_s:
            return 1.0
        if until_s <= start_s or not work_flop:  # work without operations waits for a window too
            return 0.0
        if end_s == math.inf:
            return self.flop_done(start_s, until_s) / work_flop
        if self.calendar is None:
            return (until_s - start_s) / (end_s - start_s)
        return self.calendar.open_s(start_s, until_s) / self.calendar.open_s(start_s, end_s)

"""How long work takes: work divided by speed, integrated over the windows in which a site computes."""

import math
from dataclasses import dataclass

from simulator.api import Cost, ModelSize
from simulator.scenario.schema import Availability, NodeSpec
from simulator.sites.devices import sustained_flop_per_s

_DAY_S = 86400.0
BACKWARD = 2.0
"""A backward pass costs about two forward passes (it multiplies for weights and for inputs)."""


def flop(cost: Cost, model: ModelSize, incoming: ModelSize | None = None) -> float:
    """Floating-point operations of a piece of work; ``incoming`` is the second input's network, by
    default the same.
    """
    own = (1 + BACKWARD) * cost.train_items + cost.forward_items
    others = (1 + BACKWARD) * cost.incoming_train_items + cost.incoming_forward_items
    return model.forward_flop * own + (incoming or model).forward_flop * others + cost.flop


def extra_flop(cost: Cost, model: ModelSize, incoming: ModelSize | None = None) -> float:
    """The part of :func:`flop` that a plain local epoch would not have had."""
    extra = model.forward_flop * cost.extra_train_items
    return (1 + BACKWARD) * (extra + (incoming or model).forward_flop * cost.incoming_train_items)


def _seconds_of_day(text: str) -> float:
    hours, minutes = text.split(":")
    return int(hours) * 3600.0 + int(minutes) * 60.0


@dataclass(frozen=True, slots=True)
class Calendar:
    """Daily windows of availability, as disjoint, sorted (open, close) seconds of a day."""

    windows: tuple[tuple[float, float], ...]
    offset_s: float  # second of the day at virtual time 0

    @classmethod
    def from_spec(cls, spec: Availability) -> "Calendar":
        """Read ``daily`` windows; one that ends before it begins runs over midnight."""
        pieces: list[tuple[float, float]] = []
        for text in spec.daily:
            begin, end = (_seconds_of_day(part) for part in text.split("-"))
            pieces += [(begin, end)] if begin < end else [(begin, _DAY_S), (0.0, end)]
        merged: list[tuple[float, float]] = []
        for begin, end in sorted(pieces):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            elif begin < end:
                merged.append((begin, end))
        return cls(tuple(merged), _seconds_of_day(spec.starts_at))

    def finish(self, start_s: float, busy_s: float) -> float:
        """When work of ``busy_s`` that may begin at ``start_s`` is done, pausing outside windows."""
        per_day = sum(end - begin for begin, end in self.windows)
        clock = start_s + self.offset_s
        day = math.floor(clock / _DAY_S)
        left = busy_s
        while True:
            for begin, end in self.windows:
                opening = max(day * _DAY_S + begin, clock)
                room = day * _DAY_S + end - opening
                if room > 0:
                    if left <= room:
                        return opening + left - self.offset_s
                    left -= room
            whole_days = max(0, math.ceil(left / per_day) - 1)  # passed at once, so that years cost nothing
            left -= whole_days * per_day
            day += 1 + whole_days
            clock = day * _DAY_S

    def open_s(self, start_s: float, end_s: float) -> float:
        """Seconds between two instants that lie inside windows."""
        return self._open_until(end_s + self.offset_s) - self._open_until(start_s + self.offset_s)

    def _open_until(self, clock: float) -> float:
        """Seconds inside windows from the midnight before virtual time 0 to ``clock``."""
        day, of_day = divmod(clock, _DAY_S)
        per_day = sum(end - begin for begin, end in self.windows)
        return day * per_day + sum(min(end, max(begin, of_day)) - begin for begin, end in self.windows)


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
        return cls(speed, Calendar.from_spec(spec.availability) if spec.availability else None)

    def finish(self, start_s: float, work_flop: float) -> float:
        """When work that begins at ``start_s`` is done."""
        busy_s = work_flop / self.flop_per_s
        return start_s + busy_s if self.calendar is None else self.calendar.finish(start_s, busy_s)

    def part_done(self, start_s: float, end_s: float, until_s: float) -> float:
        """Part, 0 to 1, that is done at ``until_s`` of work that runs from ``start_s`` to ``end_s``."""
        if until_s >= end_s:
            return 1.0
        if until_s <= start_s:
            return 0.0
        if self.calendar is None:
            return (until_s - start_s) / (end_s - start_s)
        busy_s = self.calendar.open_s(start_s, end_s)
        # work without operations waits for a window too
        return self.calendar.open_s(start_s, until_s) / busy_s if busy_s else 0.0

"""A node's processor and the work in front of it: one piece after the other, at a speed that may change."""

from dataclasses import dataclass, replace
from typing import Any

import simpy

from simulator.sites.compute import Processor
from simulator.units import parse

START, END, STATUS, FLOP, EXTRA, PAUSED = 4, 5, 6, 7, 8, 9
"""Places in a row of the table ``work``."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Piece:
    """Work that is not done: ``left_flop`` of it as of ``since_s``, when it began or the speed changed."""

    row: list[Any]
    event: simpy.Event
    value: object
    left_flop: float
    since_s: float


class Workbench:
    """Lets work take its time and keeps its rows up to date."""

    def __init__(self, env: simpy.Environment, processor: Processor) -> None:
        self._env, self._declared, self._processor = env, processor, processor
        self._levels: dict[object, float | str] = {}  # by cause, oldest first
        self._open: list[_Piece] = []
        self._busy_until = 0.0
        self._version = 0  # timers of an earlier speed are stale

    @property
    def flop_per_s(self) -> float:
        """Sustained speed as declared."""
        return self._declared.flop_per_s

    def add(self, task: list[Any], work_flop: float, extra_flop: float, value: object) -> simpy.Event:
        """Queue a piece of work; the event gives ``value`` when it is done.

        Args:
            task: the first four columns of its row in the table ``work``; the rest is appended.
            work_flop: floating-point operations.
            extra_flop: see the table.
            value: what the event gives.

        """
        start_s = max(float(self._env.now), self._busy_until)
        end_s = self._busy_until = self._processor.finish(start_s, work_flop)
        task += [start_s, end_s, "running", work_flop, extra_flop, 0.0]
        event = self._env.event()
        piece = _Piece(row=task, event=event, value=value, left_flop=work_flop, since_s=start_s)
        self._open.append(piece)
        self._wait(piece)
        return event

    def reset(self) -> None:
        """The node starts again: nothing waits."""
        self._busy_until = float(self._env.now)

    def cut(self, status: str) -> None:
        """End the records of unfinished work now; their operations are those done until now."""
        now = float(self._env.now)
        for piece in self._open:
            row, total = piece.row, piece.row[FLOP]
            part = 1 - self._left(piece, now) / total if total else 0.0
            row[START], row[END], row[STATUS] = min(row[START], now), min(row[END], now), status
            row[FLOP], row[EXTRA] = total * part, row[EXTRA] * part
            row[PAUSED] = self._processor.paused_s(row[START], row[END])
        self._open.clear()

    def set_speed(self, cause: object, level: float | str | None) -> None:
        """Compute at a share of the declared speed, or at another, until the same cause says None; later
        causes go on from earlier ones. Work in progress goes on at the new speed.
        """
        if level is None:
            self._levels.pop(cause, None)
        else:
            self._levels[cause] = level
        speed = self._declared.flop_per_s
        for one in self._levels.values():
            speed = speed * one if isinstance(one, float) else parse(one, "speed")
        now = float(self._env.now)
        lefts = [self._left(piece, now) for piece in self._open]
        self._processor = replace(self._declared, flop_per_s=speed)
        self._version += 1
        self._busy_until = now
        for piece, left in zip(self._open, lefts, strict=True):
            if piece.since_s > now:  # it waits for others
                piece.row[START] = self._busy_until
            piece.left_flop, piece.since_s = left, self._busy_until
            piece.row[END] = self._busy_until = self._processor.finish(piece.since_s, left)
            self._wait(piece)

    def _left(self, piece: _Piece, now: float) -> float:
        return piece.left_flop * (
            1 - self._processor.part_done(piece.since_s, piece.row[END], now, piece.left_flop)
        )

    def _wait(self, piece: _Piece) -> None:
        version = self._version

        def done(_: simpy.Event) -> None:
            if version == self._version and piece.row[STATUS] == "running":
                piece.row[STATUS] = "done"
                piece.row[PAUSED] = self._processor.paused_s(piece.row[START], piece.row[END])
                self._open.remove(piece)
                piece.event.succeed(piece.value)

        self._env.timeout(piece.row[END] - self._env.now).callbacks.append(done)

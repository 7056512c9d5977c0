"""Tables of when machines come and go.


A CSV table has a row for each site: its state at the start, and when that changes, in the unit of the
header::

    site, start, transitions(h)
    north, on, 10, 22, 34
    river, off, 6.5

JSON says the same, in seconds: ``{"north": {"start": "on", "transitions": [36000, 79200]}}``, or as the
availability traces of FedScale do (F. Lai et al., "FedScale: benchmarking model and system performance of
federated learning at scale", ICML 2022): ``{"north": {"active": [0, 50000], "inactive": [36000, 60000],
"finish_time": 518400}}``, available from each ``active`` to its ``inactive``, again after ``finish_time``.
"""

import csv
import io
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from simulator.scenario.traces import MAX_ROWS
from simulator.units import UNITS

_HEAD = re.compile(r"transitions \((\w+)\)")
_STATES = {"on": True, "off": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A row of a trace: whether it begins available, when that changes, and a period that it came with."""

    is_on: bool
    transitions: tuple[float, ...]
    period_s: float | None = None


def parse_presences(text: str) -> dict[str, Presence]:
    """Read a CSV table.

    Raises:
        ValueError: what is wrong, beginning with the number of the line.
    """
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    head = [cell.strip() for cell in next(rows, [])]
    match = _HEAD.fullmatch(head[2]) if len(head) == 3 else None
    if head[:2] != ["site", "start"] or match is None or match[1] not in UNITS["duration"]:
        raise ValueError(
            '1: the header is not "site,start,transitions (s)"; write that, or another unit of time'
        )
    found: dict[str, Presence] = {}
    for row in rows:
        if not row:
            continue
        name, start, *cells = (cell.strip() for cell in row)
        if name in found:
            raise ValueError(f"{rows.line_num}: {name} for the second time; keep one of them")
        if start not in _STATES:
            raise ValueError(f'{rows.line_num}: "{start}" is no state; write on or off')
        times = [_number(cell, rows.line_num) * UNITS["duration"][match[1]] for cell in cells if cell]
        found[name] = Presence(is_on=_STATES[start], transitions=_rising(times, rows.line_num))
    return found


def parse_json(text: str) -> dict[str, Presence]:
    """Read JSON of either kind.

    Raises:
        ValueError: what is wrong, beginning with the number of the line.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.lineno}: {error.msg}") from None
    if not isinstance(content, dict):
        raise ValueError('1: expected {"site": {"start": "on", "transitions": […]}, …}')
    return {str(name): _presence(str(name), row) for name, row in content.items()}


def _presence(name: str, row: Any) -> Presence:
    keys = set(row) if isinstance(row, dict) else set()
    if keys == {"start", "transitions"} and row["start"] in _STATES:
        times = [_number(time, 1) for time in row["transitions"]]
        return Presence(is_on=_STATES[row["start"]], transitions=_rising(times, 1))
    if not {"active", "inactive", "finish_time"} <= keys or len(row["active"]) != len(row["inactive"]):
        raise ValueError(f"1: {name} has neither start and transitions, nor active, inactive and finish_time")
    both = zip(row["active"], row["inactive"], strict=True)
    times = [_number(time, 1) for pair in both for time in pair]
    is_on = bool(times) and times[0] == 0
    period_s = _number(row["finish_time"], 1)
    if times and times[-1] >= period_s:
        times[-1] = period_s  # it goes on to the end
    return Presence(is_on=is_on, transitions=_rising(times[is_on:], 1), period_s=period_s)


def _number(cell: Any, line: int) -> float:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f'{line}: "{cell}" is not a time; write a number of at least 0')
    return value


def _rising(times: list[float], line: int) -> tuple[float, ...]:
    for before, time_s in zip([0.0, *times], times, strict=False):
        if time_s <= before:
            raise ValueError(
                f"{line}: {time_s:g} s does not come after {before:g} s; let times rise from above 0"
            )
    if len(times) > MAX_ROWS:
        raise ValueError(f"{line}: more than {MAX_ROWS:,} transitions; use a coarser trace")
    return tuple(times)


def as_csv(name: str, presence: Presence) -> str:
    """Return a table of one row."""
    times = "".join(f",{time_s:.10g}" for time_s in presence.transitions)
    return f"site,start,transitions (s)\n{name},{'on' if presence.is_on else 'off'}{times}\n"

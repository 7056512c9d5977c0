"""Traces of a link over time: CSV tables and packet-delivery traces of mahimahi.

A CSV table has one row per change, ``time`` first, units in the header::

    time (s),bandwidth (Mbit/s),latency (ms),loss (%)
    0,20,8,0
    60,12.5,15,0.1

Times begin at 0 and rise; a row holds until the next. A bandwidth of 0 is an outage. A mahimahi trace
has one line per chance to send a packet, its time in whole milliseconds; the last line is the length of
the trace, which repeats (R. Netravali et al., "Mahimahi: accurate record-and-replay for HTTP", USENIX
ATC 2015). Such a packet is 1504 bytes: 1500 of IP and 4 of the tunnel that mahimahi reads it from.
"""

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.scenario.locate import (
    KeyPath,
    Located,
    container,
    describe,
    dotted,
    find,
    plain,
    scalar_like,
    with_entry,
)
from simulator.scenario.times import constant
from simulator.units import UNITS

MAX_NBYTES = 16_000_000
"""Of a trace file."""
MAX_ROWS = 20_000
MIN_STEP_S = 0.001
"""Between rows: each is an event of the network, and a shorter one is no more than a packet."""
MAX_TEXT = 700_000
"""Characters of all tables of a scenario: a run's folder keeps them in its copy of the scenario."""
OPPORTUNITY_NBYTES = 1504

COLUMNS = ("bandwidth", "latency", "loss")
_DIMENSION = {"time": "duration", "bandwidth": "rate", "latency": "duration"}
_LOSS_UNITS = {"": 1.0, "%": 0.01}
_HEAD = re.compile(r"(time|bandwidth|latency|loss)(?:[ _]?[(\[]?([^\s()\[\]]+)[)\]]?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A trace: times in seconds, and values by column in bytes per second, seconds, and a probability."""

    times: tuple[float, ...]
    values: Mapping[str, tuple[float, ...]]


def parse_csv(text: str) -> Table:
    """Read a CSV table.

    Raises:
        ValueError: what is wrong, beginning with the number of the line.
    """
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    head = next(rows, [])
    factors = _factors(head)
    columns: dict[str, list[float]] = {name: [] for name in factors}
    last = -1.0
    for row in rows:
        line = rows.line_num
        if not row:
            continue
        if len(row) != len(head):
            raise ValueError(f"{line}: {len(row)} values for {len(head)} columns; write one for each")
        for (name, factor), cell in zip(factors.items(), row, strict=True):
            columns[name].append(_value(name, cell, factor, line))
        time_s = columns["time"][-1]
        if last < 0 < time_s:
            raise ValueError(f'{line}: begins at "{row[0]}"; write a row for time 0 first')
        if time_s <= last:
            word = "stands still" if time_s == last else "goes back"
            raise ValueError(f'{line}: time "{row[0]}" {word}; every row must be later than the one before')
        if last >= 0 and time_s - last < MIN_STEP_S * (1 - 1e-9):
            problem = "is less than 1 ms after the row before"
            raise ValueError(f'{line}: time "{row[0]}" {problem}; use a coarser step')
        last = time_s
        if len(columns["time"]) > MAX_ROWS:
            raise ValueError(f"{line}: more than {MAX_ROWS:,} rows; use a coarser step")
    if last < 0:
        raise ValueError("1: no rows; write at least one, for time 0")
    times = columns.pop("time")
    return Table(times=tuple(times), values={name: tuple(found) for name, found in columns.items()})


def _factors(head: list[str]) -> dict[str, float]:
    """Return the factor to the unit used inside by column."""
    found: dict[str, float] = {}
    for cell in head:
        match = _HEAD.fullmatch(cell.strip().lstrip("\ufeff"))
        if match is None:
            known = "time (s), bandwidth (Mbit/s), latency (ms), loss"
            raise ValueError(f"1: no column {describe(cell)}; write for example {known}")
        name, unit = match[1], match[2] or ""
        units = _LOSS_UNITS if name == "loss" else UNITS[_DIMENSION[name]]
        if unit not in units:
            example = f'"{name} ({"Mbit/s" if name == "bandwidth" else "s"})"'
            problem = f'"{unit}" is not a unit of {name}' if unit else f"{name} has no unit"
            raise ValueError(f"1: {problem}; write for example {example}")
        if name in found:
            raise ValueError(f"1: {name} for the second time; keep one of them")
        found[name] = units[unit]
    if next(iter(found), "") != "time":
        raise ValueError("1: the first column is not time; write for example time (s)")
    if len(found) < 2:
        raise ValueError(f"1: nothing but time; add {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}")
    return found


_REMEDY = {
    "time": "write when the row begins, from 0 on",
    "bandwidth": "write a rate, or 0 for an outage",
    "latency": "write a delay, 0 for none",
    "loss": "write a share below 1, 0 for none",
}
"""What to write in place of a value that cannot be, by column."""


def _value(name: str, cell: str, factor: float, line: int) -> float:
    try:
        value = float(cell) * factor
    except ValueError:
        raise ValueError(f"{line}: {name} {describe(cell)} is not a number; {_REMEDY[name]}") from None
    if not 0 <= value < math.inf:
        raise ValueError(f'{line}: {name} "{cell}" must be finite and not negative; {_REMEDY[name]}')
    if name == "loss" and value >= 1:
        raise ValueError(f'{line}: a loss of "{cell}" lets nothing pass; write a bandwidth of 0')
    return value


def bin_mahimahi(lines: list[str], step_s: float) -> tuple[str, float]:
    """Turn a packet-delivery trace into a CSV table of mean bandwidths, and its period in seconds.

    Raises:
        ValueError: what is wrong, beginning with the number of the line.
    """
    instants: list[int] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text.isascii() or not text.isdigit() or len(text) > 12:
            problem = "is not a time in whole milliseconds; write one, such as 20"
            raise ValueError(f"{number}: {describe(text)} {problem}")
        instants.append(int(text))
        if len(instants) > 1 and instants[-1] < instants[-2]:
            raise ValueError(f'{number}: time "{text}" goes back; every line must not be before the last')
    if not instants or instants[-1] == 0:
        raise ValueError("1: a trace without length; its last line must be above 0")
    period_s = instants[-1] / 1000
    num_steps = math.ceil(period_s / step_s - 1e-9)
    if num_steps > MAX_ROWS:
        raise ValueError(f"1: {num_steps:,} steps, at most {MAX_ROWS:,}; use a coarser step")
    counts = [0] * num_steps
    for at_ms in instants:  # the chance at the very end of the trace belongs to its last step
        counts[min(int(at_ms / 1000 / step_s + 1e-9), num_steps - 1)] += 1
    rows = ["time (s),bandwidth (B/s)"]
    for number, count in enumerate(counts):
        span_s = min((number + 1) * step_s, period_s) - number * step_s
        rows.append(f"{number * step_s:.10g},{count * OPPORTUNITY_NBYTES / span_s:.10g}")
    return "\n".join(rows) + "\n", period_s


def embed(root: Located) -> Located:
    """Return the scenario with the trace files of ``network.conditions`` read into it.

    A run's copy of its scenario thereby holds all that it depends on, and its digest changes with them.

    Raises:
        ScenarioError: a file that is not inside the scenario's folder, is too large, or is no trace.
    """
    path: KeyPath = ("network", "conditions")
    lines, found = find(root, path)
    if not found:
        return root
    read = [_embed_line(line, (*path, number)) for number, line in enumerate(lines.items)]
    if all(new is old for new, old in zip(read, lines.items, strict=True)):
        return root
    text = sum(len(str(find(line, ("trace", "csv"))[0].value)) for line in read)
    if text > MAX_TEXT:
        raise ScenarioError(
            f"{lines.place}: {dotted(path)}: traces of {text:,} characters, at most {MAX_TEXT:,}; "
            f"use coarser steps, or one line for several sites"
        )
    network = with_entry(root.keys["network"], "conditions", container(tuple(read), lines.place, lines.key))
    return with_entry(root, "network", network)


def _embed_line(line: Located, path: KeyPath) -> Located:
    for kind in ("trace", "mahimahi"):
        settings = line.keys.get(kind)
        named = settings.keys.get("file") if settings is not None else None
        if settings is None or named is None or not isinstance(named.value, str) or "csv" in settings.keys:
            continue
        step_s = _step_of(settings) if kind == "mahimahi" else 0.0
        if step_s is None or (kind == "mahimahi" and "trace" in line.keys):
            continue  # the typed check tells
        where = f"{named.place}: {dotted((*path, kind, 'file'))}: "
        raw = read_near(named, where)
        try:
            if kind == "trace":
                table, more = raw, {}
                parse_csv(raw)
            else:
                table, period_s = bin_mahimahi(raw.splitlines(), step_s)
                more = {"period": scalar_like(named, f"{period_s!r} s")}
        except ValueError as error:
            raise ScenarioError(f"{where}{named.value}:{error}") from None
        rest = {key: value for key, value in settings.keys.items() if key not in {"file", "step"}}
        rest |= {"csv": scalar_like(named, table), "source": named, **more}
        others = {key: value for key, value in line.keys.items() if key != kind}
        trace = container(rest, settings.place, settings.key)
        return container({**others, "trace": trace}, line.place, line.key)
    return line


def _step_of(settings: Located) -> float | None:
    step: Any = settings.keys.get("step")
    try:
        step_s = constant(plain(step), "duration") if step is not None else None
    except (ValueError, TypeError):
        return None
    return step_s if step_s else None


def read_near(named: Located, where: str) -> str:
    """Return the text of a file in the scenario's folder.

    Raises:
        ScenarioError: it is elsewhere, does not exist, is too large or no text.
    """
    folder, name = named.place.folder.resolve(), PurePosixPath(named.value)
    path: Path = (folder / name).resolve()
    if name.is_absolute() or ".." in name.parts or not path.is_relative_to(folder):
        raise ScenarioError(f'{where}"{named.value}" is not inside the scenario\'s folder; move it there')
    if not path.is_file():
        near = path.parent.glob("*") if path.parent.is_dir() else ()
        names = sorted(str(other.relative_to(folder)) for other in near if other.suffix == path.suffix)
        hint = suggest(named.value, names[:50]) if names else ""
        raise ScenarioError(f'{where}no file "{named.value}" in the scenario\'s folder{hint}')
    with path.open("rb") as file:
        raw = file.read(MAX_NBYTES + 1)
    if len(raw) > MAX_NBYTES:
        raise ScenarioError(f"{where}{named.value} has more than {MAX_NBYTES:,} bytes; split it")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{where}{named.value}: byte {error.start} is not UTF-8") from None

"""When machines are available: windows of the day and week, and tables of when they come and go."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from simulator.errors import ScenarioError
from simulator.registry import Settings, suggest
from simulator.scenario import clock
from simulator.scenario.fields import Name
from simulator.scenario.locate import (
    Finding,
    KeyPath,
    Located,
    container,
    dotted,
    find,
    scalar_like,
    with_entry,
)
from simulator.scenario.presences import Presence, as_csv, parse_json, parse_presences
from simulator.scenario.topologies import MACHINES
from simulator.scenario.traces import MAX_TEXT, read_near
from simulator.units import Seconds

_ZONE = re.compile(r"([+-])(\d\d):(\d\d)")


class AvailabilityTrace(Settings):
    """When a machine comes and goes, by the row of its own name, or of ``row``, of a ``file`` in the
    scenario's folder, or of a table written out as ``csv``. At the end the last state is held, or all
    begins again after ``period``. ``start`` is where in the trace the run begins. ``source`` names a file
    that was read.
    """

    file: str | None = None
    csv: str | None = None
    source: str | None = None
    row: Name | None = None
    at_end: Literal["repeat", "hold"]
    period: Seconds | None = None
    start: Seconds = 0.0


class Availability(Settings):
    """When a machine is available: in windows of the day (``"18:00-06:00"``) and of the week (``"Sat
    00:00-24:00"``), or as a ``trace`` says. Windows go by local time, ``time_zone`` ahead of the clock of
    the scenario, which begins at ``starts_at`` of day 0.

    Unavailable ``means``: ``compute-only``: work pauses and the line stays; ``line-only``: work goes on
    and the line is down; ``offline``: both.
    """

    daily: tuple[Annotated[str, Field(pattern=r"^\d\d:\d\d-\d\d:\d\d$")], ...] = ()
    weekly: tuple[str, ...] = ()
    starts_at: str = "00:00"
    time_zone: str = "+00:00"
    trace: AvailabilityTrace | None = None
    means: Literal["offline", "line-only", "compute-only"] = "compute-only"

    @property
    def offset_s(self) -> float:
        """Second of the local day or week at virtual time 0."""
        return clock.instant(self.starts_at)[0] + zone_s(self.time_zone)


def zone_s(text: str) -> float:
    """Return ``"+05:30"`` in seconds.

    Raises:
        ValueError: no such offset, with what to write.
    """
    match = _ZONE.fullmatch(text)
    if match is None or int(match[3]) > 59 or int(match[2]) > 14:
        raise ValueError(
            f'"{text}" is not an offset from the clock of the scenario; write for example "+02:00"'
        )
    seconds = clock.seconds_of_day(f"{match[2]}:{match[3]}")
    return -seconds if match[1] == "-" else seconds


# -- tables -----------------------------------------------------------------------------------------------


def presence_of(trace: AvailabilityTrace) -> Presence:
    """Return the row of a trace whose file was read: the only one."""
    assert trace.csv is not None  # the scenario was checked
    rows = parse_presences(trace.csv)
    return rows[trace.row] if trace.row is not None else next(iter(rows.values()))


# -- files ------------------------------------------------------------------------------------------------


def embed_presences(root: Located) -> Located:
    """Return the scenario with each machine's row of its trace file written into it.

    Raises:
        ScenarioError: a file that is not inside the scenario's folder or is no trace, or a missing row.
    """
    read: dict[str, dict[str, Presence]] = {}
    sites = root.keys.get("sites")
    if sites is not None and sites.items:
        own = [_with_row(site, ("sites", number), read) for number, site in enumerate(sites.items)]
        if any(new is not old for new, old in zip(own, sites.items, strict=True)):
            root = with_entry(root, "sites", container(tuple(own), sites.place, sites.key))
    for name in MACHINES:
        if name in root.keys:
            root = with_entry(root, name, _with_row(root.keys[name], (name,), read))
    return root


def _with_row(machine: Located, path: KeyPath, read: dict[str, dict[str, Presence]]) -> Located:
    trace, found = find(machine, ("availability", "trace"))
    named = trace.keys.get("file") if found else None
    if named is None or not isinstance(named.value, str) or "csv" in trace.keys:
        return machine  # without a trace file, or the typed check tells
    where = f"{named.place}: {dotted((*path, 'availability', 'trace', 'file'))}: "
    if named.value not in read:
        parse = parse_json if named.value.endswith(".json") else parse_presences
        try:
            read[named.value] = parse(read_near(named, where))
        except ValueError as error:
            raise ScenarioError(f"{where}{named.value}:{error}") from None
    rows = read[named.value]
    label = trace.keys.get("row", machine.keys.get("name"))
    name = str(path[0]) if label is None else str(label.value)
    if name not in rows:
        raise ScenarioError(f'{where}{named.value} has no row "{name}"{suggest(name, list(rows)[:50])}')
    text = as_csv(name, rows[name])
    if len(text) > MAX_TEXT:
        raise ScenarioError(f"{where}a row of {len(text):,} characters, at most {MAX_TEXT:,}")
    entries = {key: value for key, value in trace.keys.items() if key not in {"file", "row"}}
    entries |= {"csv": scalar_like(named, text), "source": named}
    period_s, at_end = rows[name].period_s, trace.keys.get("at_end")
    if period_s is not None and at_end is not None and at_end.value == "repeat":
        entries.setdefault("period", scalar_like(named, f"{period_s!r} s"))
    inside = with_entry(machine.keys["availability"], "trace", container(entries, trace.place, trace.key))
    return with_entry(machine, "availability", inside)


# -- checks -----------------------------------------------------------------------------------------------


def check_availability(availability: Availability, path: KeyPath) -> Iterator[Finding]:
    """Yield what is wrong with when a machine is available."""
    windows: Mapping[str, tuple[str, ...]] = {"daily": availability.daily, "weekly": availability.weekly}
    given = [name for name, texts in windows.items() if texts]
    if availability.trace is not None and given:
        yield Finding(path=(*path, "trace"), message=f"{given[0]} says when already; keep one", of_key=True)
    elif availability.trace is None and not given:
        yield Finding(path=path, message="never available; write daily, weekly or a trace")
    for name in given:
        for number, text in enumerate(windows[name]):
            try:
                clock.window(text, weekly=name == "weekly")
            except ValueError as error:
                yield Finding(path=(*path, name, number), message=str(error))
    yield from _clock(availability, path)
    if availability.trace is not None:
        yield from _trace(availability.trace, (*path, "trace"))


def _clock(availability: Availability, path: KeyPath) -> Iterator[Finding]:
    try:
        _, has_day = clock.instant(availability.starts_at)
    except ValueError as error:
        yield Finding(path=(*path, "starts_at"), message=str(error))
    else:
        if availability.weekly and not has_day:
            message = (
                f'"{availability.starts_at}" has no day, and windows of the week need one; write "Mon 00:00"'
            )
            yield Finding(path=(*path, "starts_at"), message=message)
    try:
        zone_s(availability.time_zone)
    except ValueError as error:
        yield Finding(path=(*path, "time_zone"), message=str(error))
    for name, usual in (("starts_at", "00:00"), ("time_zone", "+00:00")):
        if availability.trace is not None and getattr(availability, name) != usual:
            message = "a trace knows no time of day; remove it, or write start in the trace"
            yield Finding(path=(*path, name), message=message, of_key=True)


def _trace(trace: AvailabilityTrace, path: KeyPath) -> Iterator[Finding]:
    if trace.csv is None or trace.file is not None:
        problem = "no table" if trace.csv is None else "file and csv"
        yield Finding(path=path, message=f"{problem}; write file, or the table itself as csv")
        return
    try:
        rows = parse_presences(trace.csv)
    except ValueError as error:
        yield Finding(path=(*path, "csv"), message=f"line {error}")
        return
    if trace.row is None and len(rows) != 1:
        yield Finding(path=(*path, "csv"), message=f"{len(rows)} rows; write one, or row: whose it is")
    elif trace.row is not None and trace.row not in rows:
        yield Finding(path=(*path, "row"), message=f'no row "{trace.row}"{suggest(trace.row, list(rows))}')
    else:
        yield from _period(trace, presence_of(trace), path)


def _period(trace: AvailabilityTrace, presence: Presence, path: KeyPath) -> Iterator[Finding]:
    last = max(presence.transitions, default=0.0)
    if trace.at_end == "hold" and trace.period is not None:
        message = "nothing repeats; remove it or write at_end: repeat"
        yield Finding(path=(*path, "period"), message=message, of_key=True)
    elif trace.at_end == "repeat" and trace.period is None:
        yield Finding(path=path, message="no period; write after what time it begins again")
    elif trace.period is not None and trace.period < last:
        message = f"{trace.period:.10g} s is before the last transition, at {last:.10g} s; write more"
        yield Finding(path=(*path, "period"), message=message)
    elif not presence.is_on and (not presence.transitions or presence.transitions[0] == trace.period):
        yield Finding(path=path, message="never available; write when it comes, or leave the site out")

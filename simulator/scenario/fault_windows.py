"""Lines of ``faults`` checked as pairs: windows that overlap, and ends of what never began.

Only constant times can be compared. What is drawn may come in any order, so that a node with a drawn
crash may have a line ``recover`` whenever it likes; the run reports what had no effect.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from simulator.scenario.locate import Finding
from simulator.scenario.schema import Fault
from simulator.scenario.targets import Tags, as_list, members
from simulator.scenario.times import constant

_ENDS = {
    "recover": ("crash", "has not crashed"),
    "join": ("leave", "has not left"),
    "reconnect": ("disconnect", "is not disconnected"),
}
_NAMED = ("crash", "leave", "disconnect", "flap", "churn", "straggle")
_DRAWN_TOO = {"disconnect": "flap", "leave": "churn"}
"""What else brings about the same as a verb, at times that are drawn."""

_Key = tuple[str, ...]
"""Verb and subject, with what of it is changed."""


@dataclass(frozen=True, slots=True, order=True)
class _Window:
    begin_s: float
    end_s: float
    line: int


def check_windows(faults: Sequence[Fault], tags: Tags) -> Iterator[Finding]:
    """Yield the windows of one subject that overlap, and the ends without a beginning."""
    windows, ends = _windows(faults, tags), _ends(faults, tags)
    told: set[int] = set()
    for (verb, node), found in sorted(ends.items()):
        kind, problem = _ENDS[verb]
        ended = [time_s for time_s, _ in found if time_s is not None]
        is_sure = len(ended) == len(found)
        begun = [_until_ended(window, ended, is_sure=is_sure) for window in windows.get((kind, node), ())]
        if (kind, node) in windows:
            windows[kind, node] = begun
        if _may_begin_any_time(faults, kind, node, tags):
            continue
        if verb == "join":
            begun += _absence(begun, ended, is_sure=is_sure)
        for time_s, line in found:
            if line not in told and not _ends_something(time_s, begun):
                told.add(line)
                message = f"{node} {problem} by then; add a {kind} before it, or remove it"
                yield Finding(path=("faults", line, verb), message=message)
        for window in windows.get(("crash", node), ()) if verb == "join" and is_sure else ():
            if window.line not in told and _is_before_joining(window, begun):
                told.add(window.line)
                message = f"{node} has not joined by then; let it join before it, or remove it"
                yield Finding(path=("faults", window.line, "crash"), message=message)
    for (verb, subject, *_), many in sorted(windows.items()):
        for one, other in pairwise(sorted(many)):
            if other.begin_s < one.end_s and other.line not in told:
                told.add(other.line)
                message = (
                    f"overlaps with faults.{one.line} ({verb} of {subject}); part them, or write one line"
                )
                yield Finding(path=("faults", other.line), message=message)


def _windows(faults: Sequence[Fault], tags: Tags) -> dict[_Key, list[_Window]]:
    """Windows with constant times, by what they are about."""
    found: dict[_Key, list[_Window]] = defaultdict(list)
    for line, fault in enumerate(faults):
        begin_s = _constant(fault.from_ or fault.at)
        if begin_s is None:
            continue
        end_s = inf if fault.to is None and fault.for_ is None else begin_s
        if fault.to is not None:
            end_s = _constant(fault.to) or begin_s
        elif fault.for_ is not None:
            end_s = begin_s + (_constant(fault.for_) or 0.0)
        for key in _keys(fault, tags):
            found[key].append(_Window(begin_s, end_s, line))
    return found


def _keys(fault: Fault, tags: Tags) -> Iterator[_Key]:
    for verb in _NAMED:
        for node in members(getattr(fault, verb), tags):
            yield verb, node
    where = fault.set or fault.corrupt
    if where is None:
        return
    ways = ("up", "down") if where.direction == "both" else (where.direction,)
    subjects = [*members(where.site, tags), *as_list(where.link)]
    for subject in subjects:
        for way in ways:
            if fault.corrupt is not None:
                yield "corrupt", subject, way
            for quantity in ("bandwidth", "latency", "loss"):
                if fault.set is not None and getattr(fault.set, quantity) is not None:
                    yield "set", subject, quantity, way
        if fault.set is not None and fault.set.speed is not None:
            yield "set", subject, "speed"


def _ends(faults: Sequence[Fault], tags: Tags) -> dict[tuple[str, str], list[tuple[float | None, int]]]:
    """Instants (None if drawn) and lines of what ends all crashes, leaves or disconnections of a node."""
    found: dict[tuple[str, str], list[tuple[float | None, int]]] = defaultdict(list)
    for line, fault in enumerate(faults):
        for verb in _ENDS:
            for node in members(getattr(fault, verb), tags):
                found[verb, node].append((_constant(fault.at), line))
    return found


def _until_ended(window: _Window, ended: Sequence[float], *, is_sure: bool) -> _Window:
    """The window cut where a line of its own ends it; drawn ones may end it at once."""
    if not is_sure:
        return _Window(window.begin_s, window.begin_s, window.line) if window.end_s == inf else window
    end_s = min((time_s for time_s in ended if time_s >= window.begin_s), default=inf)
    return _Window(window.begin_s, min(window.end_s, end_s), window.line)


def _may_begin_any_time(faults: Sequence[Fault], kind: str, node: str, tags: Tags) -> bool:
    for fault in faults:
        if node in members(getattr(fault, _DRAWN_TOO.get(kind, kind)), tags) and kind in _DRAWN_TOO:
            return True
        if node in members(getattr(fault, kind), tags) and _constant(fault.from_ or fault.at) is None:
            return True
        if node in members(getattr(fault, kind), tags) and fault.for_ and _constant(fault.for_) is None:
            return True
    return False


def _absence(left: Sequence[_Window], joins: Sequence[float], *, is_sure: bool) -> list[_Window]:
    """From the start until the first join, where no leave comes before."""
    if not is_sure:
        return [_Window(-1.0, inf, -1)]
    first = min(joins, default=inf)
    return [_Window(-1.0, first, -1)] if all(first < window.begin_s for window in left) else []


def _is_before_joining(crash: _Window, begun: Sequence[_Window]) -> bool:
    return any(absence.line == -1 and crash.begin_s < absence.end_s for absence in begun)


def _ends_something(time_s: float | None, begun: Sequence[_Window]) -> bool:
    if time_s is None:
        return bool(begun)
    return any(window.begin_s <= time_s <= window.end_s for window in begun)


def _constant(text: str | None) -> float | None:
    return None if text is None else constant(text, "duration")

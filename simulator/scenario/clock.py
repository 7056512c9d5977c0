"""Times of day and of the week: ``"08:00-18:00"``, ``"Sun 02:00-04:00"``, ``"Mon 07:30"``."""

import re
from collections.abc import Sequence
from itertools import pairwise

DAY_S = 86400.0
WEEK_S = 7 * DAY_S
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

Span = tuple[float, float]
"""Begin and end in seconds of the day or week."""

_INSTANT = re.compile(r"(?:(Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?(\d\d):(\d\d)")
_WINDOW = re.compile(r"((?:[A-Z][a-z][a-z] )?\d\d:\d\d)-(\d\d:\d\d)")


def seconds_of_day(text: str) -> float:
    """Return ``"08:30"`` in seconds."""
    hours, minutes = text.split(":")
    return int(hours) * 3600.0 + int(minutes) * 60.0


def instant(text: str) -> tuple[float, bool]:
    """Return ``"07:30"`` or ``"Mon 07:30"`` in seconds of the day or week, and whether it names a day.

    Raises:
        ValueError: no such time, with what to write.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not a time of day; write for example "08:30" or "Mon 08:30"')
    seconds = seconds_of_day(f"{match[2]}:{match[3]}")
    if int(match[3]) > 59 or seconds > DAY_S:
        raise ValueError(f'"{text}" is not a time of day; write 00:00 to 24:00')
    return (DAYS.index(match[1]) * DAY_S if match[1] else 0.0) + seconds, bool(match[1])


def window(text: str, *, weekly: bool) -> tuple[Span, ...]:
    """Return a window as spans of the day or week; one that ends before it begins runs over midnight.

    Raises:
        ValueError: no such window, or a day of the week too many or too few.
    """
    example = "Sun 02:00-04:00" if weekly else "18:00-06:00"
    match = _WINDOW.fullmatch(text)
    if match is None:
        kind = "week" if weekly else "day"
        raise ValueError(f'"{text}" is not a window of the {kind}; write for example "{example}"')
    (begin, has_day), (end, _) = instant(match[1]), instant(match[2])
    if has_day != weekly:
        raise ValueError(f'"{text}" {"has no" if weekly else "names a"} day; write for example "{example}"')
    if end in (begin, begin % DAY_S):
        raise ValueError(f'"{text}" has no length; write for example "{example}"')
    period = WEEK_S if weekly else DAY_S
    end += begin // DAY_S * DAY_S if weekly else 0.0
    if end <= begin:
        end += DAY_S
    return ((begin, end),) if end <= period else ((begin, period), (0.0, end - period))


def overlap(texts: Sequence[str], *, weekly: bool) -> tuple[str, str] | None:
    """Return two windows that overlap, None if there are none."""
    spans = sorted((span, text) for text in texts for span in window(text, weekly=weekly))
    for (first, one), (second, other) in pairwise(spans):
        if second[0] < first[1]:
            return one, other
    return None

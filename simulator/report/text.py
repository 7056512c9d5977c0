"""Numbers as people read them; what is missing is a dash, never a zero."""

import re
from collections.abc import Callable, Sequence

from simulator.statistics.intervals import Interval

MISSING = "–"
_NBSP = "\N{NO-BREAK SPACE}"


def time_unit(seconds: float) -> tuple[float, str]:
    """Return divisor and name of the unit in which a span of virtual time is best read."""
    for divisor, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 3 * divisor:
            return divisor, name
    return 1.0, "s"


def size_unit(nbytes: float) -> tuple[float, str]:
    """Return divisor and name of the unit for a number of bytes."""
    for divisor, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if nbytes >= divisor:
            return divisor, name
    return 1.0, "B"


def natural(name: str) -> list[tuple[int, int | str]]:
    """Return a sorting key by which site2 comes before site10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part]


def file_name(text: str) -> str:
    """Return ``text`` as a safe part of a file's name."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text).strip("-.") or "run"


def number(value: float | None, digits: int = 3) -> str:
    """``0.773``."""
    return MISSING if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """``+0.041`` or, with a true minus, ``−0.041``."""
    return MISSING if value is None else f"{value:+.{digits}f}".replace("-", "−")


def count(value: float | None) -> str:
    """``12,345``; a mean of counts keeps a digit."""
    if value is None:
        return MISSING
    return f"{round(value):,}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.1f}"


def _three(value: float) -> str:
    """Three digits, and no power of ten above a thousand."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def size(nbytes: float | None) -> str:
    """``15.6 MB``."""
    if nbytes is None:
        return MISSING
    divisor, unit = size_unit(nbytes)
    return f"{_three(nbytes / divisor)}{_NBSP}{unit}"


def duration(seconds: float | None) -> str:
    """``2.4 h``; whole minutes and hours, such as ``1 h``, are said as such."""
    if seconds is None:
        return MISSING
    divisor, unit = time_unit(seconds)
    for larger, name in ((60.0, "min"), (3600.0, "h")):
        if divisor < larger <= seconds and seconds % larger == 0:
            divisor, unit = larger, name
    return f"{_three(seconds / divisor)}{_NBSP}{unit}"


def hours(seconds: float, whole_s: float) -> str:
    """``0.24 h``: a part of ``whole_s``, in the unit of the whole and with as many places as it deserves."""
    divisor, unit = time_unit(whole_s)
    places = 1 if whole_s >= 10 * divisor else 2
    least = 10.0**-places
    value = seconds / divisor
    text = f"< {least:g}" if 0 < value < least / 2 else f"{value:.{places}f}" if value else "0"
    return f"{text}{_NBSP}{unit}"


def percent(share: float | None) -> str:
    """``24 %``."""
    if share is None:
        return MISSING
    return f"{100 * share:.0f}{_NBSP}%" if share == 0 or share >= 0.1 else f"{100 * share:.1f}{_NBSP}%"


def spread(interval: Interval | None, show: Callable[[float | None], str] = number) -> str:
    """``0.773 (0.761 to 0.785)``, without the parenthesis for a single run."""
    if interval is None:
        return MISSING
    if interval.low is None:
        return show(interval.mean)
    return f"{show(interval.mean)} ({show(interval.low)} to {show(interval.high)})"


def listing(names: Sequence[str], most: int = 6) -> str:
    """``a, b and c``; a long list ends in a count. Names with commas are parted by semicolons."""
    comma = "; " if any(", " in name for name in names) else ", "
    if len(names) > most:
        return comma.join(names[:most]) + f" and {len(names) - most} more"
    return " and ".join([comma.join(names[:-1]), names[-1]] if len(names) > 1 else names)


def plural(number_of: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number_of:,} {noun}" if number_of == 1 else f"{number_of:,} {noun}s"

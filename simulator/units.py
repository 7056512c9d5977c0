"""Numbers with units: what scenarios write and what the simulator computes with.

Inside the program every quantity has one unit: seconds, bytes, bytes per second, floating-point
operations per second. Scenarios always write the unit; a bare number is an error.
"""

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import AllowInfNan, BeforeValidator, PlainSerializer, WithJsonSchema

_DECIMAL = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}

UNITS: dict[str, dict[str, float]] = {
    "duration": {
        **{"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0},
        **{"h": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0},
    },
    "size": {f"{p}B": f for p, f in (_DECIMAL | _BINARY).items()},
    "rate": {f"{p}bit/s": f / 8 for p, f in (_DECIMAL | _BINARY).items()}
    | {f"{p}B/s": f for p, f in (_DECIMAL | _BINARY).items()},
    "speed": {f"{p}FLOP/s": f for p, f in _DECIMAL.items()},
    "length": {"mm": 1.0, "cm": 10.0, "m": 1000.0},
}
"""Factors to the unit used inside, by dimension and unit."""

_UNLIMITED = {"rate", "speed"}
_EXAMPLE = {"duration": "ms", "size": "MB", "rate": "Mbit/s", "speed": "TFLOP/s", "length": "mm"}
_QUANTITY = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([^\s\d].*?)?\s*")


def parse(text: object, dimension: str) -> float:
    """Return ``text`` (``"20 Mbit/s"``) in the unit used inside (bytes per second).

    Raises:
        ValueError: no unit, an unknown unit, a negative number, or no number at all.
    """
    example = _EXAMPLE[dimension]
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f'expected a {dimension} such as "20 {example}", found {text!r}')
    if text == "unlimited" and dimension in _UNLIMITED:
        return math.inf
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f'"{text}" is not a {dimension}; write for example "20 {example}"')
    number, unit = match.groups()
    if unit is None:
        raise ValueError(f'"{text}" has no unit; write "{text} {example}"')
    factor = UNITS[dimension].get(unit.replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}"))
    if factor is None:
        known = ", ".join(u for u in UNITS[dimension] if u)
        raise ValueError(f'"{unit}" is not a unit of {dimension}; known are {known}')
    value = float(number) * factor
    if value < 0:
        raise ValueError(f'"{text}" is negative; write it without the minus')
    return value


def show(value: float, dimension: str) -> str:
    """Return ``value`` as a short text with unit that :func:`parse` reads back to 6 digits."""
    if math.isinf(value):
        return "unlimited"
    preferred = {
        "duration": ["d", "h", "min", "s", "ms", "us"],
        "size": ["TB", "GB", "MB", "kB", "B"],
        "rate": ["Gbit/s", "Mbit/s", "kbit/s", "bit/s"],
        "speed": ["PFLOP/s", "TFLOP/s", "GFLOP/s", "MFLOP/s", "FLOP/s"],
        "length": ["m", "cm", "mm"],
    }[dimension]
    for unit in preferred:
        if value >= UNITS[dimension][unit]:
            return f"{value / UNITS[dimension][unit]:.6g} {unit}"
    unit = preferred[-1]
    return f"{value / UNITS[dimension][unit]:.6g} {unit}"


def short(value: float, dimension: str) -> str:
    """Return a quantity to 4 digits with its unit."""
    number, space, unit = show(value, dimension).partition(" ")
    return f"{float(number):.4g} {unit}" if space else number


_LONG = re.compile(r"(?<![^ (])\d+\.\d+(?:[eE][+-]?\d+)?(?![^ ,)%])")


def legible(texts: Sequence[str]) -> list[str]:
    """Return texts whose decimal numbers have 3 significant digits, or more where two texts would else be
    the same.
    """
    for digits in range(3, 7):
        found = [_LONG.sub(partial(_to_digits, digits), text) for text in texts]
        if len(set(found)) == len(set(texts)):
            return found
    return list(texts)


def _to_digits(digits: int, match: re.Match[str]) -> str:
    """A number to so many digits, all of those before its point; as it is written if that has no more."""
    value = float(match[0])
    text = f"{value:.0f}" if value >= 10**digits else f"{value:.{digits}g}"
    return match[0] if float(text) == value else text


def _quantity(dimension: str) -> tuple[Any, ...]:
    def read(value: object) -> float:
        return parse(value, dimension)

    def write(value: float) -> str:
        return _exact(value, dimension)

    schema = {"type": "string", "description": f'a {dimension} with its unit, "20 {_EXAMPLE[dimension]}"'}
    return (
        AllowInfNan(dimension in _UNLIMITED),
        BeforeValidator(read),
        PlainSerializer(write, return_type=str, when_used="json"),
        WithJsonSchema(schema),
    )


def _exact(value: float, dimension: str) -> str:
    """Write without loss, in the unit used inside."""
    if math.isinf(value):
        return "unlimited"
    base = {"duration": "s", "size": "B", "rate": "B/s", "speed": "FLOP/s", "length": "mm"}[dimension]
    return f"{value!r} {base}"


Seconds = Annotated[float, *_quantity("duration")]
"""A duration in seconds, written ``"15 ms"``."""
Bytes = Annotated[float, *_quantity("size")]
"""A size in bytes, written ``"64 MiB"``."""
BytesPerSecond = Annotated[float, *_quantity("rate")]
"""A data rate in bytes per second, written ``"20 Mbit/s"`` or ``"unlimited"``."""
FlopPerSecond = Annotated[float, *_quantity("speed")]
"""A sustained computing speed in floating-point operations per second, written ``"8 TFLOP/s"``."""
Millimeters = Annotated[float, *_quantity("length")]
"""A length in millimeters, written ``"1.5 mm"``."""

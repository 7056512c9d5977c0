"""Values that conditions and faults are made of: targets, drawn quantities, shares or absolute values."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from simulator.scenario.times import parse_distribution
from simulator.units import UNITS, parse

Target = Annotated[str, Field(pattern=r"^(tag:)?[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=68)]
"""A node's name, or ``tag:icu`` for all sites with a tag."""


def _drawn(dimension: str, constant: str, distribution: str) -> tuple[BeforeValidator, WithJsonSchema]:
    """How a quantity is checked that may be drawn, and what the JSON Schema says of it, by example."""

    def read(value: object) -> str:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise ValueError(
                f'expected a {dimension} such as "{constant}" or "{distribution}", found {value!r}'
            )
        parse_distribution(str(value), dimension)
        return str(value)

    text = f'a {dimension} "{constant}" or a distribution "{distribution}"'
    return BeforeValidator(read), WithJsonSchema({"type": "string", "description": text})


Moment = Annotated[str, *_drawn("duration", "2 h", "exp(6 h)")]
"""An instant or a duration, constant or drawn, as written."""

DrawnRate = Annotated[str, *_drawn("rate", "2 Mbit/s", "exp(2 Mbit/s)")]
"""A data rate, constant or drawn, as written."""


_RATE = re.compile(r"(\d+\.?\d*|\.\d+)\s*%\s*/\s*(\S+)")


def per_second(text: str) -> float:
    """Return ``"5 %/h"`` as a share per second.

    Raises:
        ValueError: no such rate, with what to write.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or match[2] not in UNITS["duration"]:
        raise ValueError(f'"{text}" is not a share over time; write for example "5 %/h"')
    value = float(match[1]) / 100 / UNITS["duration"][match[2]]
    if not value > 0:
        raise ValueError(f'"{text}" is nothing; write more than zero')
    return value


def _read_churn_rate(value: object) -> str:
    per_second(str(value))
    return str(value)


ChurnRate = Annotated[
    str,
    BeforeValidator(_read_churn_rate),
    WithJsonSchema({"type": "string", "description": 'a share over time "5 %/h"'}),
]
"""How many leave over time, as written."""


def _level(dimension: str, example: str) -> Any:
    """What is left of a quantity: a share of it, or a value as written."""

    def read(value: object) -> float | str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not 0 < value <= 1:
                raise ValueError(f'{value!r} is not a share above 0 and up to 1; or write "{example}"')
            return float(value)
        if not parse(value, dimension) > 0:
            raise ValueError(f'"{value}" is nothing; write more than zero, or a fault or maintenance')
        return str(value)

    schema = {"type": ["number", "string"], "description": f'a share 0.4 or a {dimension} "{example}"'}
    return BeforeValidator(read), WithJsonSchema(schema)


RateLevel = Annotated[float | str, *_level("rate", "20 Mbit/s")]
SpeedLevel = Annotated[float | str, *_level("speed", "8 TFLOP/s")]

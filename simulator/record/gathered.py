"""What many runs have to say alike, said once: with the runs counted and numbers as ranges."""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

from simulator.units import UNITS

_FEW = 3
"""So many runs are told one by one."""
_FACTORS = {"": 1.0, "%": 1.0, "x": 1.0} | UNITS["duration"] | UNITS["size"]
_QUANTITY = re.compile(
    r"(?<![\w.-])(?P<number>\d[\d,]*(?:\.\d+)?)(?:(?P<gap> ?)(?P<unit>"
    + "|".join(sorted(map(re.escape, filter(None, _FACTORS)), key=len, reverse=True))
    + r"))?(?![\w-]|\.\w)"
)


def gathered(notes: Iterable[tuple[str, str]], num_runs: int) -> list[tuple[str, str]]:
    """Join notes of runs that differ in numbers at most, where more than a few runs have them.

    Args:
        notes: label of a run and a text about it.
        num_runs: of how many runs these are.

    Returns:
        who and what, in the order in which each was first said.

    """
    alike: dict[str, list[tuple[str, str]]] = {}
    for label, text in notes:
        alike.setdefault(_QUANTITY.sub(_dimension, text), []).append((label, text))
    said: list[tuple[str, str]] = []
    for several in alike.values():
        labels = list(dict.fromkeys(label for label, _ in several))
        if len(labels) > _FEW:
            said.append((_who(labels, num_runs), _with_ranges([text for _, text in several])))
        else:
            said += dict.fromkeys(several)
    return said


def _who(labels: Sequence[str], num_runs: int) -> str:
    if len(labels) == num_runs:
        return f"all {num_runs} runs"
    parts = takewhile(
        lambda part: len(set(part)) == 1, zip(*(label.split("-") for label in labels), strict=False)
    )
    shared = "-".join(part[0] for part in parts)
    return f"{len(labels)} of {num_runs} runs ({f'{shared}-…' if shared else f'{labels[0]}, …'})"


def _with_ranges(texts: Sequence[str]) -> str:
    """One text for several; where a number differs, the least and the largest of them."""
    found = [list(_QUANTITY.finditer(text)) for text in texts]
    parts, until = [], 0
    for place, first in enumerate(found[0]):
        ranked = sorted((several[place] for several in found), key=_value)
        low, high = ranked[0], ranked[-1]
        parts.append(texts[0][until : first.start()])
        parts.append(first[0] if _value(low) == _value(high) else f"{_least(low, high)} to {high[0]}")
        until = first.end()
    return "".join([*parts, texts[0][until:]])


def _least(low: re.Match[str], high: re.Match[str]) -> str:
    return low["number"] if low["unit"] == high["unit"] else low[0]


def _dimension(found: re.Match[str]) -> str:
    unit = found["unit"]
    return next((name for name in ("duration", "size") if unit in UNITS[name]), unit or "") + "#"


def _value(found: re.Match[str]) -> float:
    return float(found["number"].replace(",", "")) * _FACTORS[found["unit"] or ""]

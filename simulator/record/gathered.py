"""What many runs have to say alike, said once: with the runs counted and numbers as ranges."""

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile

from simulator.units import UNITS

_FEW = 3
"""So many runs are told one by one."""
_FACTORS = {"": 1.0, "%": 1.0, "x": 1.0} | UNITS["duration"] | UNITS["size"]
_QUANTITY = (
    r"(?<![\w.-])(?P<number>\d[\d,]*(?:\.\d+)?)(?:(?P<gap> ?)(?P<unit>"
    + "|".join(sorted(map(re.escape, filter(None, _FACTORS)), key=len, reverse=True))
    + r"))?(?![\w-]|\.\w)"
)
_AS_WRITTEN = r"\{[^}]*\}"
"""A fault as its scenario has it: with another number it is another fault."""


def gathered(
    notes: Iterable[tuple[str, str]], num_runs: int, nodes: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Join notes of runs that differ in numbers and nodes at most, where more than a few runs have them.

    Args:
        notes: label of a run and a text about it.
        num_runs: of how many runs these are.
        nodes: names that may differ.

    Returns:
        who and what, in the order in which each was first said.

    """
    varying = _varying(nodes)
    alike: dict[str, list[tuple[str, str]]] = {}
    for label, text in notes:
        alike.setdefault(varying.sub(_kind, text), []).append((label, text))
    said: list[tuple[str, str]] = []
    for several in alike.values():
        labels = list(dict.fromkeys(label for label, _ in several))
        if len(labels) > _FEW:
            said.append((_who(labels, num_runs), _with_ranges([text for _, text in several], varying)))
        else:
            said += dict.fromkeys(several)
    return said


def _varying(nodes: Collection[str]) -> re.Pattern[str]:
    names = "|".join(re.escape(name) for name in sorted(nodes, key=len, reverse=True))
    node = rf"(?<![\w-])(?P<node>{names})(?![\w-])" if names else "(?P<node>(?!))"
    return re.compile(f"(?P<fixed>{_AS_WRITTEN})|{node}|{_QUANTITY}")


def _who(labels: Sequence[str], num_runs: int) -> str:
    if len(labels) == num_runs:
        return f"all {num_runs} runs"
    parts = takewhile(
        lambda part: len(set(part)) == 1, zip(*(label.split("-") for label in labels), strict=False)
    )
    shared = "-".join(part[0] for part in parts)
    return f"{len(labels)} of {num_runs} runs ({f'{shared}-…' if shared else f'{labels[0]}, …'})"


def _with_ranges(texts: Sequence[str], varying: re.Pattern[str]) -> str:
    """One text for several: the least and the largest of numbers that differ, and all nodes."""
    found = [list(varying.finditer(text)) for text in texts]
    parts, until = [], 0
    for place, first in enumerate(found[0]):
        parts += [texts[0][until : first.start()], _one([several[place] for several in found])]
        until = first.end()
    return "".join([*parts, texts[0][until:]])


def _one(found: Sequence[re.Match[str]]) -> str:
    """What stands for all that was found at one place."""
    if found[0]["number"] is None:
        *others, last = sorted({one[0] for one in found})
        return f"{', '.join(others)} or {last}" if others else last
    ranked = sorted(found, key=_value)
    low, high = ranked[0], ranked[-1]
    return found[0][0] if _value(low) == _value(high) else f"{_least(low, high)} to {high[0]}"


def _least(low: re.Match[str], high: re.Match[str]) -> str:
    return low["number"] if low["unit"] == high["unit"] else low[0]


def _kind(found: re.Match[str]) -> str:
    """What stands for all that may differ from it."""
    if found["number"] is None:
        return "@" if found["node"] else found[0]
    unit = found["unit"]
    return next((name for name in ("duration", "size") if unit in UNITS[name]), unit or "") + "#"


def _value(found: re.Match[str]) -> float:
    return float(found["number"].replace(",", "")) * _FACTORS[found["unit"] or ""]

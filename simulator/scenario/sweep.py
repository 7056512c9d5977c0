"""Sweeps: the points of a grid over dotted keys, each a complete scenario with a short label."""

import hashlib
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simulator.errors import ScenarioError
from simulator.scenario.locate import plain
from simulator.scenario.overrides import Change
from simulator.scenario.sweep_axes import MAX_POINTS, Axis
from simulator.scenario.sweep_where import Rule, which
from simulator.units import legible

MAX_LABEL = 80
_UNSAFE = re.compile(r"[^A-Za-z0-9.]+")
_NAMES = {"name", "kind"}
_SELF_NAMED = {*_NAMES, "algorithm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """One value for each swept key, under a label that is safe as a folder's name."""

    label: str
    changes: tuple[Change, ...]

    @property
    def swept(self) -> dict[str, Any]:
        """Values by dotted key."""
        return {change.key: plain(change.value) for change in self.changes}


def combine(
    axes: Sequence[Axis], rules: Sequence[Rule], default_label: str, place: object
) -> list[Combination]:
    """Return the wanted points in order, the last key varying fastest.

    Raises:
        ScenarioError: more points than :data:`MAX_POINTS`, or rules that leave out all or nothing.
    """
    groups = [list(group) for _, group in itertools.groupby(axes, lambda axis: axis.group)]
    num_points = math.prod(len(group[0].values) for group in groups)
    if num_points > MAX_POINTS:
        raise ScenarioError(
            f"{place}: sweep: {num_points:,} points, at most {MAX_POINTS:,}; sweep fewer values"
        )
    names = dict(zip((axis.path for axis in axes), _short_names(axes), strict=True))
    texts = {axis.path: _value_texts(axis, names[axis.path]) for axis in axes}
    chosen: list[tuple[str, tuple[Change, ...]]] = []
    for choice in itertools.product(*(range(len(group[0].values)) for group in groups)):
        pairs = [(axis, value) for group, value in zip(groups, choice, strict=True) for axis in group]
        changes = tuple(Change(path=axis.path, value=axis.values[value]) for axis, value in pairs)
        label = "-".join(texts[axis.path][value] for axis, value in pairs)
        chosen.append((label or default_label, changes))
    wanted = which(rules, [changes for _, changes in chosen])
    chosen = list(itertools.compress(chosen, wanted))
    labels = unique([label for label, _ in chosen])
    return [
        Combination(label=label, changes=changes) for label, (_, changes) in zip(labels, chosen, strict=True)
    ]


def _short_names(axes: Sequence[Axis]) -> list[str]:
    """What stands before a value: nothing where it names itself, else the key's last part."""
    names = []
    for axis in axes:
        last = axis.path[-1]
        if axis.path == ("seed", "network"):
            names.append("seed")
        elif last in _SELF_NAMED or all(_NAMES & value.keys.keys() for value in axis.values):
            names.append("")
        else:
            alike = [other for other in axes if other.path[-1] == last]
            names.append(last if len(alike) == 1 else "-".join(axis.path[-2:]))
    return names


def _value_texts(axis: Axis, short: str) -> list[str]:
    values = [plain(value) for value in axis.values]
    texts = legible([_text(value, values) for value in values])
    return [slug(_with_key(short, text)) for text in texts]


def _with_key(key: str, text: str) -> str:
    """``up4 Mbit/s``, but ``faults-none``."""
    return f"{key}-{text}" if key and text[:1].isalpha() else f"{key}{text}"


def _text(value: Any, others: Sequence[Any]) -> str:
    """A value in short; of a mapping its name and what tells it from its namesakes."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "-".join(_whole(item) if isinstance(item, dict) else _text(item, ()) for item in value)
    if not isinstance(value, dict):
        return str(value).replace("e+", "e") if isinstance(value, float) else str(value)
    name = str(value.get("name", value.get("kind", "")))
    alike = [other for other in others if isinstance(other, dict) and _same_name(value, other)]
    keys = sorted({key for other in alike for key in other if key not in _NAMES})
    telling = [key for key in keys if any(other.get(key) != value.get(key) for other in alike)]
    parts = [_telling(key, _text(value[key], ())) for key in telling if key in value]
    return "-".join(part for part in (name, *parts) if part)


def _whole(value: dict[str, Any]) -> str:
    """All of a mapping in a list, such as a fault."""
    return "-".join(_with_key(key, _text(inner, ())) for key, inner in value.items())


def _telling(key: str, text: str) -> str:
    """Text explains itself; a number needs its key."""
    return text if text[:1].isalpha() and text not in {"true", "false", "none"} else _with_key(key, text)


def _same_name(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in _NAMES)


def slug(text: str) -> str:
    """Return ``text`` with only letters, digits, dots and dashes, not at its ends."""
    return _UNSAFE.sub("-", text.replace(" ", "")).strip("-.")


def unique(labels: Sequence[str]) -> list[str]:
    """Return labels of at most 80 characters that differ, also where case does not count."""
    shortened = []
    for label in labels:
        text = label or "point"
        if len(text) > MAX_LABEL:
            digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
            text = f"{text[: MAX_LABEL - 9]}-{digest}"
        shortened.append(text)
    taken: set[str] = set()
    result = []
    for text in shortened:
        candidate, number = text, 1
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{text[: MAX_LABEL - 5]}-{number}"
        taken.add(candidate.casefold())
        result.append(candidate)
    return result

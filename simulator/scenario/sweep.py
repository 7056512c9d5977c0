"""Sweeps: a grid over dotted keys, each point a complete scenario with a short label."""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simulator.errors import ScenarioError
from simulator.scenario.locate import Located, describe, keyed, plain, scalar_like
from simulator.scenario.overrides import Change, split_key

MAX_POINTS = 1_000
MAX_LABEL = 80
_SEEDS = re.compile(r"(\d+) seeds?")
_UNSAFE = re.compile(r"[^A-Za-z0-9.]+")
_NAMES = {"name", "kind"}
_SELF_NAMED = {*_NAMES, "algorithm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One swept key with its values."""

    path: tuple[str, ...]
    values: tuple[Located, ...]

    @property
    def key(self) -> str:
        """The dotted key."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """One value for each swept key, under a label that is safe as a folder's name."""

    label: str
    changes: tuple[Change, ...]

    @property
    def swept(self) -> dict[str, Any]:
        """Values by dotted key."""
        return {change.key: plain(change.value) for change in self.changes}


def read_axes(sweep: Located | None) -> tuple[Axis, ...]:
    """Read the ``sweep`` section.

    Raises:
        ScenarioError: not a mapping of dotted keys to lists, or an empty list.
    """
    if sweep is None or sweep.value is None:
        return ()
    if not isinstance(sweep.value, dict):
        found = describe(plain(sweep))
        raise ScenarioError(f"{sweep.place}: sweep: expected a mapping of keys to lists, found {found}")
    axes = tuple(_axis(key, node) for key, node in sweep.keys.items())
    for axis in axes:
        for other in axes:
            if axis is not other and other.path[: len(axis.path)] == axis.path:
                place = sweep.keys[other.key].key
                raise ScenarioError(
                    f"{place}: sweep.{other.key}: sweep.{axis.key} sets it too; keep one of them"
                )
    return axes


def _axis(key: str, node: Located) -> Axis:
    path = split_key(key, node.key or node.place)
    if path[0] in {"sweep", "include", "name", "description"}:
        raise ScenarioError(f"{node.key}: sweep.{key}: {path[0]} cannot be swept; remove it")
    return Axis(path=path, values=_values(key, path, node))


def _values(key: str, path: tuple[str, ...], node: Located) -> tuple[Located, ...]:
    if isinstance(node.value, dict):
        raise ScenarioError(f"{node.place}: sweep.{key}: expected a list of values, found a mapping")
    if isinstance(node.value, str) and (match := _SEEDS.fullmatch(node.value)):
        if path[0] != "seed":
            raise ScenarioError(
                f'{node.place}: sweep.{key}: "{node.value}" is for seed.network and seed.learning'
            )
        count = int(match[1][:9])
        if not 1 <= count <= MAX_POINTS:
            raise ScenarioError(f"{node.place}: sweep.{key}: give from 1 to {MAX_POINTS:,} seeds")
        return tuple(scalar_like(node, number) for number in range(1, count + 1))
    if isinstance(node.value, tuple):
        if not node.items:
            raise ScenarioError(f"{node.place}: sweep.{key}: no values; list at least one")
        _refuse_twins(key, node)
        return tuple(keyed(item, item.place) for item in node.items)
    return (keyed(node, node.place),)


def _refuse_twins(key: str, node: Located) -> None:
    """The same run twice would be a mistake, such as a seed that was not changed."""
    seen: dict[str, int] = {}
    for number, item in enumerate(node.items):
        first = seen.setdefault(json.dumps(plain(item), sort_keys=True), number)
        if first != number:
            found = describe(plain(item))
            raise ScenarioError(
                f"{item.place}: sweep.{key}.{number}: the same as entry {first} ({found}); remove one"
            )


def combine(axes: Sequence[Axis], default_label: str, place: object) -> list[Combination]:
    """Return the grid's points in order, the last key varying fastest.

    Raises:
        ScenarioError: more points than :data:`MAX_POINTS`.
    """
    num_points = math.prod(len(axis.values) for axis in axes)
    if num_points > MAX_POINTS:
        raise ScenarioError(
            f"{place}: sweep: {num_points:,} points, at most {MAX_POINTS:,}; sweep fewer values"
        )
    texts = [_value_texts(axis, _short_names(axes)[number]) for number, axis in enumerate(axes)]
    labels, changes = [], []
    for choice in itertools.product(*(range(len(axis.values)) for axis in axes)):
        labels.append("-".join(texts[number][value] for number, value in enumerate(choice)) or default_label)
        changes.append(
            tuple(
                Change(path=axis.path, value=axis.values[value])
                for axis, value in zip(axes, choice, strict=True)
            )
        )
    return [
        Combination(label=label, changes=change)
        for label, change in zip(unique(labels), changes, strict=True)
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
    texts = [_text(value, values) for value in values]
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
        return str(value)
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

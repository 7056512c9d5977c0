"""What a sweep varies: lists, seeds, ranges, and keys that vary together."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.scenario.locate import Located, describe, keyed, plain, scalar_like
from simulator.scenario.overrides import split_key

MAX_POINTS = 1_000
ZIP, WHERE = "zip", "where"
_SEEDS = re.compile(r"(\d+) seeds?")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S.*?)?\s*")
_RANGE = ["from", "to", "step", "num", "scale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One swept key with its values. Axes of one ``group`` vary together: they take their first
    values at once, then their second, and so on.
    """

    path: tuple[str, ...]
    values: tuple[Located, ...]
    group: int

    @property
    def key(self) -> str:
        """The dotted key."""
        return ".".join(self.path)


def read_axes(sweep: Located | None) -> tuple[Axis, ...]:
    """Read what the ``sweep`` section varies.

    Raises:
        ScenarioError: not a mapping of dotted keys to values, no values, or a key that is set twice.
    """
    if sweep is None or sweep.value is None:
        return ()
    if not isinstance(sweep.value, dict):
        found = describe(plain(sweep))
        raise ScenarioError(f"{sweep.place}: sweep: expected a mapping of keys to lists, found {found}")
    axes: list[tuple[Axis, Located]] = []
    for key, node in sweep.keys.items():
        if key == ZIP:
            axes += _zipped(node, len(axes))
        elif key != WHERE:
            axes.append((_axis(key, node, f"sweep.{key}", len(axes)), node))
    _refuse_overlaps(axes)
    return tuple(axis for axis, _ in axes)


def _zipped(node: Located, first_group: int) -> Iterator[tuple[Axis, Located]]:
    """Axes of one mapping, or of each in a list, vary together."""
    bundles = node.items if isinstance(node.value, tuple) else (node,)
    for number, bundle in enumerate(bundles):
        where = f"sweep.{ZIP}.{number}" if isinstance(node.value, tuple) else f"sweep.{ZIP}"
        if not isinstance(bundle.value, dict) or len(bundle.keys) < 2:
            raise ScenarioError(
                f"{bundle.place}: {where}: expected a mapping of two or more keys to lists "
                f"of the same length, found {describe(plain(bundle))}"
            )
        axes = [
            (_axis(key, one, f"{where}.{key}", first_group + number), one) for key, one in bundle.keys.items()
        ]
        length, key = len(axes[0][0].values), axes[0][0].key
        for axis, one in axes:
            if len(axis.values) != length:
                raise ScenarioError(
                    f"{one.place}: {where}.{axis.key}: {len(axis.values)} values, but {key} has {length}; "
                    "keys that vary together need as many"
                )
        yield from axes


def _refuse_overlaps(axes: list[tuple[Axis, Located]]) -> None:
    for axis, _ in axes:
        for other, node in axes:
            if axis is not other and other.path[: len(axis.path)] == axis.path:
                raise ScenarioError(
                    f"{node.key}: sweep.{other.key}: sweep.{axis.key} sets it too; keep one of them"
                )


def _axis(key: str, node: Located, where: str, group: int) -> Axis:
    path = split_key(key, node.key or node.place)
    if path[0] in {"sweep", "include", "advise", "name", "description"}:
        raise ScenarioError(f"{node.key}: {where}: {path[0]} cannot be swept; remove it")
    return Axis(path=path, values=_values(where, path, node), group=group)


def _values(where: str, path: tuple[str, ...], node: Located) -> tuple[Located, ...]:
    if isinstance(node.value, dict):
        if "from" in node.keys:
            return _range(where, node)
        raise ScenarioError(
            f"{node.place}: {where}: expected a list of values, found a mapping; "
            "a range is {from: ..., to: ..., num: ...}"
        )
    if isinstance(node.value, str) and (match := _SEEDS.fullmatch(node.value)):
        if path[0] != "seed":
            raise ScenarioError(
                f'{node.place}: {where}: "{node.value}" is for seed.network and seed.learning'
            )
        count = int(match[1][:9])
        if not 1 <= count <= MAX_POINTS:
            raise ScenarioError(f"{node.place}: {where}: give from 1 to {MAX_POINTS:,} seeds")
        return tuple(scalar_like(node, number) for number in range(1, count + 1))
    if isinstance(node.value, tuple):
        if not node.items:
            raise ScenarioError(f"{node.place}: {where}: no values; list at least one")
        if not where.startswith(f"sweep.{ZIP}"):  # of keys that vary together, one may stand still
            _refuse_twins(where, node)
        return tuple(keyed(item, item.place) for item in node.items)
    return (keyed(node, node.place),)


def _refuse_twins(where: str, node: Located) -> None:
    """The same run twice would be a mistake, such as a seed that was not changed."""
    seen: dict[str, int] = {}
    for number, item in enumerate(node.items):
        first = seen.setdefault(json.dumps(plain(item), sort_keys=True), number)
        if first != number:
            found = describe(plain(item))
            raise ScenarioError(
                f"{item.place}: {where}.{number}: the same as entry {first} ({found}); remove one"
            )


def _range(where: str, node: Located) -> tuple[Located, ...]:
    """Values from one end to the other, both included: so many, or so far apart."""
    for key, one in node.keys.items():
        if key not in _RANGE:
            raise ScenarioError(f"{one.key}: {where}.{key}: unknown key{suggest(key, _RANGE)}")
    if "to" not in node.keys or ("step" in node.keys) == ("num" in node.keys):
        raise ScenarioError(f"{node.place}: {where}: a range has from, to, and either num or step")
    (first, unit), (last, other) = _number(where, node, "from"), _number(where, node, "to")
    if unit != other:
        place = node.keys["to"].place
        raise ScenarioError(
            f'{place}: {where}.to: "{plain(node.keys["to"])}" has another unit than from; '
            f"write both {f'in {unit}' if unit else 'without one'}"
        )
    numbers = (
        _steps(where, node, first, last, unit) if "step" in node.keys else _spaced(where, node, first, last)
    )
    return tuple(scalar_like(node.keys["from"], _written(number, unit, node)) for number in numbers)


def _number(where: str, node: Located, key: str) -> tuple[float, str]:
    value = plain(node.keys[key])
    match = None if isinstance(value, bool) else _NUMBER.fullmatch(str(value))
    if match is None or not math.isfinite(float(match[1])):
        place = node.keys[key].place
        raise ScenarioError(f"{place}: {where}.{key}: expected a number, with its unit if it has one")
    return float(match[1]), match[2] or ""


def _steps(where: str, node: Located, first: float, last: float, unit: str) -> list[float]:
    step, other = _number(where, node, "step")
    place = node.keys["step"].place
    if "scale" in node.keys:
        raise ScenarioError(f"{node.keys['scale'].place}: {where}.scale: goes with num; remove it or step")
    if other != unit or step == 0 or (last - first) / step < 0:
        raise ScenarioError(
            f"{place}: {where}.step: does not lead from {first:g} to {last:g}; give it in the same unit"
        )
    count = math.floor((last - first) / step * (1 + 1e-12) + 1e-9) + 1
    if count > MAX_POINTS:
        raise ScenarioError(f"{place}: {where}.step: {count:,} values, at most {MAX_POINTS:,}")
    return [first + number * step for number in range(count)]


def _spaced(where: str, node: Located, first: float, last: float) -> list[float]:
    num, scale = plain(node.keys["num"]), plain(node.keys["scale"]) if "scale" in node.keys else "linear"
    if not isinstance(num, int) or isinstance(num, bool) or not 2 <= num <= MAX_POINTS or first == last:
        raise ScenarioError(
            f"{node.keys['num'].place}: {where}.num: expected 2 to {MAX_POINTS:,} values between two ends"
        )
    shares = [number / (num - 1) for number in range(num)]
    if scale == "linear":
        return [first + share * (last - first) for share in shares]
    if scale != "log" or first <= 0 or last <= 0:
        place = node.keys["scale"].place
        raise ScenarioError(f"{place}: {where}.scale: linear, or log between positive ends")
    return [first * (last / first) ** share for share in shares]


def _written(number: float, unit: str, node: Located) -> int | float | str:
    """A value as a person would have listed it: 6 digits, whole numbers whole."""
    rounded = float(f"{number:.6g}")
    ends = [plain(node.keys[key]) for key in ("from", "to", "step") if key in node.keys]
    if unit:
        return f"{rounded:.6g} {unit}"
    return int(rounded) if rounded.is_integer() and all(isinstance(end, int) for end in ends) else rounded

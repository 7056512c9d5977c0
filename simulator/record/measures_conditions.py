"""What tells the runs of a study apart: the method, the seed, and the conditions that were swept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.units import legible, parse

if TYPE_CHECKING:
    from simulator.record.measures_run import Run

_SECONDS = re.compile(r"([0-9]+)\.0 s")
_DIMENSIONS = ("duration", "rate", "size", "speed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that was varied and is neither method nor seed.

    Attributes:
        key: its dotted key in the scenario, such as ``sites.*.link.latency``.
        name: short, such as ``latency``.
        values: what it was, as text, in order of the sweep.
        of_run: its value for each run, in order of the runs.

    """

    key: str
    name: str
    values: tuple[str, ...]
    of_run: tuple[str, ...]


def method_names(runs: Sequence[Run]) -> list[str]:
    """Return each run's algorithm, with the settings that tell variants of it apart."""
    settings = [_flat(run.scenario.get("algorithm") or {}) for run in runs]
    named = []
    for run, own in zip(runs, settings, strict=True):
        alike = [other for one, other in zip(runs, settings, strict=True) if one.algorithm == run.algorithm]
        keys = sorted({key for other in alike for key in other})
        telling = [key for key in keys if any(other.get(key) != own.get(key) for other in alike)]
        said = ", ".join(_setting(key, own) for key in telling if key in own)
        named.append(f"{run.algorithm} ({said})" if said else run.algorithm)
    return legible(named)


def _setting(key: str, own: Mapping[str, str]) -> str:
    """A setting that tells methods apart; a quorum of one without a grace means that all are waited for."""
    if key == "quorum" and own[key] == "1" and "grace" not in own and "round_deadline" in own:
        return "waits for all"
    return f"{key} {_plain(own[key])}"


def _plain(text: str) -> str:
    """Whole seconds of a resolved scenario, ``300.0 s``, as people write them: ``5 min``."""
    found = _SECONDS.fullmatch(text)
    if found is None:
        return text
    seconds = int(found[1])
    divisor, unit = next((d, u) for d, u in ((3600, "h"), (60, "min"), (1, "s")) if seconds % d == 0)
    return f"{seconds // divisor} {unit}" if seconds else "0 s"


def conditions(runs: Sequence[Run]) -> list[Condition]:
    """Return what was swept beside methods and seeds; of keys that vary together, the first."""
    keys = dict.fromkeys(key for run in runs for key in _swept(run) if not _is_other(key))
    found: list[Condition] = []
    for key in keys:
        of_run = tuple(_texts([_swept(run).get(key) for run in runs]))
        values = tuple(dict.fromkeys(of_run))
        if len(values) > 1 and not any(_same_split(of_run, other.of_run) for other in found):
            found.append(Condition(key=key, name=_name(key, keys), values=values, of_run=of_run))
    return found


def magnitude(text: str) -> float | None:
    """Return the number in a condition's value, in the unit used inside; None if it is none."""
    try:
        return float(text)
    except ValueError:
        pass
    for dimension in _DIMENSIONS:
        try:
            return parse(text, dimension)
        except ValueError:
            continue
    return None


def _swept(run: Run) -> Mapping[str, Any]:
    found = run.manifest.get("swept")
    return found if isinstance(found, Mapping) else {}


def _is_other(key: str) -> bool:
    return key.split(".")[0] in {"algorithm", "seed", "name"}


def _name(key: str, keys: Mapping[str, None]) -> str:
    """The last part of a key, with the one before it where two keys end alike."""
    parts = key.split(".")
    alike = sum(other.split(".")[-1] == parts[-1] for other in keys)
    return parts[-1] if alike == 1 else "-".join(parts[-2:])


def _same_split(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two keys part the runs alike, as those of a zip do."""
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


def _texts(values: Sequence[Any]) -> list[str]:
    """Values as text; of lists and mappings what differs between them."""
    flat = [_flat(value) if isinstance(value, list | dict) and value else {} for value in values]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    full = [one for one in flat if one]
    telling = [key for key in keys if len({one.get(key) for one in full}) > 1] or keys
    texts = []
    for value, parts in zip(values, flat, strict=True):
        if parts:
            own = [key for key in telling if key in parts]
            if not own and {_last(key) for key in telling} == {"for"}:
                texts.append("for good")
                continue
            own = own or list(parts)  # it lacks what tells others
            texts.append(", ".join(f"{_last(key)} {parts[key]}" for key in own))
        else:
            texts.append("none" if value in (None, [], {}, "") else str(value))
    return legible(texts)


def _last(key: str) -> str:
    return next(part for part in reversed(key.split(".")) if not part.isdigit() or part == key)


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Leaves by dotted key, as text."""
    if isinstance(value, Mapping):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    else:
        return {prefix: str(value)}
    found: dict[str, str] = {}
    for key, inner in entries:
        found |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return found

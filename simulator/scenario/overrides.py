"""Changing a scenario by dotted keys: ``--set sites.north.link.up=4 Mbit/s``, and swept values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.scenario.locate import Located, Place, container, describe, keyed, plain, with_entry
from simulator.scenario.reading import read_value, resolve

_GENERATED = (
    "generate",
    "name",
    "device",
    "speed",
    "seconds_per_item",
    "link",
    "availability",
    "checkpoint",
    "position",
    "data",
    "*",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value for a dotted key."""

    path: tuple[str, ...]
    value: Located

    @property
    def key(self) -> str:
        """The dotted key."""
        return ".".join(self.path)


def parse_option(text: str) -> Change:
    """Read ``dotted.key=value``; the value is a plain scalar, or YAML in brackets, braces or quotes.

    Raises:
        ScenarioError: no ``=``, an empty key, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    place = Place(source=f"--set {text}", folder=Path.cwd())
    if not equals:
        raise ScenarioError(f"{place}: no value; write --set {key or 'key'}=value")
    path = split_key(key.strip(), place)
    bare = value.strip()
    is_plain = bare[:1] not in set("[{'\"")
    node = Located(value=resolve(bare), place=place) if is_plain else read_value(bare, place)
    return Change(path=path, value=keyed(node, place))


def split_key(key: str, place: Place) -> tuple[str, ...]:
    """Return the parts of a dotted key.

    Raises:
        ScenarioError: a part is empty.
    """
    path = tuple(key.split("."))
    if not all(path):
        raise ScenarioError(f'{place}: "{key}" is no dotted key; write for example algorithm.name')
    return path


def is_late(root: Located, change: Change) -> bool:
    """Whether a change names a site that exists only once the generators have run.

    A number means an entry of ``sites`` as written, ``*`` all of them; a name that is not written
    out belongs to a generated site.
    """
    sites = root.keys.get("sites")
    if sites is None or len(change.path) < 2 or change.path[0] != "sites":
        return False
    part = change.path[1]
    if isinstance(sites.value, dict):
        return "generate" in sites.keys and part not in _GENERATED
    if part == "*" or part.isdigit():
        return False
    generated = any("generate" in item.keys for item in sites.items)
    return generated and _named(sites, part) is None


def apply(node: Located, change: Change, path: tuple[str, ...] | None = None) -> Located:
    """Return ``node`` with the value put at the change's key; missing mappings are made.

    In a list a part of the key is a number, the name of an entry, or ``*`` for all entries.

    Raises:
        ScenarioError: the key leads into a scalar, or to an entry that the list does not have.
    """
    path = change.path if path is None else path
    if not path:
        return keyed(change.value, change.value.key or node.key)
    part, rest = path[0], path[1:]
    if path == change.path and part == "sites" and part not in node.keys:
        return node  # there is nothing to change: that sites are missing is told once, for all points
    if isinstance(node.value, tuple):
        for number in _entries(node, part, change):
            node = with_entry(node, number, apply(node.items[number], change, rest))
        return node
    if part == "*" and "generate" in node.keys:
        return apply(node, change, rest)
    if node.value is not None and not isinstance(node.value, dict):
        before = ".".join(change.path[: len(change.path) - len(path)])
        found = describe(node.value)
        raise ScenarioError(
            f"{change.value.place}: {change.key}: {before} is {found} and has no keys; set {before}"
        )
    place = change.value.place
    child = node.keys.get(part, container({}, place, change.value.key or place))
    base = node if isinstance(node.value, dict) else container({}, node.place, node.key)
    return with_entry(base, part, apply(child, change, rest))


def _entries(node: Located, part: str, change: Change) -> Sequence[int]:
    if part == "*":
        return range(len(node.items))
    number = int(part) if part.isdigit() else _named(node, part)
    if number is not None and number < len(node.items):
        return [number]
    names = [str(item.keys["name"].value) for item in node.items if "name" in item.keys]
    if part.isdigit() or not names:
        message = f"the list has {len(node.items)} entries, counted from 0"
    else:
        message = f'no entry "{part}"{suggest(part, names)}'
    raise ScenarioError(f"{change.value.place}: {change.key}: {message}")


def _named(node: Located, name: str) -> int | None:
    for number, item in enumerate(node.items):
        if "name" in item.keys and "generate" not in item.keys and plain(item.keys["name"]) == name:
            return number
    return None

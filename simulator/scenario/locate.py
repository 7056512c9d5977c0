"""Values that know where they were written, so that every error can name its place."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

KeyPath = tuple[str | int, ...]
"""Keys and list indices from the root of a scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A position in a file, or a ``--set`` option (without line)."""

    source: str
    line: int | None = None
    column: int | None = None
    folder: Path = field(compare=False)  # where relative paths written here start

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"

    @property
    def order(self) -> tuple[str, int, int]:
        """Sorts places as they are read."""
        return self.source, self.line or 0, self.column or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A scalar, a mapping or a sequence with its place; ``key`` is the place of the key naming it.

    ``size`` counts the values in it and ``depth`` its levels, aliases expanded, so that limits hold
    without expanding them.
    """

    value: Any  # None, bool, int, float, str, dict[str, Located] or tuple[Located, ...]
    place: Place
    key: Place | None = None
    size: int = 1
    depth: int = 0

    @property
    def keys(self) -> dict[str, "Located"]:
        """The entries of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> tuple["Located", ...]:
        """The entries of a sequence; empty for anything else."""
        return self.value if isinstance(self.value, tuple) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong: where in the scenario, and what in words with the remedy.

    ``of_key`` points at the key rather than at its value.
    """

    path: KeyPath
    message: str
    of_key: bool = False


def container(value: dict[str, Located] | tuple[Located, ...], place: Place, key: Place | None) -> Located:
    """Return a mapping or sequence with its size and depth."""
    inside = list(value.values()) if isinstance(value, dict) else list(value)
    size = 1 + sum(child.size for child in inside)
    depth = 1 + max((child.depth for child in inside), default=0)
    return Located(value=value, place=place, key=key, size=size, depth=depth)


def plain(node: Located) -> Any:
    """Return the bare value: dictionaries, lists and scalars."""
    if isinstance(node.value, dict):
        return {name: plain(child) for name, child in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(child) for child in node.value]
    return node.value


def find(node: Located, path: Sequence[str | int]) -> tuple[Located, bool]:
    """Return the deepest existing value on ``path``, and whether that is the path's end."""
    for part in path:
        child = node.keys.get(part) if isinstance(part, str) else None
        if isinstance(part, int) and part < len(node.items):
            child = node.items[part]
        if child is None:
            return node, False
        node = child
    return node, True


def with_entry(node: Located, name: str | int, child: Located) -> Located:
    """Return a copy of a mapping or sequence with one entry replaced or added."""
    if isinstance(name, int):
        items = list(node.items)
        items[name] = child
        return container(tuple(items), node.place, node.key)
    return container({**node.keys, name: child}, node.place, node.key)


def without_entry(node: Located, name: str) -> Located:
    """Return a copy of a mapping without one entry."""
    rest = {key: child for key, child in node.keys.items() if key != name}
    return container(rest, node.place, node.key)


def scalar_like(node: Located, value: Any) -> Located:
    """Return a scalar at the place of ``node``."""
    return Located(value=value, place=node.place, key=node.key)


def keyed(node: Located, key: Place | None) -> Located:
    """Return the same value under another key."""
    return replace(node, key=key)


def dotted(path: Sequence[str | int]) -> str:
    """Return ``sites.1.link.up``."""
    return ".".join(str(part) for part in path)


def show(root: Located, finding: Finding) -> tuple[tuple[str, int, int], str]:
    """Return the finding as one line ``place: path: message``, and what to sort it by."""
    node, found = find(root, finding.path)
    use_key = finding.of_key or not found
    place = node.key if use_key and node.key is not None else node.place
    where = f"{dotted(finding.path)}: " if finding.path else ""
    return place.order, f"{place}: {where}{finding.message}"


def describe(value: Any) -> str:
    """Return a value as an error message shows it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return f'"{value if len(value) <= 60 else value[:57] + "..."}"'
        case _:
            return str(value)

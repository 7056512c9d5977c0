"""YAML 1.2 with the place of every value, within limits that hostile files cannot pass.

Only the parser of ruamel.yaml is used; scalars follow the core schema of YAML 1.2 (yaml.org/spec/1.2.2,
section 10.3). Tags, merge keys, repeated keys, keys that are no scalars and second documents are errors.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from simulator.errors import ScenarioError
from simulator.scenario.locate import Located, Place, container, describe, keyed

MAX_NBYTES = 1_000_000
MAX_DEPTH = 30
MAX_ALIASES = 1_000
MAX_VALUES = 100_000

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_OTHER_BASE = re.compile(r"0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CUT_CALL = re.compile(r"[a-z]+\([^)]*")  # of "uniform(1 s, 2 s)" in a flow mapping
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def read_file(path: Path, shown: str, folder: Path) -> Located:
    """Read one file; ``shown`` is its name in errors, ``folder`` where its relative paths start.

    Raises:
        ScenarioError: not readable, not UTF-8, not YAML, or beyond a limit.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_NBYTES + 1)
    except OSError as error:
        raise ScenarioError(f"{shown}: cannot be read: {error.strerror}") from None
    if len(raw) > MAX_NBYTES:
        raise ScenarioError(f"{shown}: more than {MAX_NBYTES:,} bytes; split it or generate the sites")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{shown}: byte {error.start} is not UTF-8; save the file as UTF-8") from None

    def at(mark: Any) -> Place:
        return Place(source=shown, line=mark.line + 1, column=mark.column + 1, folder=folder)

    return _Composer(text, shown, at).document()


def read_value(text: str, place: Place) -> Located:
    """Read a scalar or flow collection that an option gives; all of it lies at ``place``."""
    return _Composer(text, str(place), lambda _: place).document()


def resolve(text: str) -> Any:
    """Return what a plain scalar means in the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text


class _Composer:
    """Turns the events of one document into located values."""

    def __init__(self, text: str, source: str, at: Callable[[Any], Place]) -> None:
        self._source = source
        self._at = at
        self._anchors: dict[str, Located | None] = {}  # None: begun, not ended
        self._num_aliases = self._num_values = 0
        self._events: Iterator[Any] = iter(YAML(typ="safe", pure=True).parse(text))

    def document(self) -> Located:
        """Return the only document; a file without any is an empty value."""
        try:
            event = next(self._events)
            while not isinstance(event, DocumentStartEvent | StreamEndEvent):
                event = next(self._events)
            if isinstance(event, StreamEndEvent):
                return Located(value=None, place=self._at(event.start_mark))
            root = self._value(next(self._events), 1)
            next(self._events)  # the document's end
            event = next(self._events)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{self._at(mark)}: " if mark is not None else ""
            raise ScenarioError(f"{where}not YAML: {error.problem or error.context}") from None
        except YAMLError as error:
            raise ScenarioError(f"{self._source}: not YAML: {str(error).splitlines()[0]}") from None
        if isinstance(event, DocumentStartEvent):
            raise self._error(event, "a second document begins; write one scenario per file")
        return root

    def _error(self, event: Any, message: str) -> ScenarioError:
        return ScenarioError(f"{self._at(event.start_mark)}: {message}")

    def _value(self, event: Any, depth: int) -> Located:
        if isinstance(event, AliasEvent):
            return self._alias(event, depth)
        self._num_values += 1
        if self._num_values > MAX_VALUES:
            raise self._error(event, f"more than {MAX_VALUES:,} values; write fewer")
        if depth > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels; flatten it")
        if event.ctag is not None:
            raise self._error(event, f"tag {describe(event.tag)}; scenarios use no tags, remove it")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, ScalarEvent):
            node = Located(value=self._scalar(event), place=self._at(event.start_mark))
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(event, depth)
        else:
            node = self._sequence(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: ScalarEvent) -> Any:
        is_text = all(not "\ud800" <= letter <= "\udfff" for letter in event.value)
        if not is_text:
            raise self._error(event, "half of a surrogate pair; write the character itself")
        is_plain = event.implicit[0]
        if is_plain and _CUT_CALL.fullmatch(event.value):
            remedy = f'inside {{ }} and [ ] a comma ends it, so quote all of it: "{event.value}, …)"'
            raise self._error(event, f"{event.value} has no closing parenthesis; {remedy}")
        return resolve(event.value) if is_plain else event.value

    def _alias(self, event: AliasEvent, depth: int) -> Located:
        self._num_aliases += 1
        if self._num_aliases > MAX_ALIASES:
            raise self._error(event, f"more than {MAX_ALIASES:,} aliases; write the values out")
        if event.anchor not in self._anchors:
            raise self._error(event, f'no anchor "{event.anchor}" before this alias')
        node = self._anchors[event.anchor]
        if node is None:
            raise self._error(event, f'alias "{event.anchor}" stands inside of what it repeats')
        return self._within_limits(event, node, depth)

    def _within_limits(self, event: NodeEvent, node: Located, depth: int) -> Located:
        if depth - 1 + node.depth > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels; flatten it")
        if node.size > MAX_VALUES:
            raise self._error(event, f"more than {MAX_VALUES:,} values, aliases expanded; write fewer")
        return node

    def _mapping(self, event: MappingStartEvent, depth: int) -> Located:
        entries: dict[str, Located] = {}
        while not isinstance(key := next(self._events), MappingEndEvent):
            name, place = self._key(key), self._at(key.start_mark)
            child = self._value(next(self._events), depth + 1)
            if name in entries:
                first = entries[name].key
                raise self._error(key, f'key "{name}" for the second time; the first is at {first}')
            entries[name] = keyed(child, place)
        node = container(entries, self._at(event.start_mark), None)
        return self._within_limits(event, node, depth)

    def _key(self, event: NodeEvent) -> str:
        if not isinstance(event, ScalarEvent):
            raise self._error(event, "a key must be a name, not a list, a mapping or an alias")
        if event.value == "<<" and event.implicit[0]:
            raise self._error(event, "merge keys are not supported; use include or write the keys out")
        self._value(event, 1)  # for its tag and anchor
        return str(event.value)

    def _sequence(self, event: NodeEvent, depth: int) -> Located:
        entries: list[Located] = []
        while not isinstance(item := next(self._events), SequenceEndEvent):
            entries.append(self._value(item, depth + 1))
        node = container(tuple(entries), self._at(event.start_mark), None)
        return self._within_limits(event, node, depth)

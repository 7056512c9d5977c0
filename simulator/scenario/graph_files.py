"""Graphs from files: edge lists (CSV), GraphML and GML, each edge with the line where it stands.

Values are texts with units as in scenarios. GraphML: Brandes et al., "GraphML Progress Report", Graph
Drawing 2001; GML: Himsolt, "GML: A portable Graph File Format", University of Passau, 1997.
"""

import csv
import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

from simulator.errors import ScenarioError
from simulator.registry import suggest

MAX_NBYTES = 8 * 2**20
MAX_EDGES = 100_000
ATTRIBUTES = ("bandwidth", "bandwidth_back", "latency", "loss", "buffer")
"""What an edge may say of its link; see :class:`~simulator.scenario.schema.LinkSpec`."""

_TOKEN = re.compile(r'\s+|#[^\n]*|(?P<text>"[^"]*")|(?P<open>\[)|(?P<close>\])|(?P<word>[^\s\[\]"]+)')
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge as a file has it; ``values`` holds those of :data:`ATTRIBUTES` that it gives."""

    a: str
    b: str
    line: int
    values: Mapping[str, str]


def read_edges(path: Path, shown: str) -> list[Edge]:
    """Return the edges of a graph in the order of the file; both directions of a link as one.

    Args:
        path: a .csv with the columns a and b and any of :data:`ATTRIBUTES`, a .graphml or a .gml.
        shown: its name as errors show it.

    Raises:
        ScenarioError: with the line, for a file that is none of these, or too large.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ScenarioError(f"{shown}: not a graph by its name; save it as one of {', '.join(_READERS)}")
    if path.stat().st_size > MAX_NBYTES:
        raise ScenarioError(f"{shown}: larger than {MAX_NBYTES // 2**20} MiB; leave out what is not needed")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{shown}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    edges = reader(text, shown)
    if not edges:
        raise ScenarioError(f"{shown}: no edge in it; add one")
    if len(edges) > MAX_EDGES:
        raise ScenarioError(f"{shown}: {len(edges):,} edges; at most {MAX_EDGES:,}")
    return edges


def _read_csv(text: str, shown: str) -> list[Edge]:
    rows = csv.reader(text.splitlines())
    header = [name.strip() for name in next(rows, [])]
    for name in header:
        if name not in {"a", "b", *ATTRIBUTES}:
            hint = suggest(name, ["a", "b", *ATTRIBUTES])
            raise ScenarioError(f'{shown}:1: unknown column "{name}"{hint}')
    for name in ("a", "b"):
        if header.count(name) != 1:
            raise ScenarioError(f"{shown}:1: no column {name}; write for example a,b,bandwidth,latency")
    edges = []
    for row in rows:
        values = [value.strip() for value in row]
        if not any(values):
            continue
        if len(values) != len(header):
            found = f"{len(values)} values under {len(header)} columns"
            raise ScenarioError(f"{shown}:{rows.line_num}: {found}; write one for each, or leave it empty")
        given = {name: value for name, value in zip(header, values, strict=True) if value}
        if not {"a", "b"} <= given.keys():
            raise ScenarioError(f"{shown}:{rows.line_num}: an end is missing; fill in a and b")
        ends = given.pop("a"), given.pop("b")
        edges.append(Edge(a=ends[0], b=ends[1], line=rows.line_num, values=given))
    return edges


def _read_graphml(text: str, shown: str) -> list[Edge]:
    reader = _GraphML()
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, attrs: reader.start(tag, attrs, parser.CurrentLineNumber)
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, KeyError, _BadGraph) as error:
        finding = f"no attribute {error}" if isinstance(error, KeyError) else str(error)
        raise ScenarioError(f"{shown}:{parser.CurrentLineNumber}: not GraphML: {finding}") from None
    return _joined(reader.edges, reader.is_directed, shown)


class _BadGraph(ValueError):
    """A file that is well-formed, but no graph; ``(finding,)``."""


def _refuse_entity(*_: object) -> None:
    raise _BadGraph("it declares entities; write what they stand for")


class _GraphML:
    """Collects the edges of a GraphML document while it is parsed."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []
        self.is_directed = False
        self._names: dict[str, str] = {}  # of keys, by id
        self._open: tuple[str, str, int, dict[str, str]] | None = None
        self._key = ""
        self._text: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str], line: int) -> None:
        match tag.rpartition(":")[2]:
            case "graph":
                self.is_directed = attributes.get("edgedefault") == "directed"
            case "key":
                self._names[attributes["id"]] = attributes.get("attr.name", attributes["id"])
            case "edge":
                self._open = attributes["source"], attributes["target"], line, {}
            case "data":
                self._key, self._text = self._names.get(attributes["key"], attributes["key"]), []

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        if self._open is None:
            return
        a, b, line, values = self._open
        if name == "data":
            values[self._key] = "".join(self._text).strip()
        elif name == "edge":
            self.edges.append(Edge(a=a, b=b, line=line, values=values))
            self._open = None


def _read_gml(text: str, shown: str) -> list[Edge]:
    top = _gml_list(_gml_tokens(text, shown), shown, 0)
    graph = next((value for key, value, _ in top if key == "graph" and isinstance(value, list)), None)
    if graph is None:
        raise ScenarioError(f'{shown}: not GML: no graph; it begins with "graph ["')
    names = {}
    for key, value, line in graph:
        if key == "node":
            node = _gml_map(value, line, shown)
            names[_gml_get(node, "id", line, shown)] = node.get("label", node["id"])
    edges = []
    for key, value, line in graph:
        if key == "edge":
            edge = _gml_map(value, line, shown)
            ends = [names.get(_gml_get(edge, end, line, shown), "") for end in ("source", "target")]
            if not all(ends):
                raise ScenarioError(f"{shown}:{line}: an edge of a node that is not there; add the node")
            values = {name: text for name, text in edge.items() if name not in {"source", "target"}}
            edges.append(Edge(a=ends[0], b=ends[1], line=line, values=values))
    is_directed = any(key == "directed" and value == "1" for key, value, _ in graph)
    return _joined(edges, is_directed, shown)


_Entry = tuple[str, Any, int]


def _gml_tokens(text: str, shown: str) -> Iterator[tuple[str, str, int]]:
    """Kind, text and line of every token."""
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ScenarioError(f"{shown}:{line}: not GML: a quote without end")
        if match.lastgroup is not None:
            yield match.lastgroup, match[0], line
        line += match[0].count("\n")
        position = match.end()
    yield "end", "", line


def _gml_list(tokens: Iterator[tuple[str, str, int]], shown: str, depth: int) -> list[_Entry]:
    """The entries up to the bracket that closes the list, or up to the end on top."""
    entries: list[_Entry] = []
    for kind, key, line in tokens:
        if kind == ("close" if depth else "end"):
            return entries
        if kind != "word" or depth > _MAX_DEPTH:
            raise ScenarioError(f"{shown}:{line}: not GML: expected a key, found {key or 'the end'}")
        kind, text, line = next(tokens)
        if kind == "open":
            entries.append((key, _gml_list(tokens, shown, depth + 1), line))
        elif kind in {"text", "word"}:
            entries.append((key, text.strip('"'), line))
        else:
            raise ScenarioError(f"{shown}:{line}: not GML: {key} has no value")
    raise ScenarioError(f"{shown}: not GML: it ends too early")


def _gml_map(value: Any, line: int, shown: str) -> dict[str, str]:
    if not isinstance(value, list):
        raise ScenarioError(f"{shown}:{line}: not GML: expected a list in brackets")
    return {key: text for key, text, _ in value if isinstance(text, str)}


def _gml_get(entry: Mapping[str, str], key: str, line: int, shown: str) -> str:
    if key not in entry:
        raise ScenarioError(f"{shown}:{line}: no {key}; add one")
    return entry[key]


def _joined(edges: list[Edge], is_directed: bool, shown: str) -> list[Edge]:
    """Edges with what they say of links; in a directed graph both directions made one."""
    told = [
        Edge(a=edge.a, b=edge.b, line=edge.line, values=_of_links(edge.values, f"{shown}:{edge.line}"))
        for edge in edges
    ]
    if not is_directed:
        return told
    found: dict[tuple[str, str], Edge] = {}
    for edge in told:
        if (edge.a, edge.b) in found:
            raise ScenarioError(f"{shown}:{edge.line}: a second edge from {edge.a} to {edge.b}; join them")
        found[edge.a, edge.b] = edge
    return [_both(edge, found.get((edge.b, edge.a)), shown) for edge in told if _is_first(edge, found)]


def _is_first(edge: Edge, found: Mapping[tuple[str, str], Edge]) -> bool:
    other = found.get((edge.b, edge.a))
    return other is None or edge.line < other.line or (edge.line == other.line and edge.a < edge.b)


def _both(edge: Edge, back: Edge | None, shown: str) -> Edge:
    where = f"{shown}:{edge.line}"
    if back is None:
        raise ScenarioError(f"{where}: no edge from {edge.b} back to {edge.a}; links go both ways, add it")
    for name in ("latency", "loss", "buffer"):
        if edge.values.get(name) != back.values.get(name):
            raise ScenarioError(f"{where}: {name} differs from that of the way back (line {back.line})")
    values = dict(edge.values)
    if "bandwidth" in back.values:
        values["bandwidth_back"] = back.values["bandwidth"]
    return Edge(a=edge.a, b=edge.b, line=edge.line, values=values)


def _of_links(values: Mapping[str, str], where: str) -> dict[str, str]:
    """What an edge says of its link. Files carry much else; only what looks like a slip is refused."""
    for name in values:
        close = difflib.get_close_matches(name, ATTRIBUTES, n=1, cutoff=0.8)
        if name not in ATTRIBUTES and close:
            raise ScenarioError(f'{where}: unknown attribute "{name}"; did you mean {close[0]}?')
    return {name: text for name, text in values.items() if name in ATTRIBUTES}


_READERS: dict[str, Callable[[str, str], list[Edge]]] = {
    ".csv": _read_csv,
    ".graphml": _read_graphml,
    ".gml": _read_gml,
}

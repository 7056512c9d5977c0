"""Graphs named by ``{kind: file, path: wan.graphml}``, put into the scenario as if written there.

A scenario that has been loaded needs the file no more, so a run's own copy of it is complete.
"""

from pathlib import Path

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.scenario.files import inside
from simulator.scenario.graph_files import Edge, read_edges
from simulator.scenario.locate import (
    Located,
    Place,
    container,
    dotted,
    keyed,
    scalar_like,
    with_entry,
    without_entry,
)
from simulator.scenario.reading import resolve

_DEFAULTS = ("bandwidth", "latency", "loss", "buffer")


def expand_graphs(root: Located) -> Located:
    """Return the scenario with the links and pairs of the files that it names.

    Links take what the file does not say from ``network.core``.

    Raises:
        ScenarioError: a file from elsewhere, or one that is no graph, with the line.
    """
    network = root.keys.get("network")
    if network is None:
        return root
    topology, overlay = network.keys.get("topology"), network.keys.get("overlay")
    if topology is not None and _is_file(topology):
        if "links" in network.keys:
            place = network.keys["links"].key
            raise ScenarioError(f"{place}: network.links: the links come from a file; remove one of the two")
        core = network.keys.get("core")
        links = [_link(edge, core) for edge in _edges(topology, "network.topology")]
        network = with_entry(network, "topology", scalar_like(topology, "graph"))
        network = with_entry(network, "links", container(tuple(links), topology.place, topology.key))
        if core is not None:
            network = without_entry(network, "core")
    if overlay is not None and _is_file(overlay):
        pairs = tuple(_pair(edge) for edge in _edges(overlay, "network.overlay"))
        network = with_entry(network, "overlay", container(pairs, overlay.place, overlay.key))
    return with_entry(root, "network", network)


def _is_file(node: Located) -> bool:
    kind = node.keys.get("kind")
    return kind is not None and kind.value == "file"


def _edges(node: Located, where: str) -> list[tuple[Edge, Place]]:
    """The edges of the file that a mapping names, each with its place."""
    for name, child in node.keys.items():
        if name not in {"kind", "path"}:
            hint = suggest(name, ["kind", "path"])
            raise ScenarioError(f"{child.key}: {dotted((where, name))}: unknown key{hint}")
    item = node.keys.get("path")
    if item is None:
        raise ScenarioError(f"{node.place}: {where}.path: missing; name a .csv, .graphml or .gml file")
    path = inside(item, f"{where}.path", item.place.folder)
    shown = str(Path(item.place.source).parent / str(item.value)) if item.place.line else str(item.value)
    places = item.place.folder
    return [
        (edge, Place(source=shown, line=edge.line, column=1, folder=places))
        for edge in read_edges(path, shown)
    ]


def _link(found: tuple[Edge, Place], core: Located | None) -> Located:
    edge, place = found
    ends = {"a": edge.a, "b": edge.b}
    values = {name: text if name != "loss" else resolve(text) for name, text in edge.values.items()}
    entries = {
        name: Located(value=value, place=place, key=place) for name, value in {**ends, **values}.items()
    }
    for name in _DEFAULTS:
        if core is not None and name in core.keys and name not in entries:
            entries[name] = keyed(core.keys[name], place)
    return container(entries, place, place)


def _pair(found: tuple[Edge, Place]) -> Located:
    edge, place = found
    ends = tuple(Located(value=name, place=place) for name in (edge.a, edge.b))
    return container(ends, place, None)

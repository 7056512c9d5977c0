"""Graphs from files: what is read, checked against networkx's own writers, and what is wrong with some."""

import networkx as nx
import pytest

from simulator.errors import ScenarioError
from simulator.scenario import graph_files
from simulator.scenario.dump import dump
from simulator.scenario.graph_files import read_edges
from tests.scenario.conftest import BASE

FILE = "network: {topology: {kind: file, path: NAME}, core: {bandwidth: 1 Gbit/s, latency: 5 ms}}\n"
CSV = "a,b,bandwidth,bandwidth_back,latency,loss\nnorth,hub,100 Mbit/s,40 Mbit/s,3 ms,0.01\nhub,south,,,,\n"


def graph(cls=nx.Graph):
    made = cls(name="wan")
    made.add_edge("north", "hub", bandwidth="100 Mbit/s", latency="3 ms", LinkLabel="leased", weight=2)
    made.add_edge("hub", "south")
    return made


@pytest.mark.parametrize(("suffix", "write"), [(".graphml", nx.write_graphml), (".gml", nx.write_gml)])
def test_what_networkx_writes_is_read(tmp_path, suffix, write):
    path = tmp_path / f"wan{suffix}"
    write(graph(), path)
    edges = read_edges(path, path.name)
    assert {(edge.a, edge.b) for edge in edges} == {("north", "hub"), ("hub", "south")}
    told = next(edge for edge in edges if "north" in (edge.a, edge.b))
    assert told.values == {"bandwidth": "100 Mbit/s", "latency": "3 ms"}
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "edge" in lines[told.line - 1] + lines[told.line - 2]


@pytest.mark.parametrize(("suffix", "write"), [(".graphml", nx.write_graphml), (".gml", nx.write_gml)])
def test_both_directions_of_a_directed_graph_are_one_link(tmp_path, suffix, write):
    made = graph(nx.DiGraph)
    made.remove_edge("hub", "south")
    path = tmp_path / f"wan{suffix}"
    write(made, path)
    with pytest.raises(ScenarioError, match=r"wan\.\w+:\d+: no edge from hub back to north; links go both"):
        read_edges(path, path.name)
    made.add_edge("hub", "north", bandwidth="20 Mbit/s", latency="3 ms")
    write(made, path)
    (edge,) = read_edges(path, path.name)
    both = {"bandwidth": "100 Mbit/s", "bandwidth_back": "20 Mbit/s", "latency": "3 ms"}
    assert edge.values in (both, {**both, "bandwidth": "20 Mbit/s", "bandwidth_back": "100 Mbit/s"})
    made.edges["hub", "north"]["latency"] = "4 ms"
    write(made, path)
    with pytest.raises(ScenarioError, match="latency differs from that of the way back"):
        read_edges(path, path.name)


def test_an_edge_list_becomes_links_and_the_scenario_needs_it_no_more(load, tmp_path):
    (tmp_path / "wan.csv").write_text(CSV, encoding="utf-8")
    (tmp_path / "peers.csv").write_text("a,b\nnorth,south\n", encoding="utf-8")
    text = BASE + FILE.replace("NAME", "wan.csv").replace(
        "core", "overlay: {kind: file, path: peers.csv}, core"
    )
    network = load(text).points[0].scenario.network
    first, second = network.links
    assert (first.a, first.b, first.bandwidth, first.bandwidth_back) == ("north", "hub", 12.5e6, 5e6)
    assert (first.latency, first.loss) == (0.003, 0.01)
    assert (second.bandwidth, second.bandwidth_back, second.latency) == (125e6, None, 0.005)
    assert network.overlay.pairs == (("north", "south"),)
    saved = dump(load(text).points[0].scenario)
    (tmp_path / "wan.csv").unlink()
    assert load(saved).points[0].scenario.network == network


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "w.csv",
            CSV.replace("100 Mbit/s", "100 Mbps"),
            'w.csv:2:1: network.links.0.bandwidth: "Mbps" is not',
        ),
        (
            "w.csv",
            CSV.replace("south", "so uth"),
            'w.csv:3:1: network.links.1.b: "so uth" is not a name; use',
        ),
        (
            "w.csv",
            CSV.replace("latency", "lattency"),
            'w.csv:1: unknown column "lattency"; did you mean latency?',
        ),
        ("w.csv", CSV.replace("a,b,", "a,"), "w.csv:1: no column b; write for example a,b,bandwidth,latency"),
        ("w.csv", CSV + "x,y\n", "w.csv:4: 2 values under 6 columns; write one for each, or leave it empty"),
        ("w.csv", CSV + ",y,,,,\n", "w.csv:4: an end is missing; fill in a and b"),
        ("w.csv", "a,b\n", "w.csv: no edge in it; add one"),
        (
            "w.csv",
            CSV.replace("hub,south", "hub,west"),
            "x.yaml:17:11: network.links: south is in no link; add one with",
        ),
        ("w.txt", CSV, "w.txt: not a graph by its name; save it as one of .csv, .graphml, .gml"),
        ("w.graphml", "<graphml><graph>", "w.graphml:1: not GraphML: no element found"),
        (
            "w.graphml",
            "<graphml><graph>\n<edge source='a'/>",
            "w.graphml:2: not GraphML: no attribute 'target'",
        ),
        (
            "w.graphml",
            '<!DOCTYPE g [<!ENTITY x "y">]>\n<graphml/>',
            "w.graphml:1: not GraphML: it declares entities; write what they stand for",
        ),
        ("w.gml", "graf [ ]", 'w.gml: not GML: no graph; it begins with "graph ["'),
        ("w.gml", "graph [\n node [ id 0 ", "w.gml:2: not GML: expected a key, found the end"),
        ("w.gml", 'graph [\n node [ id "0 ]\n]', "w.gml:2: not GML: a quote without end"),
        ("w.gml", "graph [\n edge [ source 0\n target 1 ] ]", "w.gml:2: an edge of a node that is not there"),
        (
            "w.gml",
            "graph [ node [ id 0 ] node [ id 1 ]\nedge [ source 0 target 1 latencie 3 ] ]",
            'w.gml:2: unknown attribute "latencie"; did you mean latency?',
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(load, tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as error:
        load(BASE + FILE.replace("NAME", name))
    told = str(error.value)
    assert told.partition("x.yaml:17:1: ")[2].startswith(message) or told.startswith(message), told


def test_limits(load, tmp_path, monkeypatch):
    (tmp_path / "w.csv").write_text(CSV, encoding="utf-8")
    monkeypatch.setattr(graph_files, "MAX_EDGES", 1)
    with pytest.raises(ScenarioError, match=r"w\.csv: 2 edges; at most 1"):
        load(BASE + FILE.replace("NAME", "w.csv"))
    monkeypatch.setattr(graph_files, "MAX_NBYTES", 10)
    with pytest.raises(ScenarioError, match=r"w\.csv: larger than"):
        load(BASE + FILE.replace("NAME", "w.csv"))

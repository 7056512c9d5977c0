"""Cores and overlays that follow a rule or chance; distances on Earth."""

import itertools

import networkx as nx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.network import generators
from simulator.network.generators import edges
from simulator.network.geography import distances_km, latency_s, nearest
from simulator.network.overlay import overlay
from simulator.network.routes import passage_of
from simulator.network.underlay import build
from simulator.scenario.schema import AccessLink, NetworkSpec
from simulator.scenario.topologies import Coordinates, ErdosRenyi, Position, RandomRegular, SmallWorld, Star

LINE = AccessLink(up="10 Mbit/s", down="50 Mbit/s", latency="5 ms")
CORE = {"bandwidth": "1 Gbit/s", "latency": "2 ms"}
CITIES = {  # lat, lon
    "munich": Position(lat=48.1372, lon=11.5756),
    "berlin": Position(lat=52.52, lon=13.405),
    "hamburg": Position(lat=53.5511, lon=9.9937),
    "sydney": Position(lat=-33.8688, lon=151.2093),
}

sizes = st.integers(2, 24)
kinds = st.one_of(
    st.just("ring"),
    st.just("complete"),
    st.builds(lambda d: {"kind": "random-regular", "degree": d}, st.integers(2, 6)),
    st.builds(
        lambda k, p: {"kind": "small-world", "neighbors": 2 * k, "rewire": p},
        st.integers(1, 3),
        st.floats(0, 1),
    ),
    st.builds(lambda p: {"kind": "erdos-renyi", "p": p}, st.floats(0.5, 1)),
    st.just({"kind": "star", "hub": "s1"}),
)


def names(num):
    return [f"s{number}" for number in range(num)]


def neighbors_of(kind, num, seed=1):
    return overlay(NetworkSpec.model_validate({"overlay": kind}).overlay, names(num), seed=seed)


def kind_degree(kind):
    """Neighbors that a rule asks for, 0 where it leaves that to chance."""
    return kind.get("degree", kind.get("neighbors", 0)) if isinstance(kind, dict) else 0


@settings(max_examples=80, deadline=None)
@given(kind=kinds, num=sizes, seed=st.integers(0, 5))
def test_overlays_are_symmetric_connected_and_of_the_right_degree(kind, num, seed):
    assume(num > 2 and num > kind_degree(kind) and kind_degree(kind) * num % 2 == 0)
    found = neighbors_of(kind, num, seed)
    graph = nx.Graph([(a, b) for a, peers in found.items() for b in peers])
    assert set(found) == set(graph)
    assert nx.is_connected(graph)
    assert all(site not in peers and list(peers) == sorted(set(peers)) for site, peers in found.items())
    assert all(site in found[peer] for site, peers in found.items() for peer in peers)
    if isinstance(kind, dict) and "degree" in kind:
        assert {len(peers) for peers in found.values()} == {kind["degree"]}
    if isinstance(kind, dict) and "neighbors" in kind:
        assert sum(map(len, found.values())) == num * kind["neighbors"]
    assert found == neighbors_of(kind, num, seed), "the same seed draws the same graph"


underlays = st.one_of(
    st.sampled_from(["ring", "full-mesh"]),
    st.builds(lambda d: {"kind": "random-regular", "degree": d}, st.integers(2, 4)),
    st.builds(lambda p: {"kind": "small-world", "neighbors": 2, "rewire": p}, st.floats(0, 1)),
    st.builds(
        lambda counts: {
            "kind": "hierarchical",
            "levels": [{"branches": count, **CORE} for count in counts],
        },
        st.lists(st.integers(1, 3), min_size=1, max_size=3),
    ),
)


@settings(max_examples=60, deadline=None)
@given(kind=underlays, num=st.integers(3, 12), hub=st.booleans(), data=st.data())
def test_every_route_is_a_path_in_the_directed_graph(kind, num, hub, data):
    nodes = names(num)
    network = {"topology": kind}
    if not (isinstance(kind, dict) and kind["kind"] == "hierarchical"):
        network["core"] = CORE
    if hub:
        network["routes"] = [{"via": "s0", "between": nodes[1:]}]
    spec = NetworkSpec.model_validate(network)
    lines = dict.fromkeys(nodes, LINE)
    assume(num > kind_degree(kind) and kind_degree(kind) * num % 2 == 0)
    topology = build(spec, lines, seed=1, passage=passage_of(spec.routes, lines, nodes))
    src, dst = data.draw(st.permutations(nodes))[:2]
    route = [topology.links[id] for id in topology.route(src, dst)]
    assert (route[0].src, route[-1].dst) == (src, dst)
    assert all(link.dst == after.src for link, after in itertools.pairwise(route))
    assert len({link.id for link in route}) == len(route)
    machines = [link.dst for link in route[:-1] if link.dst in nodes]
    assert machines == (["s0"] if hub and "s0" not in (src, dst) else []), "others' lines are not crossed"


def test_small_graphs_by_hand():
    assert neighbors_of("ring", 1) == {"s0": ()}
    assert neighbors_of({"kind": "star", "hub": "s1"}, 3) == {
        "s0": ("s1",),
        "s1": ("s0", "s2"),
        "s2": ("s1",),
    }
    lattice = SmallWorld(kind="small-world", neighbors=2, rewire=0.0)
    assert edges(lattice, names(4), seed=1, where="x") == [
        ("s0", "s1"),
        ("s0", "s3"),
        ("s1", "s2"),
        ("s2", "s3"),
    ]
    regular = RandomRegular(kind="random-regular", degree=3)
    draws = {tuple(edges(regular, names(12), seed=seed, where="network.overlay")) for seed in range(5)}
    assert len(draws) == 5, "another seed draws another graph"
    assert edges(regular, names(12), seed=1, where="network.topology") not in [
        list(edges(regular, names(12), seed=1, where="network.overlay"))
    ], "core and overlay are drawn apart"


@pytest.mark.parametrize(
    ("kind", "num", "message"),
    [
        (RandomRegular(kind="random-regular", degree=3), 5, "x.degree: 5 nodes of 3 neighbors each have no"),
        (
            RandomRegular(kind="random-regular", degree=5),
            5,
            "x.degree: 5 neighbors need 6 nodes or more, there",
        ),
        (RandomRegular(kind="random-regular", degree=1), 4, "x.degree: 1 leaves 4 nodes in pairs that are"),
        (SmallWorld(kind="small-world", neighbors=3, rewire=0.1), 9, "x.neighbors: 3 is odd, half of them"),
        (
            ErdosRenyi(kind="erdos-renyi", p=0.001),
            30,
            "x: none of 100 random graphs on 30 nodes is connected",
        ),
        (Star(kind="star", hub="s9"), 3, 'x.hub: no site "s9"; known are s0, s1, s2'),
    ],
)
def test_graphs_that_cannot_be(kind, num, message):
    with pytest.raises(ScenarioError) as error:
        edges(kind, names(num), seed=1, where="x")
    assert str(error.value).startswith(message)


def test_a_graph_is_drawn_until_it_is_connected(monkeypatch):
    """Two rings of three have degree 2 and are not connected: with 6 nodes some draws are such."""
    kind = RandomRegular(kind="random-regular", degree=2)
    tried = []
    real = generators.draw_seed
    monkeypatch.setattr(generators, "draw_seed", lambda *name: tried.append(name) or real(*name))
    for seed in range(20):
        assert nx.is_connected(nx.Graph(edges(kind, names(6), seed=seed, where="x")))
    assert len(tried) > 20


def test_distances_and_latency_on_earth():
    """Munich to Berlin is 504 km on the great circle; light takes 504.4 x 2.1 / 204,190 s = 5.19 ms."""
    distance = distances_km(list(CITIES.values()))
    assert distance[0, 1] == pytest.approx(504.4, abs=0.5)
    assert distance[0, 3] == pytest.approx(16_300, abs=100)
    assert (distance == distance.T).all()
    assert not distance.diagonal().any()
    kind = Coordinates(kind="coordinates")
    assert latency_s(504.4, kind) == pytest.approx(5.187e-3, rel=1e-3)
    assert latency_s(504.4, Coordinates(kind="coordinates", stretch=1.0)) == pytest.approx(2.470e-3, rel=1e-3)
    poles = [Position(lat=90, lon=0), Position(lat=-90, lon=77)]
    assert distances_km(poles)[0, 1] == pytest.approx(20_015.1, abs=0.1)


def test_the_nearest_are_linked_and_nobody_stays_apart():
    distance = distances_km(list(CITIES.values()))
    assert len(nearest(distance, None)) == 6
    # Berlin and Hamburg are nearest to each other and to Munich; Sydney is linked to the nearest
    assert nearest(distance, 1) == [(0, 1), (1, 2), (1, 3)]
    apart = distances_km([Position(lat=lat, lon=0) for lat in (0, 0.1, 40, 40.1)])
    assert nearest(apart, 1) == [(0, 1), (1, 2), (2, 3)]
    assert nearest(distances_km([Position(lat=1, lon=1)]), 2) == []


def test_links_between_positions_are_as_long_as_the_map_says():
    network = NetworkSpec.model_validate(
        {"topology": {"kind": "coordinates"}, "core": {"bandwidth": "1 Gbit/s", "latency": "1 ms"}}
    )
    topology = build(network, dict.fromkeys(CITIES, LINE), seed=1, spots=CITIES)
    assert topology.links["munich>berlin"].latency_s == pytest.approx(6.19e-3, rel=1e-2)
    assert topology.route("munich", "berlin") == ("munich.up", "munich>berlin", "berlin.down")


def test_a_hierarchy_deals_sites_to_its_leaves():
    """Two regions with two towns each; five sites, so that the first town has two."""
    levels = [
        {"branches": 2, "bandwidth": "10 Gbit/s", "latency": "8 ms"},
        {"branches": 2, "bandwidth": "1 Gbit/s", "latency": "2 ms"},
    ]
    network = NetworkSpec.model_validate({"topology": {"kind": "hierarchical", "levels": levels}})
    topology = build(network, dict.fromkeys([*names(5), "server"], LINE), seed=1)
    assert topology.route("s0", "s4") == ("s0.up", "s4.down")
    assert topology.route("s0", "s1")[1:3] == ("region1-1>region1", "region1>region1-2")
    assert topology.route("s0", "server")[1:3] == ("region1-1>region1", "region1>core")
    assert len(topology.route("s0", "s2")) == 6
    elsewhere = {"s0": LINE.model_copy(update={"to": "region2"}), "s1": LINE}
    assert build(network, elsewhere, seed=1).route("s0", "s1")[1] == "region2>core"


def test_a_core_does_not_depend_on_who_takes_part():
    network = NetworkSpec.model_validate({"topology": {"kind": "random-regular", "degree": 3}, "core": CORE})
    spots = dict.fromkeys(names(8))
    whole = build(network, dict.fromkeys(spots, LINE), seed=1, spots=spots)
    part = build(network, dict.fromkeys(names(4), LINE), seed=1, spots=spots)
    core = [id for id in whole.links if ">" in id]
    assert core == [id for id in part.links if ">" in id]


def test_a_core_with_too_many_links_is_refused():
    network = NetworkSpec.model_validate({"topology": "full-mesh", "core": CORE})
    with pytest.raises(ScenarioError, match=r"network.topology: 124,750 links, more than 100,000"):
        build(network, dict.fromkeys(names(500), LINE), seed=1)

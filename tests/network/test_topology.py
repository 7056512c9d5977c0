"""Underlay and overlay of scenarios, and what is wrong with some."""

import pytest

from simulator.errors import ScenarioError
from simulator.network import overlay as overlays
from simulator.network import underlay
from simulator.scenario.schema import AccessLink, NetworkSpec


def build(network, lines):
    return underlay.build(network, lines, seed=1)


def overlay(network, sites):
    return overlays.overlay(network.overlay, sites, seed=1)


def line(up="10 Mbit/s", down="50 Mbit/s", latency="5 ms", **more):
    return AccessLink(up=up, down=down, latency=latency, **more)


LINES = {"north": line(), "south": line(latency="8 ms")}


def spec(**settings):
    return NetworkSpec.model_validate(settings)


def graph(*links, **more):
    rows = [{"a": a, "b": b, "bandwidth": "1 Gbit/s", "latency": latency} for a, b, latency in links]
    return spec(topology="graph", links=rows, **more)


def test_star_routes_over_both_lines():
    topology = build(spec(), LINES)
    assert topology.route("north", "south") == ("north.up", "south.down")
    assert topology.links["north.up"].bytes_per_s == 10e6 / 8
    assert topology.links["north.down"].bytes_per_s == 50e6 / 8
    assert topology.access_links("north") == ("north.down", "north.up")


def test_star_with_a_backbone_crosses_it():
    topology = build(spec(backbone={"latency": "10 ms"}), LINES)
    assert topology.route("south", "north") == ("south.up", "backbone", "north.down")


def test_round_trip_counts_latencies_and_a_segment_on_every_hop():
    """2 · (5 + 8) ms + 1502 B at 1.25 MB/s + 1502 B at 6.25 MB/s = 26 + 1.2016 + 0.24032 ms."""
    assert build(spec(), LINES).rtt_s("north", "south") == pytest.approx(0.02744192)


def test_graph_takes_the_fastest_way_and_keeps_transit_off_the_sites_line():
    """north - south directly takes 30 ms, by way of the router 10 + 10 ms; west lies behind south."""
    network = graph(
        ("north", "south", "30 ms"),
        ("north", "r", "10 ms"),
        ("r", "south", "10 ms"),
        ("south", "west", "1 ms"),
    )
    topology = build(network, {**LINES, "west": line()})
    assert topology.route("north", "south") == ("north.up", "north>r", "r>south", "south.down")
    assert topology.route("north", "west") == ("north.up", "north>r", "r>south", "south>west", "west.down")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: build(graph(("north", "x", "1 ms"), ("south", "y", "1 ms")), LINES),
            "network.links: no route from north to south; add a link",
        ),
        (
            lambda: build(graph(("north", "x", "1 ms")), LINES),
            "network.links: south is in no link; add one with a: south",
        ),
        (
            lambda: build(graph(("north", "south", "1 ms"), ("south", "north", "1 ms")), LINES),
            "network.links.1: a second link between south and north; join them into one",
        ),
        (
            lambda: build(graph(("north", "north", "1 ms")), LINES),
            "network.links.0: both ends are north; name two vertices",
        ),
        (
            lambda: build(spec(), {**LINES, "west": line(up="0 Mbit/s")}),
            "link of west: up: 0 bit/s carries nothing; write a rate above zero or a fault",
        ),
        (
            lambda: build(spec(), {**LINES, "west": line(loss=1.0)}),
            "link of west: loss: a loss of 1 lets nothing pass; write a loss below 1 or a fault",
        ),
        (
            lambda: build(spec(backbone={"bandwidth": "0 Mbit/s"}), LINES),
            "network.backbone.bandwidth: 0 bit/s carries nothing; write a rate above zero or a fault",
        ),
        (
            lambda: build(spec(), LINES).route("north", "suoth"),
            'network: unknown node "suoth"; did you mean south?',
        ),
        (
            lambda: overlay(spec(overlay=[["north", "suoth"]]), ["north", "south"]),
            'network.overlay.0: unknown site "suoth"; did you mean south?',
        ),
        (
            lambda: overlay(spec(overlay=[["north", "north"]]), ["north", "south"]),
            "network.overlay.0: north is paired with itself; name two sites",
        ),
    ],
)
def test_nonsense_is_refused_with_its_place(make, message):
    with pytest.raises(ScenarioError) as error:
        make()
    assert str(error.value) == message


def test_overlays():
    sites = ["d", "b", "c", "a"]
    assert overlay(spec(), sites)["b"] == ("a", "c", "d")
    assert overlay(spec(overlay="ring"), sites) == {
        "a": ("c", "d"),
        "b": ("c", "d"),
        "c": ("a", "b"),
        "d": ("a", "b"),
    }
    assert overlay(spec(overlay=[["a", "b"]]), sites) == {"a": ("b",), "b": ("a",), "c": (), "d": ()}
    assert overlay(spec(overlay="ring"), ["a"]) == {"a": ()}
    assert overlay(spec(overlay="ring"), ["a", "b"]) == {"a": ("b",), "b": ("a",)}

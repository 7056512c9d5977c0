"""Ways by way of others: what they charge, what breaks them, and sites that accept no connection."""

from types import SimpleNamespace

import pytest
import simpy

from simulator.errors import ScenarioError, TransferFailed
from simulator.network.routes import passage_of
from simulator.network.topology import Link, Topology
from simulator.network.transport import Network
from simulator.network.underlay import build
from simulator.record.ledger import Ledger
from simulator.rng import stream
from simulator.scenario.schema import AccessLink, NetworkSpec
from simulator.scenario.topologies import RouteSpec

RATE = 1e6  # bytes per second
SIZE = 10_000_000


def line(up=8, down=8, **more):
    return AccessLink(up=f"{up} Mbit/s", down=f"{down} Mbit/s", latency="10 ms", **more)


class World:
    """A network of three sites, a server and a VPN hub on an ideal transport or TCP."""

    def __init__(self, *routes, closed=(), preset="ideal"):
        network = NetworkSpec.model_validate(
            {
                "relays": [{"name": "hub", "link": line(up=4).model_dump(mode="json")}],
                "routes": list(routes),
                "transport": {"preset": preset},
            }
        )
        machines = ["a", "b", "c", "server"]
        lines = {name: line(inbound=name not in closed) for name in machines}
        lines["hub"] = network.relays[0].link
        self.topology = build(network, lines, seed=1, passage=passage_of(network.routes, lines, machines))
        self.env, self.ledger = simpy.Environment(), Ledger()
        self.network = Network(
            self.env,
            self.topology,
            network.transport,
            stream=lambda name: stream(1, name),
            ledger=self.ledger,
        )

    def send(self, src, dst, nbytes=SIZE, control=False):
        transfer = self.network.transfer(src, dst, nbytes, kind="model", round=0, control=control)
        seen = SimpleNamespace(at_s=None, reason=None)

        def ended(event):
            event.defused = True
            seen.at_s = self.env.now
            seen.reason = "" if event.ok else event.value.reason

        transfer.event.callbacks.append(ended)
        return seen

    def finish(self):
        self.env.run()
        self.network.close()
        return {row[0]: row[-1] for row in self.ledger.rows("links") if row[-1]}


HUB = {"via": "hub", "between": "sites"}
PROXY = {"via": "server", "between": "outbound-only"}


def test_a_hub_is_charged_both_ways_and_limits_the_rate():
    """The hub sends 4 Mbit/s: 10 MB take 20 s, and four latencies of 10 ms."""
    world = World(HUB)
    seen = world.send("a", "b")
    carried = world.finish()
    assert seen.at_s == pytest.approx(SIZE / (RATE / 2) + 0.04)
    assert carried == dict.fromkeys(["a.up", "hub.down", "hub.up", "b.down"], SIZE)


def test_acknowledgements_cross_the_relays_line_too():
    """A large transfer over TCP tends to 1448/1502 of the 8 Mbit/s of the narrower direction, b.up and
    hub.down, less 1.8 % for the acknowledgements that come in by hub.down as well.
    """
    world = World({"via": "server", "between": "sites"}, preset="tcp-cubic")
    seen = world.send("b", "a", 300_000_000)
    world.finish()
    rate = RATE * 1448 / 1502
    assert 300_000_000 / seen.at_s == pytest.approx(rate / 1.018, rel=2e-3)
    world = World({"via": "server", "between": "sites"}, preset="tcp-cubic")
    seen, again = world.send("b", "a", 300_000_000), world.send("a", "b", 300_000_000)
    carried = world.finish()
    assert again.at_s == pytest.approx(seen.at_s, rel=1e-3)
    assert carried["server.up"] == carried["server.down"] == 600_000_000


def test_traffic_that_no_route_names_goes_directly():
    world = World(HUB)
    world.send("a", "server")
    assert world.finish() == dict.fromkeys(["a.up", "server.down"], SIZE)
    assert World({"via": "hub", "between": "all"}).topology.route("a", "server")[1:3] == (
        "hub.down",
        "hub.up",
    )
    assert World({"via": "hub", "between": ["a", "b"]}).topology.route("a", "c") == ("a.up", "c.down")


def test_the_first_route_that_applies_is_taken():
    world = World({"via": "server", "between": ["a", "b"]}, HUB)
    assert world.topology.route("a", "b") == ("a.up", "server.down", "server.up", "b.down")
    assert "hub.up" in world.topology.route("a", "c")


@pytest.mark.parametrize("control", [False, True])
def test_a_crash_of_the_relay_ends_what_passes_and_refuses_what_comes(control):
    world = World(HUB)
    nbytes = 1000 if control else SIZE
    first, direct = world.send("a", "b", nbytes, control=control), world.send("a", "server")
    later = []

    def crash(_):
        world.network.drop_node("hub")
        later.append(world.send("b", "c", nbytes, control=control))

    world.env.timeout(0.001 if control else 3.0).callbacks.append(crash)
    world.env.timeout(60.0).callbacks.append(lambda _: world.network.revive_node("hub"))
    world.env.timeout(61.0).callbacks.append(lambda _: later.append(world.send("c", "a", nbytes)))
    world.finish()
    assert first.reason == later[0].reason == "relay hub crashed"
    assert first.at_s == (0.001 if control else 3.0)
    assert later[0].at_s == pytest.approx(first.at_s + 0.08)  # one round trip
    assert direct.reason == later[1].reason == ""


def test_a_partition_that_takes_the_relay_away_stalls_what_passes():
    """Both ends are in one group and the hub in another, from 5 to 15 s of 20."""
    world = World(HUB)
    seen = world.send("a", "b")
    groups = {"a": 0, "b": 0, "c": 0, "server": 0, "hub": 1}
    world.env.timeout(5.0).callbacks.append(lambda _: world.network.part("cause", groups))
    world.env.timeout(15.0).callbacks.append(lambda _: world.network.heal("cause"))
    world.finish()
    assert (seen.reason, seen.at_s) == ("", pytest.approx(30.04))


def test_an_outage_of_the_relays_line_stalls_what_passes():
    world = World(HUB)
    seen = world.send("a", "b")
    world.env.timeout(5.0).callbacks.append(lambda _: world.network.set_node("hub", False))
    world.env.timeout(15.0).callbacks.append(lambda _: world.network.set_node("hub", True))
    world.finish()
    assert (seen.reason, seen.at_s) == ("", pytest.approx(30.04))


def test_an_application_relay_takes_all_before_it_passes_on():
    """10 MB in at 8 Mbit/s, 10 s, then out at 4 Mbit/s, 20 s; each leg has two latencies."""
    world = World(HUB | {"forward": "store-and-forward"})
    seen = world.send("a", "b")
    gone = world.env.timeout(12.0)
    gone.callbacks.append(lambda _: world.network.drop_node("a"))  # no longer needed
    world.finish()
    assert (seen.reason, seen.at_s) == ("", pytest.approx(30.04))
    legs = [(row[2], row[3], row[8], row[11]) for row in world.ledger.rows("transfers")]
    assert legs == [("a", "hub", SIZE, "delivered"), ("hub", "b", SIZE, "delivered")]


@pytest.mark.parametrize("crash_s", [5.0, 15.0])
def test_an_application_relay_that_crashes_is_named(crash_s):
    world = World(HUB | {"forward": "store-and-forward"})
    seen = world.send("a", "b")
    world.env.timeout(crash_s).callbacks.append(lambda _: world.network.drop_node("hub"))
    world.finish()
    assert (seen.reason, seen.at_s) == ("relay hub crashed", crash_s)


def test_what_an_application_relay_could_not_pass_on_was_wasted():
    """All of it is at the hub after 10 s and on to b from then on; b crashes at 15 s."""
    world = World(HUB | {"forward": "store-and-forward"})
    seen = world.send("a", "b")
    world.env.timeout(15.0).callbacks.append(lambda _: world.network.drop_node("b"))
    world.finish()
    assert seen.reason == "peer crashed"
    first, second = world.ledger.rows("transfers")
    assert (first[8], *first[11:13]) == (SIZE, "failed", "not passed on")
    assert 0 < second[8] < SIZE
    totals = world.ledger.totals()
    assert (totals["delivered"], totals["failed"]) == (0, first[8] + second[8])


def test_a_site_that_accepts_no_connection_is_told_and_comes_for_it():
    """One round trip more than to a site that can be reached; messages use the connection kept open."""
    ends = {}
    for name, src, dst, closed in (
        ("pushed", "a", "b", ()),
        ("pulled", "a", "b", "b"),
        ("outward", "b", "a", "b"),
    ):
        world = World(closed=closed, preset="tcp-cubic")
        seen = world.send(src, dst)
        world.finish()
        ends[name] = seen.at_s
    rtt_s = world.topology.rtt_s("a", "b")
    assert ends["pulled"] - ends["pushed"] == pytest.approx(rtt_s)
    assert ends["outward"] == pytest.approx(ends["pushed"])
    world = World(closed="b", preset="tcp-cubic")
    told = world.send("c", "b", 256, control=True)
    world.finish()
    assert told.at_s == pytest.approx(rtt_s / 2, rel=0.1)


def test_two_sites_that_accept_none_need_a_relay():
    world = World(closed={"a", "b"})
    with pytest.raises(ScenarioError, match=r"neither a nor b accepts connections"):
        world.send("a", "b")
    assert world.topology.passage.blocked([("a", "b"), ("b", "c")]) == [("a", "b")]
    world = World(PROXY, closed={"a", "b"})
    seen, direct = world.send("a", "b"), world.send("a", "c")
    carried = world.finish()
    assert (seen.reason, direct.reason) == ("", "")
    assert carried["server.up"] == carried["server.down"] == SIZE


def test_a_way_that_crosses_a_link_twice_is_refused():
    """The hub hangs on r behind s, and latencies differ by direction, so both halves cross r>s."""

    def link(src, dst, latency_s):
        return Link(id=f"{src}>{dst}", src=src, dst=dst, bytes_per_s=RATE, latency_s=latency_s)

    links = [link("a", "r", 1), link("r", "s", 1), link("s", "h", 1), link("h", "r", 1), link("s", "b", 1)]
    route = RouteSpec(via="h", between=("a", "b"))
    lines = {name: line() for name in "abh"}
    topology = Topology(nodes="abh", links=links, passage=passage_of((route,), lines, ["a", "b"]))
    with pytest.raises(ScenarioError, match="a to b by way of h crosses r>s twice in one direction"):
        topology.route("a", "b")


def test_failures_are_transfer_failures():
    world = World(HUB)
    transfer = world.network.transfer("a", "b", SIZE, kind="model", round=0, control=False)
    world.network.drop_node("hub")
    with pytest.raises(TransferFailed):
        world.env.run(transfer.event)

"""Who exchanges with whom in a scenario, and whether there is a way."""

import pytest

from simulator.errors import ScenarioError
from simulator.network.underlay import underlay_of
from simulator.network.wiring import check_wiring, overlay_of
from tests.support import run, study

GOSSIP, FEDAVG = "algorithm: {name: gossip-averaging, rounds: 2}\n", "algorithm: {name: fedavg, rounds: 2}\n"
CLOSED = "sites.*.link.inbound=false"
SITES = ["a", "b", "c"]


def scenario(tmp_path, text, *overrides):
    return study(tmp_path, text, *overrides).points[0].scenario


def check(made, has_server=False):
    check_wiring(made, SITES, overlay_of(made, SITES), has_server=has_server)


def test_pairs_that_exchange_need_a_way(tmp_path):
    made = scenario(tmp_path, GOSSIP, CLOSED)
    with pytest.raises(ScenarioError) as error:
        check(made)
    assert str(error.value) == (
        "sites.0.link.inbound: neither a nor b accepts connections, and they exchange; add a way to "
        "network, routes: [{via: …, between: outbound-only}], or change the overlay"
    )
    check(scenario(tmp_path, FEDAVG, CLOSED), has_server=True)
    with pytest.raises(ScenarioError, match=r"sites\.0\.link\.inbound: neither a nor server accepts"):
        check(scenario(tmp_path, FEDAVG, CLOSED, "server.link.inbound=false"), has_server=True)
    star = scenario(
        tmp_path, GOSSIP, CLOSED, "sites.b.link.inbound=true", "network.overlay={kind: star, hub: b}"
    )
    check(star)
    with pytest.raises(ScenarioError, match=r"neither a nor b accepts"):
        run(tmp_path, GOSSIP, CLOSED)


def test_a_server_without_a_role_passes_on_and_fails(tmp_path):
    """Gossip has no server, yet the one of the scenario is there as a relay, with its faults."""
    made = scenario(tmp_path, GOSSIP, CLOSED, "network.routes=[{via: server, between: sites}]")
    check(made)
    assert underlay_of(made, SITES).nodes == ("a", "b", "c", "server")
    assert underlay_of(scenario(tmp_path, GOSSIP), SITES).nodes == ("a", "b", "c")
    # "uniform" keeps the second crash from being refused: constant ones of one node may not overlap
    faults = (
        "faults: [{at: 1 s, crash: server}, {at: 'uniform(2 s, 2 s)', crash: server}, "
        "{at: 3 s, recover: server}]\n"
    )
    result = run(tmp_path, GOSSIP + faults, CLOSED, "network.routes=[{via: server, between: sites}]")
    assert [row[5:] for row in result.world.trace.faults] == [
        ("fired", None),
        ("no effect", "was already down"),
        ("fired", None),
    ]


def test_a_core_that_cannot_be_is_refused_before_the_run(tmp_path):
    core = "network.core={bandwidth: 1 Gbit/s, latency: 1 ms}"
    made = scenario(tmp_path, GOSSIP, "network.topology={kind: random-regular, degree: 4}", core)
    with pytest.raises(ScenarioError, match=r"network\.topology\.degree: 4 neighbors need 5 nodes or more"):
        check(made)


def test_positions_reach_the_core(tmp_path):
    places = [f"{where}.position={{lat: {n}, lon: 0}}" for n, where in enumerate(["sites.*", "server"])]
    made = scenario(
        tmp_path,
        GOSSIP,
        *places,
        "network.topology={kind: coordinates, stretch: 1.0}",
        "network.core={bandwidth: 1 Gbit/s, latency: 0 ms}",
    )
    links = underlay_of(made, SITES).links
    assert links["a>b"].latency_s == 0.0
    assert links["a>server"].latency_s == pytest.approx(111.195 / 204_190, rel=1e-4), "a degree of latitude"

"""Policies against what they give by hand: waiting times, whose data went in, bytes, who leads.

In the tiny scenario a model of 1 MB reaches all three sites in 3 s; they train 10, 40 and 30 s; uploads
take 1, 1 and 2 s. So answers come after 14 s (a), 44 s (b) and 35 s (c).
"""

import json
import re
from collections import Counter

import numpy as np
import pytest

from algorithms.common import needed
from algorithms.overlay_repair import mended
from simulator.errors import ScenarioError
from simulator.record.participation import aggregations, newcomers, rounds_with, unusable
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.executors import PoolExecutor
from simulator.work.jobs import MODEL
from simulator.work.pools import InlinePool
from simulator.work.store import Store
from tests.algorithms.test_all import SCENARIO
from tests.support import run

PATIENT = "round_deadline: 200 s, server_patience: 300 s"


def fedavg(tmp_path, settings, faults="", *overrides):
    text = f"algorithm: {{name: fedavg, {settings}}}\nfaults: [{faults}]\n"
    return run(tmp_path, text, *overrides)


def told(result, event):
    return [
        (round(row[1], 3), row[2], row[5], json.loads(row[6] or "{}"))
        for row in result.world.trace.events
        if row[3] == event
    ]


def closings(result):
    return [
        (round(one.time_s, 3), one.closed_by, "".join(one.sites))
        for one in aggregations(result.world.trace.events)
    ]


@pytest.mark.parametrize(
    ("quorum", "num_wanted", "count"),
    [(2, 8, 2), ("n", 8, 8), ("n-1", 8, 7), ("n - 3", 8, 5), ("60 %", 8, 5), ("50%", 8, 4), ("0.1 %", 8, 1)],
)
def test_a_quorum_is_a_number_a_rest_or_a_share(quorum, num_wanted, count):
    assert needed(quorum, num_wanted) == count


def test_a_server_waits_for_all_or_for_the_quorum_and_its_grace(tmp_path):
    assert closings(fedavg(tmp_path, "rounds: 1")) == [(44, "all", "abc")]
    assert closings(fedavg(tmp_path, "rounds: 1, quorum: n-1, grace: 0 s")) == [(35, "grace", "ac")]
    assert closings(fedavg(tmp_path, "rounds: 1, quorum: 60 %, grace: 5 s")) == [(40, "grace", "ac")]
    assert closings(fedavg(tmp_path, "rounds: 1, quorum: 1, grace: 60 s")) == [(44, "all", "abc")]
    result = fedavg(tmp_path, "rounds: 1, quorum: 1, grace: 60 s, round_deadline: 36 s")
    assert closings(result) == [(36, "deadline", "ac")]


def test_a_site_may_have_more_time_than_the_others(tmp_path):
    """At 30 s only a is in; c has until 40 s and comes after 35 s; b has not."""
    result = fedavg(tmp_path, "rounds: 1, round_deadline: 30 s, site_grace: {c: 10 s}")
    assert closings(result) == [(35, "deadline", "ac")]


def test_a_quorum_success_says_whose_data_went_in(tmp_path):
    result = fedavg(tmp_path, "rounds: 2, quorum: n-1, grace: 0 s")
    found = aggregations(result.world.trace.events)
    assert [one.cases_share for one in found] == [pytest.approx(40 / 60, abs=1e-6)] * 2
    assert rounds_with(found, "abc") == {"a": 1, "b": 0, "c": 1}
    assert any("b was in 0% of the rounds" in text and "67% at least" in text for text in result.warnings)
    assert not any("part of the data" in text for text in fedavg(tmp_path, "rounds: 2").warnings)


def test_a_dead_site_costs_a_deadline_per_round_until_it_is_pruned(tmp_path):
    """Round 0 ends at 44 s. Without c a round is 2 s of downloads, 40 s of training and 1 s of upload."""
    dead = "{at: 50 s, crash: c}"
    listed = closings(fedavg(tmp_path, f"rounds: 6, {PATIENT}", dead))
    assert [time for time, _, _ in listed] == [44, 244, 444, 644, 844, 1044]
    result = fedavg(tmp_path, f"rounds: 6, {PATIENT}, prune_after: 2", dead)
    assert [time for time, _, _ in closings(result)] == [44, 244, 444, 487, 530, 573]
    assert [(time, peer) for time, _, peer, _ in told(result, "pruned")] == [(444, "c")]


def test_a_pruned_site_is_asked_again_when_it_is_back(tmp_path):
    settings = "rounds: 12, round_deadline: 60 s, prune_after: 1"
    result = fedavg(tmp_path, settings, "{at: 50 s, disconnect: c, for: 300 s}")
    ((gone, *_),), ((back, *_),) = told(result, "pruned"), told(result, "readmitted")
    assert 50 < gone < 350 < back < 500
    assert closings(result)[-1][2] == "abc"


def test_more_are_asked_than_needed_and_the_first_count(tmp_path):
    result = fedavg(tmp_path, "rounds: 1, cohort: 0.67, over_selection: 1.5")
    assert closings(result) == [(35, "enough", "ac")]


@pytest.mark.parametrize(("policy", "sites"), [("discard", "ac"), ("accept", "abc")])
def test_late_updates_count_or_not(tmp_path, policy, sites):
    result = fedavg(tmp_path, f"rounds: 2, quorum: 2, grace: 1 s, late_updates: {policy}")
    assert closings(result)[1] == (72, "grace", sites)
    late = told(result, "aggregated")[1][3].get("late")
    assert late == (["b"] if policy == "accept" else None)


def test_a_sender_gives_up_and_tries_again_later_and_later(tmp_path):
    """C needs 2 s for an upload and gives up after 1.5 s, at 34.5, 40 and 49.5 s; 4 Mbit/s all the time."""
    sending = "sending: {timeout: 1.5 s, retries: 2, backoff: 4 s}"
    up = "server.link.up=64 Mbit/s"
    result = fedavg(tmp_path, f"rounds: 1, {PATIENT}, {sending}", "", up, "sites.*.link.down=64 Mbit/s")
    begin = 3 / 8 + 30
    tries = [row for row in result.ledger.rows("transfers") if row[2] == "c" and not row[6]]
    assert [(row[9], row[10], row[8]) for row in tries] == [
        (pytest.approx(begin + wait), pytest.approx(begin + wait + 1.5), pytest.approx(750_000, abs=1))
        for wait in (0, 5.5, 15)
    ]
    assert {row[12] for row in tries} == {"timed out"}
    assert [time for time, *_ in told(result, "update_lost")] == [pytest.approx(begin + 16.5, abs=1e-3)]
    assert closings(result) == [(200, "deadline", "ab")]


# -- the server is gone --------------------------------------------------------------------------------


def test_the_sites_elect_the_newest_state_and_go_on(tmp_path):
    """A hears of the server last at 58 s, for it began to wait then; all hold the state of round 1."""
    result = fedavg(tmp_path, f"rounds: 5, {PATIENT}, when_server_lost: elect", "{at: 60 s, crash: server}")
    ((time, node, leader, detail),) = told(result, "elected")
    assert (node, leader, detail) == ("a", "a", {"num_candidates": 3, "term": 1})
    assert time == pytest.approx(358, abs=0.01)
    kinds = Counter(row[4] for row in result.ledger.rows("transfers") if row[6] and row[9] > 350)
    assert (kinds["election"], kinds["candidate"]) == (2, 2)
    found = aggregations(result.world.trace.events)
    assert [one.node for one in found] == ["server", "a", "a", "a", "a"]
    assert {one.sites for one in found} == {("a", "b", "c")}
    assert Counter(seen.site for seen in result.world.trace.observations) == dict.fromkeys("abc", 5)


@pytest.mark.parametrize("name", ["fedavg", "scaffold, any_optimizer: true"])
def test_an_election_costs_time_but_not_the_model(tmp_path, name):
    """Trained for real: bit for bit the model of a run in which nothing happened, nothing trained twice."""
    settings = (
        f"name: {name}, rounds: 3, round_deadline: 100 s, server_patience: 200 s, when_server_lost: elect"
    )
    store = Store(tmp_path / "store")
    models = []
    for faults in ("", "{at: 15 s, crash: server}"):
        text = SCENARIO.partition("algorithm:")[0] + f"algorithm: {{{settings}}}\nfaults: [{faults}]\n"
        (tmp_path / "real.yaml").write_text(text, encoding="utf-8")
        point = load_study(str(tmp_path / "real.yaml")).points[0]
        executor = PoolExecutor(store, InlinePool(store, "cpu"))
        result = simulate(point.label, point.scenario, executor, "real")
        last = {seen.site: seen.model.key.removesuffix(MODEL) for seen in result.world.trace.observations}
        models.append({site: executor.value(key).arrays["model"] for site, key in last.items()})
        done = [(row[0], row[3]) for row in result.world.work if row[1].startswith("train")]
        assert len(done) == len(set(done)) == 9
        assert len(told(result, "elected")) == (faults != "")
    for site in "abc":
        np.testing.assert_array_equal(models[0][site], models[1][site])


def test_a_server_that_returns_is_told_that_another_leads(tmp_path):
    faults = "{at: 60 s, crash: server, for: 310 s}"
    result = fedavg(tmp_path, f"rounds: 8, {PATIENT}, when_server_lost: elect", faults)
    ((time, node, *_),) = told(result, "superseded")
    assert node == "server"
    assert 370 < time < 420
    assert [one.node for one in aggregations(result.world.trace.events)] == ["server", *["a"] * 7]


def test_a_leader_that_dies_has_a_successor_and_one_that_returns_goes_on(tmp_path):
    settings = f"rounds: 8, {PATIENT}, when_server_lost: elect, election_timeout: 10 s"
    faults = "{at: 60 s, crash: server}, {at: 380 s, crash: a%s}"
    for_good = fedavg(tmp_path, settings, faults % "")
    leaders = [one.node for one in aggregations(for_good.world.trace.events)]
    assert leaders == ["server", "a", *["b"] * 6]
    # b misses the leader while it is a candidate already: both elections have the same winner
    assert [(node, peer) for _, node, peer, _ in told(for_good, "elected")] == [
        ("a", "a"),
        ("c", "b"),
        ("b", "b"),
    ]
    back = fedavg(tmp_path, settings, faults % ", for: 20 s")
    assert [one.node for one in aggregations(back.world.trace.events)] == ["server", *["a"] * 7]
    assert told(back, "superseded") == []


def test_the_parts_of_a_divided_network_lead_themselves_and_one_leader_stays(tmp_path):
    settings = "rounds: 30, round_deadline: 60 s, server_patience: 100 s, when_server_lost: elect"
    faults = '{at: 60 s, crash: server}, {from: 60 s, to: 500 s, partition: "a b; c"}'
    result = fedavg(tmp_path, settings + ", election_timeout: 10 s", faults)
    found = aggregations(result.world.trace.events)
    assert {one.node for one in found if 100 < one.time_s < 500} == {"a", "c"}
    assert {one.node for one in found if one.time_s > 700} == {"a"}
    assert found[-1].sites == ("a", "b", "c")


ASYNCHRONOUS = "rounds: 6, site_timeout: 150 s, server_patience: 300 s, when_server_lost: elect"


@pytest.mark.parametrize(("name", "version"), [("fedasync", 6), ("fedbuff", 3)])
def test_an_asynchronous_server_has_a_successor(tmp_path, name, version):
    """A trains 10 s per round and has most rounds behind it. It waits from 61 s on, and leads from 361 s."""
    for faults in ("{at: 60 s, crash: server}", "{at: 60 s, crash: server, for: 400 s}"):
        result = run(tmp_path, f"algorithm: {{name: {name}, {ASYNCHRONOUS}}}\nfaults: [{faults}]\n")
        ((time, node, leader, _),) = told(result, "elected")
        assert (round(time), node, leader) == (361, "a", "a")
        assert [detail for *_, detail in told(result, "leads")] == [{"version": version}]
        taken = [(round(time), node, peer) for time, node, peer, _ in told(result, "absorbed") if time > 60]
        assert {node for _, node, _ in taken} == {"a"}
        assert taken[:2] == [(371, "a", "a"), (395, "a", "c")]  # its own report waits for nobody
        # of six reports each, five (a) and one (b, c) reached the server or were lost with it
        assert Counter(peer for *_, peer in taken) == {"a": 1, "b": 4, "c": 4}
        trained = Counter(row[0] for row in result.world.work if row[1].startswith("train"))
        assert trained == dict.fromkeys("abc", 6)
        # the server that returned at 460 s hears from b, who ends its round, that another leads
        back = [(round(time), node) for time, node, *_ in told(result, "superseded")]
        assert back == ([(488, "server")] if "for" in faults else [])
        assert result.virtual_time_s == pytest.approx(532, abs=0.01)


def test_an_asynchronous_leader_that_dies_has_a_successor_and_one_that_returns_goes_on(tmp_path):
    text = f"algorithm: {{name: fedasync, {ASYNCHRONOUS}, election_timeout: 10 s}}\n"
    faults = "faults: [{at: 60 s, crash: server}, {at: 480 s, crash: a%s}]\n"
    for_good = run(tmp_path, text + faults % "")
    assert [(node, peer) for _, node, peer, _ in told(for_good, "elected")][1:] == [("b", "c"), ("c", "c")]
    assert told(for_good, "absorbed")[-1][1:3] == ("c", "b")
    back = run(tmp_path, text + faults % ", for: 20 s")
    assert len(told(back, "elected")) == 1
    assert [(round(time), node) for time, node, *_ in told(back, "leads")] == [(361, "a"), (500, "a")]
    assert told(back, "absorbed")[-1][1:3] == ("a", "b")
    assert Counter(row[0] for row in back.world.work if row[1] == "train_prox") == dict.fromkeys("abc", 6)


def test_a_standby_that_is_behind_takes_no_report_for_fresher_than_fresh(tmp_path):
    """Replicas crawl to b: when the server dies, a has a version that its successor never had."""
    text = f"algorithm: {{name: fedasync, {ASYNCHRONOUS}}}\nfaults: [{{at: 55 s, crash: server}}]\n"
    slow = ("server.standby=b", "server.detect_after=1 s", "sites.b.link.down=1 Mbit/s")
    result = run(tmp_path, text, *slow)
    (taken,) = [
        detail for time, _, peer, detail in told(result, "absorbed") if 55 < time < 75 and peer == "a"
    ]
    assert taken["staleness"] == 0


def test_the_sites_go_on_by_gossip(tmp_path):
    result = fedavg(tmp_path, f"rounds: 12, {PATIENT}, when_server_lost: gossip", "{at: 60 s, crash: server}")
    assert Counter(seen.site for seen in result.world.trace.observations) == dict.fromkeys("abc", 12)
    after = [row for row in result.ledger.rows("transfers") if row[4] == "model" and not row[6]]
    assert after
    assert {(row[2], row[3]) for row in after} <= {(x, y) for x in "abc" for y in "abc"}
    assert "mix" in {row[1] for row in result.world.work}


# -- newcomers and silent peers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "start", "nbytes"),
    [
        ("dpsgd, newcomer: first-model", "first-model", 1_000_000),
        ("sgp, newcomer: first-model", "first-model", 1_000_000),
        ("proxyfl, newcomer: first-model", "first-model", 1_000_000),
        ("dpsgd, newcomer: own-warm-up", "own-warm-up", 0),
        ("gcml, newcomer: initial", "initial", 0),
        ("gcml, newcomer: own-warm-up", "own-warm-up", 0),
        ("swarm, quorum: 2, grace: 1 s", "first-model", 1_000_000),
        ("fedavg", "server", 1_000_000),
        ("fedasync", "server", 1_000_000),
    ],
)
def test_what_a_newcomer_begins_with_is_charged_and_told(tmp_path, algorithm, start, nbytes):
    result = run(tmp_path, f"algorithm: {{name: {algorithm}, rounds: 8}}\nfaults: [{{at: 90 s, join: c}}]\n")
    (found,) = newcomers(result.world.trace.events, result.ledger.rows("transfers"))
    assert (found.site, found.start, found.nbytes) == ("c", start, nbytes)
    size = "1 MB" if nbytes else "0 B"
    assert any(re.fullmatch(rf"c began after .* min with {start}: {size}", text) for text in result.warnings)


def test_a_newcomer_is_charged_for_the_model_of_a_server_that_moved(tmp_path):
    text = "algorithm: {name: fedavg, rounds: 8, round_deadline: 60 s}\n"
    faults = "faults: [{at: 20 s, crash: server}, {at: 200 s, join: c}]\n"
    result = run(tmp_path, text + faults, "server.standby=a", "server.detect_after=10 s")
    (found,) = newcomers(result.world.trace.events, result.ledger.rows("transfers"))
    assert (found.giver, found.nbytes) == ("server@a", 1_000_000)


RING = {"a": "be", "b": "ac", "c": "bd", "d": "ce", "e": "ad"}


def test_an_overlay_is_mended_around_those_who_are_gone():
    ring = {name: tuple(peers) for name, peers in RING.items()}
    assert mended(ring, {"c"}, ring=True) == {
        "a": ("b", "e"),
        "b": ("a", "d"),
        "d": ("b", "e"),
        "e": ("a", "d"),
    }
    assert mended(ring, {"c"}, ring=False)["b"] == ("a",)
    assert mended(ring, set(), ring=True) == {name: tuple(sorted(peers)) for name, peers in ring.items()}


def five_on_a_ring(tmp_path, settings, faults):
    site = "  - {{name: {}, seconds_per_item: 1 s, link: {{up: 8 Mbit/s, down: 8 Mbit/s, latency: 0 ms}}, "
    site += "data: {{train: 10, val: 2, test: 3}}}}\n"
    sites = "sites:\n" + "".join(site.format(name) for name in RING)
    text = f"algorithm: {{name: dpsgd, order: adapt_then_combine, {settings}}}\nfaults: [{faults}]\n"
    return run(tmp_path, text, "network.overlay={kind: ring}", sites=sites)


def test_neighbors_of_a_dead_site_find_each_other_and_take_it_back(tmp_path):
    settings = "rounds: 12, prune_after: 2, overlay_repair: ring"
    result = five_on_a_ring(tmp_path, settings, "{at: 25 s, crash: c, for: 60 s}")
    assert {(node, peer) for _, node, peer, _ in told(result, "pruned")} == {("b", "c"), ("d", "c")}
    assert {(node, peer) for _, node, peer, _ in told(result, "readmitted")} == {("b", "c"), ("d", "c")}
    bridged = [
        row for row in result.ledger.rows("transfers") if {row[2], row[3]} == {"b", "d"} and not row[6]
    ]
    assert bridged
    assert {row[11] for row in bridged} == {"delivered"}
    assert result.virtual_time_s < 300  # nobody waited an hour for anybody
    plain = five_on_a_ring(tmp_path, "rounds: 12", "{at: 25 s, crash: c, for: 60 s}")
    assert not [row for row in plain.ledger.rows("transfers") if {row[2], row[3]} == {"b", "d"}]


# -- what makes no sense --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        ("fedavg, rounds: 2, quorum: 4", "quorum: 4 is not between 1 and the 3 site"),
        ("fedavg, rounds: 2, quorum: n-3", "quorum: n-3 is not between 1 and the 3 site"),
        ("fedavg, rounds: 2, quorum: 101 %", "quorum: 101 % is not between"),
        ("fedavg, rounds: 2, quorum: most", '"most" is no quorum; write a number of sites, n, n-1 or 60 %'),
        ("fedavg, rounds: 2, quorum: 0", "a quorum of 0 needs nobody"),
        ("fedavg, rounds: 2, cohort: 0", "algorithm.cohort: 0 must be above 0"),
        ("fedavg, rounds: 2, over_selection: 0.9", "over_selection"),
        ("fedavg, rounds: 2, over_selection: 1.3", "all sites are in the cohort"),
        ("fedavg, rounds: 2, prune_after: 0", "prune_after"),
        ("fedavg, rounds: 2, site_grace: {d: 1 min}", "site_grace: no site d takes part; there are a, b, c"),
        ("fedavg, rounds: 2, site_grace: {c: 2 h}", r"must exceed round_deadline and site_grace \(10800 s\)"),
        ("fedavg, rounds: 2, election_timeout: 9 s", "nobody is elected; write when_server_lost: elect"),
        ("fedavg, rounds: 2, sending: {backoff: 9 s}", "nothing is sent again; write retries"),
        ("ditto, rounds: 2, when_server_lost: gossip", "when_server_lost"),
        ("fedsm, rounds: 2, when_server_lost: elect", "when_server_lost"),
        ("hierarchical-fedavg, rounds: 2, prune_after: 1", "a silent edge has an heir"),
        ("dpsgd, rounds: 2, overlay_repair: ring", "nobody is ever left out; write prune_after"),
        ("swarm, rounds: 2, quorum: n-3", "quorum: n-3 is not between"),
    ],
)
def test_policies_that_make_no_sense_are_refused(tmp_path, algorithm, message):
    with pytest.raises(ScenarioError, match=message):
        run(tmp_path, f"algorithm: {{name: {algorithm}}}\n")


def test_skipped_cases_are_told_with_the_first_reason():
    assert unusable([]) == []
    rows = [("east", "p0", "no mask"), ("west", "p3", "NaN")]
    assert unusable(rows) == ["2 case(s) skipped, the first p0 of east: no mask; the report lists them"]

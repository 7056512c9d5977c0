"""Sites with networks of their own: what they cost, who may mix them, where errors point to."""

import pytest

from simulator.errors import ScenarioError
from simulator.indexing import index_sites, objection, site_data
from tests.support import SITES, run, study

SMALL = "{name: declared, num_parameters: 24990, num_buffers: 2, num_counters: 3, forward_flop: 1.0e8}"
MIXED = SITES.replace("data: {train: 10,", f"network: {SMALL}\n    data: {{train: 10,")
GCML = "algorithm: {name: gcml, rounds: 6, warmup_epochs: 1, merge: keep_local}\n"
SPEED = {"a": 3e8, "b": 1.5e9, "c": 3e9}  # from the seconds per item of the own network


def test_time_follows_the_networks_of_both_models(tmp_path):
    result = run(tmp_path, GCML, sites=MIXED)
    work = result.world.work
    assert {row[0]: row[5] for row in work if row[1] == "train" and row[4] == 0.0} == {
        "a": 10.0, "b": 40.0, "c": 30.0,
    }  # fmt: skip
    stages = [row for row in work if row[1] == "mutual"]
    assert {row[0] for row in stages} == {"a", "b", "c"}
    for node, _, _, _, start, end, _, flop, extra, _ in stages:
        assert end - start == pytest.approx(flop / SPEED[node])
        if node == "a":  # 10 items and 2 validation cases; what comes in is always the large network
            assert flop == pytest.approx((3 * 10 + 2) * 1e8 + (3 * 10 + 2) * 1e9)
            assert extra == pytest.approx(3 * 10 * 1e9)


def test_bytes_follow_the_network_of_the_model(tmp_path):
    sent = run(tmp_path, GCML, sites=MIXED).ledger.rows("transfers")
    sizes = {(row[2], row[7]) for row in sent}
    whole = 1_000_000
    small = 4 * 24_992 + 8 * 3
    assert {nbytes for src, nbytes in sizes if src != "a"} == {whole}
    (of_a,) = {nbytes for src, nbytes in sizes if src == "a"}
    assert small < of_a < small + 100, "plus the header"


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        ("{name: fedavg, rounds: 1}", "sites.0.network: under fedavg all models have the same parameters"),
        ("{name: gossip-averaging, rounds: 1}", "sites.0.network: under gossip-averaging"),
        ("{name: gcml, rounds: 1}", "algorithm.merge: val_weighted joins the parameters of two models"),
        ("{name: gcml, rounds: 1, merge: keep_incoming}", "algorithm.merge: keep_incoming joins"),
        ("{name: defkt, rounds: 1, optimizer_after_merge: keep}", "algorithm.optimizer_after_merge: keep"),
        ("{name: dml, rounds: 1}", "algorithm.num_networks: 2 networks of the common"),
        ("{name: avgpush, rounds: 1}", "sites.0.network: under avgpush"),
    ],
)
def test_methods_that_join_parameters_refuse_different_networks(tmp_path, algorithm, reason):
    text = f"algorithm: {algorithm}\n"
    with pytest.raises(ScenarioError, match="^" + reason):
        run(tmp_path, text, sites=MIXED)
    run(tmp_path, text)


@pytest.mark.parametrize("kind", ["noise", "label-flip"])
def test_what_works_on_updates_refuses_different_networks(tmp_path, kind):
    rogue = MIXED.replace("data: {train: 10,", f"rogue: {{kind: {kind}}}\n    data: {{train: 10,")
    if kind == "label-flip":
        run(tmp_path, GCML, sites=rogue)
        return
    with pytest.raises(ScenarioError, match=r"^sites\.0\.rogue\.kind: noise works on an update"):
        run(tmp_path, GCML, sites=rogue)
    with pytest.raises(ScenarioError, match=r"^privacy: works on an update"):
        run(tmp_path, GCML + "privacy: {clip: 1.0, noise: 1.0, delta: 1.0e-5}\n", sites=MIXED)


def test_the_servers_network_counts_too(tmp_path):
    """All sites have one network, but the server has the task's."""
    everywhere = SITES.replace("data: {", f"network: {SMALL}\n    data: {{")
    run(tmp_path, "algorithm: {name: gossip-averaging, rounds: 1}\n", sites=everywhere)
    with pytest.raises(ScenarioError, match="under fedavg"):
        run(tmp_path, "algorithm: {name: fedavg, rounds: 1}\n", sites=everywhere)


def test_time_of_a_proxy_and_a_private_model_is_that_of_both_networks(tmp_path):
    result = run(tmp_path, "algorithm: {name: proxyfl, rounds: 2}\n", sites=MIXED)
    both = [row for row in result.world.work if row[1] == "mutual_epochs" and row[0] == "a"]
    assert len(both) == 2
    for _, _, _, _, start, end, _, flop, extra, _ in both:
        assert flop == pytest.approx(3 * 10 * (1e9 + 1e8)), "the proxy's and the private model's"
        assert extra == pytest.approx(3 * 10 * 1e8)
        assert end - start == pytest.approx(flop / SPEED["a"])


def test_time_of_a_kept_model_is_that_of_its_network(tmp_path):
    result = run(tmp_path, "algorithm: {name: defkt, rounds: 24}\n", sites=MIXED)
    trained = {row[7] for row in result.world.work if row[0] == "a" and row[1] == "train"}
    assert trained == {3 * 10 * 1e8, 3 * 10 * 1e9}, "first its own, later one that came"


def test_a_newcomer_goes_on_with_the_network_it_adopted(tmp_path):
    faults = "faults: [{at: 5 s, join: a}]\n"
    text = GCML.replace(
        "merge: keep_local", "merge: keep_local, newcomer: first-model, schedule: async, pushes_per_round: 3"
    )
    result = run(tmp_path, text + faults, sites=MIXED)
    adopted = [row for row in result.world.trace.events if row[3] == "newcomer" and row[5]]
    assert adopted
    of_a = [row for row in result.world.work if row[0] == "a" and row[1] == "train"]
    assert of_a
    assert all(row[5] - row[4] == pytest.approx(100.0) for row in of_a), "ten times the own network's time"


def test_errors_point_to_the_sites_network(tmp_path):
    typo = SITES.replace("data: {train: 10,", "network: {name: unett}\n    data: {train: 10,")
    with pytest.raises(ScenarioError, match=r"sites\.0\.network.*unett"):
        study(tmp_path, GCML, sites=typo)
    deep = "{name: unet, channels: [4, 4, 4, 4, 4, 4]}"
    point = study(tmp_path, GCML, sites=MIXED.replace(SMALL, deep)).points[0]
    scenario = point.scenario
    with pytest.raises(ScenarioError, match=r"^sites\.0\.network\.channels: items of 32x32 shrink"):
        objection(scenario, site_data(scenario, index_sites(scenario)))


def test_all_heads_want_a_network_that_has_them_and_equal_ones(tmp_path):
    text = "algorithm: {name: gml, rounds: 1, merge: keep_local, heads: all}\n"
    with pytest.raises(ScenarioError, match=r"^algorithm\.heads: all needs a network with auxiliary heads"):
        run(tmp_path, text)
    several = ("task.network={name: sanet, width: 4, blocks: [1, 1]}", "task.loss=jaccard_focal")
    run(tmp_path, text, *several)
    with pytest.raises(ScenarioError, match=r"^algorithm\.heads: all needs"):
        run(tmp_path, text, several[0])
    with pytest.raises(ScenarioError, match=r"^algorithm\.heads: all pairs equal heads"):
        run(tmp_path, text, *several, sites=MIXED)

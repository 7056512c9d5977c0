"""What the protocols do to values in time: sums that are conserved, and equalities bit for bit."""

from itertools import pairwise

import numpy as np
import pytest

from tests.algorithms.vectors_in_time import run_vectors

LINE = "{up: 8 Mbit/s, down: 8 Mbit/s, latency: 5 ms}"
SITES = (
    "\nsites:\n"
    + "".join(
        f"  - {{name: s{i}, seconds_per_item: {i + 1} s, link: {LINE}, "
        f"data: {{train: {10 + 3 * i}, val: 2, test: 3}}}}\n"
        for i in range(6)
    )
    + f"server: {{speed: 1 TFLOP/s, link: {LINE}}}\n"
)
IMPATIENT = ("network.transport.stall_timeout=2 s", "network.transport.retries=0")
OUTAGES = (
    "faults: ["
    + ", ".join(f"{{at: {45 * k} s, for: 8 s, disconnect: s{1 + 3 * (k % 2)}}}" for k in range(1, 40))
    + "]\n"
)
"""Over long before the end: a share that comes after its receiver's last round is taken in by nobody."""


def initial_mean(executor, result):
    inits = [executor.values[row[2]].arrays["model"] for row in result.world.work if row[1] == "init"]
    assert len(inits) == 6
    return np.mean(inits, axis=0)


CONSERVING = [
    "{name: dpsgd, rounds: 40}",
    "{name: dpsgd, rounds: 40, order: combine_then_adapt}",
    "{name: dpsgd, rounds: 40, order: adapt_then_combine}",
    "{name: gossip-averaging, rounds: 60, form: exchange}",
    "{name: adpsgd, rounds: 300}",  # whoever has done its rounds exchanges no more, and some are 15 x as fast
]
ON_OVERLAYS_OF_THEIR_OWN = [
    "{name: avgpush, rounds: 40, mix: push_sum}",
    "{name: sgp, rounds: 40, out_degree: 2}",
    "{name: epidemic, rounds: 40, draw: oracle}",
]


@pytest.mark.parametrize(
    ("algorithm", "overlay"),
    [(one, overlay) for one in CONSERVING for overlay in ("complete", "ring")]
    + [(one, "complete") for one in ON_OVERLAYS_OF_THEIR_OWN],
)
def test_without_training_all_agree_on_the_mean_of_what_they_had(tmp_path, algorithm, overlay):
    text = f"algorithm: {algorithm}\n"
    result, last, executor = run_vectors(tmp_path, text, f"network.overlay={overlay}", sites=SITES)
    mean = initial_mean(executor, result)
    np.testing.assert_allclose(np.mean(list(last.values()), axis=0), mean, atol=1e-9)
    spread = max(np.abs(x - mean).max() for x in last.values())
    assert spread < 1e-3


def test_push_without_exchange_does_not_conserve_the_mean(tmp_path):
    result, last, executor = run_vectors(
        tmp_path, "algorithm: {name: gossip-averaging, rounds: 40}\n", sites=SITES
    )
    assert np.abs(np.mean(list(last.values()), axis=0) - initial_mean(executor, result)).max() > 1e-3


def mass(result, executor):
    """Σ weight·z over the sites, and Σ weight."""
    states = [result.world.nodes[f"s{i}"].durable["round"][1] for i in range(6)]
    total = sum(weight for _, weight in states)
    return sum(weight * executor.value(ref.key).arrays["model"] for ref, weight in states), total


@pytest.mark.parametrize("overlay", ["{kind: star, hub: s2}", "ring", "complete"])
@pytest.mark.parametrize("faults", ["", OUTAGES])
def test_push_sum_loses_no_mass_on_any_overlay_even_when_transfers_fail(tmp_path, overlay, faults):
    text = f"algorithm: {{name: sgp, rounds: 40, overlay: given, peer_timeout: 10 min}}\n{faults}"
    result, last, executor = run_vectors(
        tmp_path, text, *IMPATIENT, f"network.overlay={overlay}", sites=SITES
    )
    failed = [row for row in result.world.trace.events if row[3] == "send_failed"]
    assert bool(failed) == bool(faults)
    total, weight = mass(result, executor)
    assert weight == pytest.approx(6, abs=1e-9)
    np.testing.assert_allclose(total / 6, initial_mean(executor, result), atol=1e-9)
    if not faults:
        np.testing.assert_allclose(last["s0"], total / 6, atol=0.05)


def test_an_exchange_whose_answer_is_lost_is_half_an_exchange_and_recorded(tmp_path):
    text = "algorithm: {name: adpsgd, rounds: 40, exchange_timeout: 30 s}\n" + OUTAGES
    result, _, _ = run_vectors(tmp_path, text, *IMPATIENT, sites=SITES)
    events = [row[3] for row in result.world.trace.events]
    assert "no_answer" in events
    assert result.end_reason == "all protocols ended"


@pytest.mark.parametrize("average", ["uniform", "cases", "age"])
def test_the_older_model_weighs_more_in_an_average_by_age(tmp_path, average):
    text = f"algorithm: {{name: gossip-averaging, rounds: 30, average: {average}, schedule: async}}\n"
    _, _, executor = run_vectors(tmp_path, text, sites=SITES)
    mixes = [value for value in executor.values.values() if len(value.meta.get("weights", ())) == 2]
    weights = [value.meta["weights"] for value in mixes]
    assert weights
    assert all(sum(pair) == pytest.approx(1) for pair in weights)
    assert all(pair == [0.5, 0.5] for pair in weights) == (average == "uniform")
    if average == "age":  # sites differ in speed, so a slow receiver meets an older model
        assert min(own for own, _ in weights) < 0.4


@pytest.mark.parametrize("more", ["", ", optimizer_state: persistent"])
def test_a_swarm_whose_sites_are_all_up_is_fedavg_bit_for_bit(tmp_path, more):
    _, swarm, _ = run_vectors(
        tmp_path, f"algorithm: {{name: swarm, rounds: 7{more}}}\n", sites=SITES, step=0.1
    )
    _, fedavg, _ = run_vectors(
        tmp_path, f"algorithm: {{name: fedavg, rounds: 7{more}}}\n", sites=SITES, step=0.1
    )
    assert sorted(swarm) == sorted(fedavg)
    for name in swarm:
        np.testing.assert_array_equal(swarm[name], fedavg[name])


def test_one_region_or_edges_that_average_once_are_fedavg(tmp_path):
    fedavg = "{name: fedavg, rounds: 5}"
    flat = "{name: hierarchical-fedavg, rounds: 5, edge_rounds: 1, num_regions: 1}"
    deep = "{name: hierarchical-fedavg, rounds: 5, edge_rounds: 1, num_regions: 3}"
    models = [
        run_vectors(tmp_path, f"algorithm: {algorithm}\n", sites=SITES, step=0.1)[1]["s3"]
        for algorithm in (fedavg, flat, deep)
    ]
    np.testing.assert_array_equal(models[0], models[1])
    np.testing.assert_allclose(models[0], models[2], rtol=1e-12)


@pytest.mark.parametrize("order", ["fixed", "shuffled", "shuffled_no_repeat"])
def test_a_cycle_visits_everyone_and_all_end_with_one_model(tmp_path, order):
    text = f"algorithm: {{name: cyclic, rounds: 5, order: {order}}}\n"
    result, last, _ = run_vectors(tmp_path, text, sites=SITES, step=0.1)
    rows = [row for row in result.world.work if row[1] == "train"]
    for cycle in range(5):
        assert sorted(row[0] for row in rows[6 * cycle : 6 * cycle + 6]) == [f"s{i}" for i in range(6)]
    visits = [row[0] for row in rows]
    repeats = sum(one == two for one, two in pairwise(visits))
    assert repeats == 0 or order == "shuffled"
    assert all(np.array_equal(x, last["s0"]) for x in last.values())

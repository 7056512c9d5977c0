"""Rounds of whole runs against the formulas of the papers, written out in numpy.

Six sites begin alike; local epochs add a vector that depends on site and epoch alone. Who sent to whom in a
round is read from the transfers, so that draws are those of the run.
"""

import json
from collections import Counter

import numpy as np
import pytest

from tests.algorithms.test_conservation import SITES
from tests.algorithms.vectors_in_time import drawn, run_vectors

NAMES = [f"s{i}" for i in range(6)]
CASES = {name: 10 + 3 * i for i, name in enumerate(NAMES)}
STEP = 0.1


def gain(site, epoch):
    return STEP * drawn(f"{site} {epoch}")


def play(tmp_path, algorithm, rounds, *overrides):
    """Run it; return the first models, the last ones, and senders by receiver and round."""
    text = f"algorithm: {algorithm}\n"
    result, last, executor = run_vectors(tmp_path, text, *overrides, sites=SITES, step=STEP)
    firsts = [executor.values[row[2]].arrays["model"] for row in result.world.work if row[1] == "init"]
    came = [{name: [] for name in NAMES} for _ in range(rounds)]
    for row in result.ledger.rows("transfers"):
        if row[4] == "model" and row[5] is not None and not row[6] and row[3] in NAMES:
            came[row[5]][row[3]].append(row[2])
    return dict.fromkeys(NAMES, firsts[0]), last, came


def agree(last, expected):
    assert sorted(last) == NAMES
    for name in NAMES:
        np.testing.assert_allclose(last[name], expected[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("average", ["uniform", "cases"])
def test_a_receiver_averages_and_trains_while_its_sender_keeps_its_model(tmp_path, average):
    x, last, came = play(tmp_path, f"{{name: gossip-averaging, rounds: 4, average: {average}}}", 4)
    for t, senders in enumerate(came):
        assert sum(map(len, senders.values())) == 3
        before, x = x, {}
        for name in NAMES:
            model, size = before[name], CASES[name] if average == "cases" else 1
            for other in senders[name]:
                more = CASES[other] if average == "cases" else 1
                model = (size * model + more * before[other]) / (size + more)
            x[name] = model + gain(name, t)
    agree(last, x)


@pytest.mark.parametrize("draw", ["local", "oracle"])
def test_epidemic_learning_trains_and_takes_the_plain_mean_of_all_that_came(tmp_path, draw):
    x, last, came = play(tmp_path, f"{{name: epidemic, rounds: 4, draw: {draw}}}", 4)
    for t, senders in enumerate(came):
        assert sum(map(len, senders.values())) == 6 * 3, "⌈log2 6⌉ peers each"
        trained = {name: x[name] + gain(name, t) for name in NAMES}
        x = {name: np.mean([trained[one] for one in [name, *senders[name]]], axis=0) for name in NAMES}
    agree(last, x)


@pytest.mark.parametrize("order", ["adapt_local", "adapt_then_combine"])
def test_dpsgd_by_the_matrix_of_metropolis(tmp_path, order):
    """On a star the hub has degree 5, the others 1: every link weighs 1/6."""
    text = f"{{name: dpsgd, rounds: 4, order: {order}}}"
    x, last, _ = play(tmp_path, text, 4, "network.overlay={kind: star, hub: s2}")
    weights = np.eye(6) * 5 / 6
    weights[2, :] = weights[:, 2] = 1 / 6
    models = np.stack([x[name] for name in NAMES])
    for t in range(4):
        gains = np.stack([gain(name, t) for name in NAMES])
        models = weights @ models + gains if order == "adapt_local" else weights @ (models + gains)
    agree(last, dict(zip(NAMES, models, strict=True)))


@pytest.mark.parametrize("algorithm", ["{name: sgp, rounds: 5}", "{name: avgpush, rounds: 5, mix: push_sum}"])
def test_push_sum_on_the_exponential_overlay(tmp_path, algorithm):
    """Everybody sends to one and hears from one, so the weights stay 1: halves of both models."""
    x, last, _ = play(tmp_path, algorithm, 5)
    for t in range(5):
        trained = [x[name] + gain(name, t) for name in NAMES]
        hop = 2 ** (t % 3)
        x = {name: (trained[i] + trained[(i - hop) % 6]) / 2 for i, name in enumerate(NAMES)}
    agree(last, x)


def test_sgp_on_a_star_divides_mass_by_weight(tmp_path):
    """Column-stochastic P: the hub keeps 1/6 and gives 1/6 to each, the others keep and give halves. The step
    is taken on x = ωz.
    """
    x, last, _ = play(
        tmp_path, "{name: sgp, rounds: 5, overlay: given}", 5, "network.overlay={kind: star, hub: s2}"
    )
    push = np.eye(6) / 2
    push[2, :], push[:, 2] = 1 / 2, 1 / 6
    mass, weight = np.stack([x[name] for name in NAMES]), np.ones(6)
    for t in range(5):
        mass = push @ (mass + np.stack([gain(name, t) for name in NAMES]))
        weight = push @ weight
    assert weight.max() > 2
    agree(last, dict(zip(NAMES, mass / weight[:, None], strict=True)))


def test_avgpush_hands_models_on(tmp_path):
    x, last, _ = play(tmp_path, "{name: avgpush, rounds: 5}", 5)
    for t in range(5):
        trained = [x[name] + gain(name, t) for name in NAMES]
        x = {name: trained[(i - 2 ** (t % 3)) % 6] for i, name in enumerate(NAMES)}
    agree(last, x)


def test_unlike_regions_are_averaged_by_the_cases_in_them(tmp_path):
    regions = [NAMES[:2], NAMES[2:]]
    listed = ", ".join(f"{{sites: [{', '.join(names)}]}}" for names in regions)
    text = f"{{name: hierarchical-fedavg, rounds: 3, edge_rounds: 2, regions: [{listed}]}}"
    x, last, _ = play(tmp_path, text, 3)
    model = x["s0"]
    for t in range(3):
        means = []
        for names in regions:
            own, total = model, sum(CASES[name] for name in names)
            for turn in (2 * t, 2 * t + 1):
                own = sum(CASES[name] / total * (own + gain(name, turn)) for name in names)
            means.append(total * own)
        model = sum(means) / sum(CASES.values())
    agree(last, dict.fromkeys(NAMES, model))


@pytest.mark.parametrize(("name", "second"), [("fedadam", "adam"), ("fedyogi", "yogi")])
def test_adaptive_servers_step_by_the_mean_update(tmp_path, name, second):
    x, last, _ = play(
        tmp_path, f"{{name: {name}, rounds: 4, server_lr: 0.1, beta1: 0.9, beta2: 0.8, tau: 0.01}}", 4
    )
    model = x["s0"]
    m, v = np.zeros(5), np.full(5, 0.01**2)
    for t in range(4):
        delta = sum(CASES[site] * gain(site, t) for site in NAMES) / sum(CASES.values())
        m = 0.9 * m + 0.1 * delta
        v = 0.8 * v + 0.2 * delta**2 if second == "adam" else v - 0.2 * delta**2 * np.sign(v - delta**2)
        model = model + 0.1 * m / (np.sqrt(v) + 0.01)
    agree(last, dict.fromkeys(NAMES, model))


def arrivals(result):
    """Who reported, and how stale that was, in order."""
    rows = [row for row in result.world.trace.events if row[3] == "absorbed"]
    return [(row[5], int(json.loads(row[6])["staleness"])) for row in rows]


ASYNCHRONOUS = [
    "{name: fedasync, rounds: 3, a: 0.7, rho: 0.0}",
    "{name: fedbuff, rounds: 4, buffer: 2, server_lr: 0.5}",
]


@pytest.mark.parametrize("algorithm", ASYNCHRONOUS)
def test_asynchronous_servers_by_the_staleness_of_each_report(tmp_path, algorithm):
    result, last, executor = run_vectors(tmp_path, f"algorithm: {algorithm}\n", sites=SITES, step=STEP)
    versions = [executor.values[row[2]].arrays["model"] for row in result.world.work if row[1] == "init"][:1]
    buffer, done = [], Counter()
    for site, stale in arrivals(result):
        received = versions[-1 - stale]
        trained = received + gain(site, done[site])
        done[site] += 1
        if "fedasync" in algorithm:
            share = 0.6 * (1 + stale) ** -0.7
            versions.append((1 - share) * versions[-1] + share * trained)
            continue
        buffer.append((received - trained) / np.sqrt(1 + stale))
        if len(buffer) == 2:
            versions.append(versions[-1] - 0.5 / 2 * sum(buffer))
            buffer = []
    assert max(stale for _, stale in arrivals(result)) > 1
    assert set(done.values()) == {3 if "fedasync" in algorithm else 4}
    agree(last, dict.fromkeys(NAMES, versions[-1]))

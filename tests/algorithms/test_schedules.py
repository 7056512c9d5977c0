"""The draw of pairs and the traffic of the schedules, against the specification's numbers."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from algorithms.schedules import draw_pairs
from simulator.rng import stream
from tests.support import run

BRATS = [32, 15, 23, 7, 9, 21, 22, 23]
PANSEG = [113, 106, 21, 12, 17]
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "gcml_communication.json").read_text())


def complete(names):
    return {name: [other for other in names if other != name] for name in names}


def weights(cases):
    return {f"site{i + 1}": float(count) for i, count in enumerate(cases)}


@pytest.mark.parametrize("num_sites", [2, 3, 5, 8])
def test_pairs_are_disjoint_and_as_many_as_fit(num_sites):
    table = weights([10] * num_sites)
    for round_ in range(50):
        pairs = draw_pairs(stream(1, "pairs", round_), table, complete(table))
        involved = [*pairs, *pairs.values()]
        assert len(pairs) == num_sites // 2
        assert len(set(involved)) == len(involved)


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        (BRATS, [0.28, 0.56, 0.40, 0.77, 0.72, 0.44, 0.42, 0.41]),
        (PANSEG, [0.15, 0.16, 0.54, 0.59, 0.56]),
    ],
)
def test_large_sites_mostly_send_and_small_sites_mostly_receive(cases, expected):
    # long-run shares of receiving rounds, gcml.md section 3.3; 6,000 rounds: standard error 0.0065
    table = weights(cases)
    received = Counter()
    for round_ in range(6000):
        received.update(draw_pairs(stream(3, "pairs", round_), table, complete(table)).values())
    shares = [received[name] / 6000 for name in sorted(table)]
    assert shares == pytest.approx(expected, abs=0.025)


def test_the_order_in_which_sites_are_listed_does_not_matter():
    table = weights(BRATS)
    shuffled = dict(reversed(table.items()))
    for round_ in range(20):
        assert draw_pairs(stream(1, "p", round_), table, complete(table)) == draw_pairs(
            stream(1, "p", round_), shuffled, complete(table)
        )


def test_on_a_sparse_overlay_pairs_stay_on_its_edges():
    table = weights([1] * 6)
    names = sorted(table)
    ring = {name: [names[i - 1], names[(i + 1) % 6]] for i, name in enumerate(names)}
    for round_ in range(50):
        pairs = draw_pairs(np.random.default_rng(round_), table, ring)
        assert all(receiver in ring[sender] for sender, receiver in pairs.items())


def sites_of(cases):
    line = "{up: 100 Mbit/s, down: 100 Mbit/s, latency: 1 ms}"
    items = "\n".join(
        f"  - {{name: site{i + 1}, seconds_per_item: 1 s, link: {line}, "
        f"data: {{train: {count}, val: 2, test: 3}}}}"
        for i, count in enumerate(cases)
    )
    return f"\nsites:\n{items}\nserver: {{speed: 1 TFLOP/s, link: {line}}}\n"


@pytest.mark.parametrize("num_sites", [2, 3, 4, 5, 6, 7, 8])
def test_transmissions_per_round_equal_the_published_ratios(tmp_path, num_sites):
    per_round = VECTORS["expected"]["per_round"][str(num_sites)]
    rounds = 4
    counts = {}
    for name in ("gcml", "gossip-averaging", "fedavg"):
        text = f"algorithm: {{name: {name}, rounds: {rounds}}}\n"
        result = run(tmp_path, text, sites=sites_of([10] * num_sites))
        rows = result.ledger.rows("transfers")
        counts[name] = sum(1 for row in rows if not row[6] and row[5] is not None and row[5] < rounds)
    assert counts["gcml"] == counts["gossip-averaging"] == rounds * per_round["gossip_pairs"]
    assert counts["fedavg"] == rounds * per_round["fedavg"]


def test_bernoulli_sends_at_most_as_often_as_pairs_on_average(tmp_path):
    rounds = 60
    text = f"algorithm: {{name: gcml, rounds: {rounds}, schedule: bernoulli}}\n"
    result = run(tmp_path, text, sites=sites_of(BRATS))
    models = [row for row in result.ledger.rows("transfers") if not row[6]]
    events = Counter(row[3] for row in result.world.trace.events)
    # K = 4 expected senders per round, fewer where all peers refuse or the site itself receives
    assert 1.0 * rounds < len(models) < 4.5 * rounds
    assert events["refused"] > 0
    assert result.end_reason == "all protocols ended"


def test_async_pushes_as_often_as_expected_and_records_staleness(tmp_path):
    rounds = 100
    text = f"algorithm: {{name: gcml, rounds: {rounds}, schedule: async}}\n"
    result = run(tmp_path, text, sites=sites_of(BRATS))
    models = [row for row in result.ledger.rows("transfers") if not row[6]]
    # expected 4 per 8 site-rounds: 400, standard deviation about 14
    assert len(models) == pytest.approx(4 * rounds, abs=60)
    events = Counter(row[3] for row in result.world.trace.events)
    assert events["staleness"] > 0.5 * len(models)

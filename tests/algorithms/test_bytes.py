"""Bytes per round of every method, without faults: what its paragraph in docs/algorithms.md says."""

import pytest

from simulator.registry import registry
from tests.support import run

N, REGIONS, EDGE_ROUNDS = 5, 2, 2
MODEL, HEAD, NORM = 1_000_000, 4 * 50_000, 4 * 2_000  # bytes of the tiny scenario's network and its parts
SELECTOR = 4 * (16 * 16 * 1 * N + N)  # the linear one, on one channel
SITES = "sites:" + "".join(
    f"\n  - {{name: s{i}, seconds_per_item: 1 s, data: {{train: 8, val: 2, test: 2}},"
    " link: {up: 8 Mbit/s, down: 8 Mbit/s, latency: 0 ms}}"
    for i in range(N)
)
SITES += "\nserver: {speed: 1 TFLOP/s, link: {up: 1 Gbit/s, down: 1 Gbit/s, latency: 0 ms}}\n"
UP_AND_DOWN = ["fedavg", "fedprox", "fedadam", "fedyogi", "ditto", "apfl", "moon", "fml", "fedgs"]
PER_ROUND = {
    **dict.fromkeys(["local", "pooled", "dml"], 0),
    **dict.fromkeys([*UP_AND_DOWN, "fedasync", "fedbuff"], 2 * N * MODEL),
    "fedbn": 2 * N * (MODEL - NORM),
    "fedrep": 2 * N * (MODEL - HEAD),
    "scaffold, any_optimizer: true": 4 * N * MODEL,
    "fedsm, selector: linear": N * (4 * MODEL + 6 * SELECTOR),
    "hierarchical-fedavg": (2 * REGIONS + EDGE_ROUNDS * 2 * (N - REGIONS)) * MODEL,
    "swarm": 2 * (N - 1) * MODEL,
    "cyclic": N * MODEL,
    "dpsgd": N * (N - 1) * MODEL,
    **dict.fromkeys(["sgp", "avgpush", "proxyfl"], N * MODEL),
    "sgp, out_degree: 2": 2 * N * MODEL,
    "epidemic": N * 3 * MODEL,
    **dict.fromkeys(["gcml", "gml", "defkt", "gossip-averaging"], N // 2 * MODEL),
    "gossip-averaging, form: exchange": 2 * (N // 2) * MODEL,
}


def transfers(tmp_path, name, rounds):
    """Bytes of every model that was sent."""
    text = f"algorithm: {{name: {name}, rounds: {rounds}}}\n"
    rows = run(tmp_path, text, sites=SITES).ledger.rows("transfers")
    return [row[8] for row in rows if row[8] > 1000]


@pytest.mark.parametrize("name", PER_ROUND)
def test_a_round_costs_what_the_documentation_says(tmp_path, name):
    four, six = (sum(transfers(tmp_path, name, rounds)) for rounds in (4, 6))
    assert (six - four) / 2 == pytest.approx(PER_ROUND[name], rel=1e-3)


def test_an_exchange_of_adpsgd_costs_two_models(tmp_path):
    sent = transfers(tmp_path, "adpsgd", 6)
    assert sent
    assert set(sent) == {MODEL}
    assert len(sent) % 2 == 0


def test_nobody_is_left_out():
    assert {name.split(",")[0] for name in PER_ROUND} | {"adpsgd"} == set(registry("algorithms"))

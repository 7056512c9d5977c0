"""Equal effort: with the same ``epochs`` every method trains every site for as many local epochs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from algorithms.bounds import Local
from algorithms.gcml import Gcml
from algorithms.gossip_rounds import Gossip
from simulator.registry import registry
from tests.support import run


@given(st.integers(1, 60), st.integers(1, 6))
def test_warm_up_and_rounds_add_up_to_the_budget(rounds, local_epochs):
    epochs = rounds * local_epochs
    cfg = Gossip(epochs=epochs, local_epochs=local_epochs)
    assert cfg.num_warmup_epochs + cfg.num_rounds * local_epochs == epochs
    assert cfg.num_rounds >= 1
    assert cfg.num_warmup_epochs >= round(0.2 * epochs) - local_epochs
    assert Local(epochs=epochs, local_epochs=local_epochs).num_rounds * local_epochs == epochs


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 10, "local_epochs": 3},
        {"epochs": 10, "warmup_epochs": 10},
        {"epochs": 10, "warmup_epochs": 3, "local_epochs": 2},
        {"epochs": 10, "rounds": 5},
        {},
    ],
)
def test_a_budget_that_does_not_come_out_even_is_refused(settings):
    with pytest.raises(ValidationError):
        Gcml(**settings)


NAMES = [
    "gcml",
    "gossip-averaging",
    "fedavg",
    "local",
    "swarm",
    "cyclic",
    "hierarchical-fedavg, edge_rounds: 5, edge_deadline: 10 min",
    "dpsgd",
    "sgp",
    "adpsgd",
    "epidemic",
    "avgpush",
    "proxyfl",
    "fml",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_method_spends_the_same_epochs_at_every_site(tmp_path, name):
    result = run(tmp_path, f"algorithm: {{name: {name}, epochs: 10, local_epochs: 2}}\n")
    model = result.world.model
    for site, items in {"a": 10, "b": 20, "c": 30}.items():
        rows = [row for row in result.world.work if row[0] == site]
        # plain training passes cost three forward passes; validation in a stage comes on top
        training = {"train", "mutual", "mutual_epochs"}
        spent = sum(row[7] - row[8] for row in rows if row[1] in training)
        stages = sum(row[1] == "mutual" for row in rows)
        validation = stages * 3 * 2 * model.forward_flop
        assert spent - validation == pytest.approx(10 * items * 3 * model.forward_flop)


@pytest.mark.parametrize("name", registry("algorithms"))
def test_every_site_can_train_its_last_model_on(tmp_path, name):
    more = ", any_optimizer: true" if name == "scaffold" else ""
    text = f"algorithm: {{name: {name}, rounds: 2, finetune_epochs: 3{more}}}\n"
    events = run(tmp_path, text).world.trace.events
    assert {event[2] for event in events if event[3:5] == ("round", 2)} == {"a", "b", "c"}


def test_fine_tuning_of_a_pooled_model_survives_crashes(tmp_path):
    text = "algorithm: {name: pooled, rounds: 2, finetune_epochs: 1}\n"
    for fault, tuned in (("{at: 1 s, crash: b, for: 10 min}", "abc"), ("{at: 1 s, crash: server}", "")):
        result = run(tmp_path, f"{text}faults: [{fault}]\n", "server.speed=1 GFLOP/s")
        events = result.world.trace.events
        assert {event[2] for event in events if event[3:5] == ("round", 2)} == set(tuned)
        assert {event[2] for event in events if event[3] == "server_lost"} == set("abc") - set(tuned)
        assert result.end_reason == "all protocols ended"

"""One word of a scenario changes the method; where a method cannot take the rest as it stands, the message
says what to write, and that is enough.
"""

import pytest

from simulator.errors import ScenarioError
from simulator.registry import registry
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.executors import PlanExecutor

SITE = "{name: %s, speed: 1 TFLOP/s, link: {up: 20 Mbit/s, down: 90 Mbit/s, latency: 8 ms}, data: {cases: 8}}"
BASE = f"""
name: base
task:
  dataset: {{name: brainsim, dims: 2, size: 32, slices: 2}}
  network: {{name: unet, channels: [4, 8], norm: %s, num_res_units: 0}}
  optimizer: {{name: %s, lr: 2.0e-3}}
  batch_size: 4
sites: [{SITE % "a"}, {SITE % "b"}, {SITE % "c"}]
server: {{speed: 1 TFLOP/s, link: {{up: 1 Gbit/s, down: 1 Gbit/s, latency: 5 ms}}}}
algorithm: {{name: fedavg, epochs: %d}}
"""
LENIENT, STRICT = ("batch", "adamw", 10), ("instance", "adam", 9)
WHOLE = "algorithm: epochs 9 is not a whole number of rounds of %s; write epochs: %s"
REFUSED = {
    "fedbn": (
        "task.network: has no part batch_norm (known parts: decoder, head); write norm: batch (unet), choose "
        "another network or method",
        ["task.network.norm=batch"],
    ),
    "fedrep": (WHOLE % ("2 local epochs", "8 or 10"), ["algorithm.epochs=8"]),
    "hierarchical-fedavg": (WHOLE % ("2 edge rounds of 1 local epochs", "8 or 10"), ["algorithm.epochs=10"]),
    "fedgs": (WHOLE % ("5 local epochs", "5 or 10"), ["algorithm.epochs=5", "task.optimizer.name=adamw"]),
    "scaffold": (
        "task.optimizer: scaffold is defined for plain SGD; write {name: sgd, lr: …} without momentum, "
        "weight_decay and clip_norm, or algorithm.any_optimizer: true for our generalization",
        ["algorithm.any_optimizer=true"],
    ),
}


@pytest.fixture
def planned(tmp_path):
    """Plan the base scenario with overrides; return why it ended."""

    def plan(base, *overrides):
        path = tmp_path / "base.yaml"
        path.write_text(BASE % base, encoding="utf-8")
        point = load_study(str(path), list(overrides)).points[0]
        return simulate(point.label, point.scenario, PlanExecutor(), "plan").end_reason

    return plan


@pytest.mark.parametrize("name", sorted(set(registry("algorithms")) - {"scaffold"}))
def test_one_word_changes_the_method(planned, name):
    assert planned(LENIENT, f"algorithm.name={name}") == "all protocols ended"


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_what_to_write_and_that_is_enough(planned, name):
    message, remedy = REFUSED[name]
    with pytest.raises(ScenarioError) as caught:
        planned(STRICT, f"algorithm.name={name}")
    assert str(caught.value).endswith(message)
    assert planned(STRICT, f"algorithm.name={name}", *remedy) == "all protocols ended"


@pytest.mark.parametrize("name", sorted(set(registry("algorithms")) - set(REFUSED)))
def test_nobody_else_refuses(planned, name):
    assert planned(STRICT, f"algorithm.name={name}") == "all protocols ended"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("name: gcml, epochs: 3, warmup_epochs: 3", "3 of 3 epochs leaves .*; write warmup_epochs: 2$"),
        (
            "name: gossip-averaging, epochs: 12, local_epochs: 4, warmup_epochs: 6",
            "6 of 12 epochs leaves .* 4 local epochs; write warmup_epochs: 4$",
        ),
        (
            "name: hierarchical-fedavg, rounds: 2, round_deadline: 2 min",
            r"round_deadline \(120 s\) .* write edge_deadline: 60 s, or a longer round_deadline$",
        ),
        (
            "name: fedrep, rounds: 2, head_epochs: 3",
            "leave none for the body; write local_epochs: 4 or more$",
        ),
        ("name: fedrep, rounds: 2, optimizer_state: persistent", "expected reset"),
        (
            "name: fedrep, rounds: 2, finetune: head",
            "finetune: nothing is trained .*; write finetune_epochs: 10",
        ),
        ("name: defkt, rounds: 2, num_pairs: 2", r"num_pairs: 3 site\(s\) make 1 pair.*; write 1"),
        ("name: defkt, rounds: 2, heads: all", "heads: all needs a network with auxiliary heads"),
        ("name: fedsm, rounds: 2, lam: 1.2", "lam: 1.2 must be"),
        ("name: fedgs, rounds: 2, log_base: 1", "log_base: 1 must be above 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_a_remedy(planned, settings, message):
    with pytest.raises(ScenarioError, match=message):
        planned(LENIENT, f"algorithm={{{settings}}}")

"""Every registered algorithm: it really trains, its plan is its run, it ends under any faults, and alone
in the world it is what its mathematics says.
"""

import io

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.progress import PlainProgress
from simulator.registry import registry
from simulator.run import execute
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.executors import PlanExecutor, PoolExecutor
from simulator.work.jobs import MODEL
from simulator.work.pools import InlinePool
from simulator.work.store import Store
from tests.support import run

SCENARIO = """
name: all
task:
  dataset: {name: brainsim, dims: 2, size: 32, slices: 2, split: {val: 0.25, test: 0.25}}
  network: {name: unet, channels: [4, 8], norm: batch, num_res_units: 0}
  optimizer: {name: adamw, lr: 5.0e-3}
  batch_size: 2
evaluation: {overlays: 0, distances: false}
sites:
  - {name: a, seconds_per_item: 1 s, link: {up: 1 Mbit/s, down: 4 Mbit/s, latency: 5 ms}, data: {cases: 5}}
  - {name: b, seconds_per_item: 2 s, link: {up: 1 Mbit/s, down: 4 Mbit/s, latency: 5 ms}, data: {cases: 4}}
  - {name: c, seconds_per_item: 1 s, link: {up: 2 Mbit/s, down: 4 Mbit/s, latency: 5 ms}, data: {cases: 4}}
server: {speed: 1 TFLOP/s, link: {up: 8 Mbit/s, down: 8 Mbit/s, latency: 5 ms}}
algorithm: {name: local, rounds: 3}
sweep: {algorithm: [%s]}
"""
MORE = {
    "fedrep": ", local_epochs: 2, finetune_epochs: 1",
    "scaffold": ", any_optimizer: true",
    "fedsm": ", selector: small_cnn",
    "gcml": ", receive_timeout: 5 min",
}
NAMES = list(registry("algorithms"))


@pytest.fixture(scope="module")
def study_and_runs(tmp_path_factory):
    """All of them in one sweep: one store, one report."""
    folder = tmp_path_factory.mktemp("all")
    path = folder / "all.yaml"
    arms = ", ".join(f"{{name: {name}, rounds: 3{MORE.get(name, '')}}}" for name in NAMES)
    path.write_text(SCENARIO % arms, encoding="utf-8")
    study = load_study(str(path))
    progress = PlainProgress(io.StringIO())
    result = execute(study, out=folder, jobs=1, device="cpu", store=folder / "store", progress=progress)
    return {point.scenario.algorithm.name: (point, result.folder / point.label) for point in study.points}


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_and_its_plan_is_its_run(study_and_runs, name):
    point, run = study_and_runs[name]
    metrics = pl.read_parquet(run / "metrics.parquet").filter(
        (pl.col("metric") == "dice") & (pl.col("selection") == "selected")
    )
    assert set(metrics["site"]) == {"a", "b", "c"}
    assert metrics["value"].is_between(0, 1).all()
    plan = simulate(point.label, point.scenario, PlanExecutor(), "plan")
    transfers = pl.read_parquet(run / "transfers.parquet")
    assert transfers["carried_nbytes"].to_list() == [row[8] for row in plan.ledger.rows("transfers")]
    events = pl.read_parquet(run / "events.parquet").filter(~pl.col("event").str.ends_with("_outcome"))
    told = events.select("time_s", "node", "event").rows()
    assert [row[1:4] for row in plan.world.trace.events] == told


# -- one site, no faults, no time ----------------------------------------------------------------------

ALONE = """
name: alone
task:
  dataset: {name: brainsim, dims: 2, size: 32, slices: 2, split: {val: 0.25, test: 0.25}}
  network: {name: unet, channels: [4, 8], norm: batch, num_res_units: 0}
  optimizer: {name: adamw, lr: 5.0e-3}
  batch_size: 2
network: {transport: {preset: ideal}}
sites:
  - {name: a, speed: 1.0e18 FLOP/s, link: {up: 1 Tbit/s, down: 1 Tbit/s, latency: 0 s}, data: {cases: 5}}
server: {speed: 1.0e18 FLOP/s, link: {up: 1 Tbit/s, down: 1 Tbit/s, latency: 0 s}}
algorithm: {name: %s, rounds: 3%s}
"""
LOCAL = "local training with one optimizer"
FRESH = "local training with a fresh optimizer in every round"
NEARLY = "the same up to rounding: the server adds a difference to its model"
REDUCES_TO = {
    **dict.fromkeys(
        ["adpsgd", "avgpush", "defkt", "dpsgd", "gcml", "gml", "gossip-averaging", "local", "sgp"], LOCAL
    ),
    **dict.fromkeys(["cyclic", "epidemic", "fedavg", "fedbn", "hierarchical-fedavg", "swarm"], FRESH),
    **dict.fromkeys(["fedbuff", "scaffold"], NEARLY),
    "apfl": "its model is a mixture of two that learn apart",
    "ditto": "the personal model is held near the other one",
    "dml": "two networks learn from each other, and the server draws its own batches",
    "fedadam": "the server's optimizer steps",
    "fedasync": "the server keeps a share of its old model",
    "fedprox": "the model is held near the one received",
    "fedrep": "head and body learn in turn",
    "fedgs": "steps are scaled by the size of lesions",
    "fedsm": "a selector and a personal model learn beside the global one",
    "fedyogi": "the server's optimizer steps",
    "fml": "proxy and private model learn from each other",
    "moon": "features are contrasted with those of the last round",
    "pooled": "the server draws its own batches",
    "proxyfl": "proxy and private model learn from each other",
}
ALONE_MORE = {
    "fedsm": ", selector: small_cnn",
    "hierarchical-fedavg": ", edge_rounds: 1",
    "scaffold": ", any_optimizer: true",
    "fedrep": ", local_epochs: 2",
}


@pytest.fixture(scope="module")
def model_alone(tmp_path_factory):
    """The last model of a method on one site, computed in one store."""
    folder = tmp_path_factory.mktemp("alone")
    store = Store(folder / "store")

    def model(name, *overrides):
        path = folder / f"{name}.yaml"
        path.write_text(ALONE % (name, ALONE_MORE.get(name, "")), encoding="utf-8")
        point = load_study(str(path), list(overrides)).points[0]
        executor = PoolExecutor(store, InlinePool(store, "cpu"))
        result = simulate(point.label, point.scenario, executor, "alone")
        assert result.end_reason == "all protocols ended"
        assert result.virtual_time_s < 1e-3
        last = result.world.trace.observations[-1].model.key
        return executor.value(last.removesuffix(MODEL)).arrays["model"]

    return model


@pytest.mark.parametrize("name", NAMES)
def test_alone_in_the_world_a_method_is_what_its_mathematics_says(model_alone, name):
    assert name in REDUCES_TO, f"say what {name} becomes with one site"
    meaning = REDUCES_TO[name]
    if meaning == LOCAL:
        np.testing.assert_array_equal(model_alone(name), model_alone("local"))
    elif meaning == FRESH:
        np.testing.assert_array_equal(model_alone(name), model_alone("fedavg"))
    elif meaning == NEARLY:
        # Adam would turn rounding into steps where a bias before normalization has no true gradient
        plain = "task.optimizer={name: sgd, lr: 0.05}"
        np.testing.assert_allclose(model_alone(name, plain), model_alone("fedavg", plain), atol=1e-5)
    else:
        both = model_alone("local"), model_alone("fedavg")
        assert not any(np.array_equal(model_alone(name), plain) for plain in both), meaning


def test_the_two_ways_of_training_alone_differ(model_alone):
    assert np.abs(model_alone("local") - model_alone("fedavg")).max() > 1e-3


def test_epochs_one_by_one_before_a_deadline_are_those_of_a_whole_round(model_alone):
    whole = model_alone("fedprox", "algorithm.local_epochs=2")
    pieces = model_alone("fedprox", "algorithm.local_epochs=2", "algorithm.work_deadline=1 min")
    np.testing.assert_array_equal(whole, pieces)


@pytest.mark.parametrize("name", ["fedbuff", "gossip-averaging", "gcml", "defkt"])
def test_the_optimizer_goes_on_or_starts_fresh_as_the_settings_say(model_alone, name):
    plain = "task.optimizer={name: sgd, lr: 0.05, momentum: 0.9}"
    for how, alike in (("persistent", "local"), ("reset", "fedavg")):
        model = model_alone(name, plain, f"algorithm.optimizer_state={how}")
        np.testing.assert_allclose(model, model_alone(alike, plain), atol=1e-5)


NO_CHOICE = {"local", "pooled", "dml", "fedrep"}
"""Methods without the setting, or with one value for it."""


def test_fedbn_with_one_optimizer_is_local_training(model_alone):
    lasting = model_alone("fedbn", "algorithm.optimizer_state=persistent")
    np.testing.assert_array_equal(lasting, model_alone("local"))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NO_CHOICE])
def test_what_becomes_of_the_optimizer_is_never_ignored(model_alone, name):
    more = ["algorithm.selector=linear"] if name == "fedsm" else []
    fresh, lasting = (
        model_alone(name, f"algorithm.optimizer_state={how}", *more) for how in ("reset", "persistent")
    )
    assert np.abs(fresh - lasting).max() > 1e-4


def test_fedrep_can_tune_its_head_alone(model_alone):
    plain = model_alone("fedrep")
    for part, least, most in (("all", 0.9, 1.0), ("head", 0.01, 0.5)):
        more = f"algorithm={{name: fedrep, rounds: 3, finetune_epochs: 2, finetune: {part}}}"
        assert least < np.mean(model_alone("fedrep", more) != plain) <= most


# -- any faults ----------------------------------------------------------------------------------------

WHO = st.sampled_from(["a", "b", "c", "server"])
FAULT = st.one_of(
    st.builds(
        # drawn, since constant times that overlap are refused
        "{{at: 'uniform({0:d} s, {0:d} s)', {1}: {2}, for: {3:d} s}}".format,
        st.integers(0, 300),
        st.sampled_from(["crash", "disconnect"]),
        WHO,
        st.integers(1, 4000),
    ),
    st.builds(
        "{{at: {:d} s, {}: {}}}".format,
        st.integers(0, 300),
        st.sampled_from(["crash", "leave", "join"]),
        WHO,
    ),
)
PATIENT = {"fedasync": ", site_timeout: 10 min", "fedbuff": ", site_timeout: 10 min"}


@pytest.mark.parametrize("name", NAMES)
def test_it_ends_under_any_faults(name, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    more = ", local_epochs: 2" if name == "fedrep" else ALONE_MORE.get(name, "") + PATIENT.get(name, "")

    @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(FAULT, max_size=5, unique=True), st.integers(1, 1000))
    def ends(faults, seed):
        text = f"algorithm: {{name: {name}, rounds: 4{more}}}\nfaults: [{', '.join(faults)}]\n"
        try:
            result = run(folder, text, f"seed.network={seed}")
        except ScenarioError:  # who leaves must have been there
            reject()
        assert result.end_reason == "all protocols ended", result.end_reason

    ends()

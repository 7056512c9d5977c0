"""Every registered algorithm really trains, and its plan is its run."""

import io

import polars as pl
import pytest

from simulator.progress import PlainProgress
from simulator.registry import registry
from simulator.run import execute
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.executors import PlanExecutor

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
    plan = simulate(point.label, point.scenario, PlanExecutor(), "plan", lambda _: None)
    transfers = pl.read_parquet(run / "transfers.parquet")
    assert transfers["carried_nbytes"].to_list() == [row[8] for row in plan.ledger.rows("transfers")]
    events = pl.read_parquet(run / "events.parquet").filter(~pl.col("event").str.ends_with("_outcome"))
    told = events.select("time_s", "node", "event").rows()
    assert [row[1:4] for row in plan.world.trace.events] == told

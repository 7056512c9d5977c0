"""Different networks at different sites really train, learn from each other, and keep apart."""

import io
import json

import numpy as np
import polars as pl
import pytest

from simulator.progress import PlainProgress
from simulator.run import execute
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.executors import PlanExecutor
from simulator.work.store import Store
from tests.algorithms.test_all import SCENARIO


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    path = folder / "mixed.yaml"
    text = SCENARIO % "{name: gcml, rounds: 3, merge: keep_local}, {name: local, rounds: 3}"
    small = "{name: unet, channels: [3, 6, 6], num_res_units: 1}"
    path.write_text(text.replace("{name: a,", f"{{name: a, network: {small},"), encoding="utf-8")
    study = load_study(str(path))
    options = {"jobs": 1, "device": "cpu", "store": folder / "store"}
    result = execute(study, out=folder, progress=PlainProgress(io.StringIO()), **options)
    return study, result, Store(folder / "store")


def test_every_site_ends_with_a_model_of_its_own_network(played):
    study, result, store = played
    sizes = {}
    manifest = json.loads((result.folder / study.points[0].label / "manifest.json").read_text())
    of_a = manifest["model"]["sites"]["a"]["num_parameters"]
    for point in study.points:
        metrics = pl.read_parquet(result.folder / point.label / "metrics.parquet")
        assert set(metrics["site"]) == {"a", "b", "c"}
        for site, key in metrics.select("site", "key").unique().iter_rows():
            sizes.setdefault(site, set()).add(store.get(key.removesuffix("#model")).arrays["model"].size)
    assert sizes["b"] == sizes["c"]
    assert all(len(found) == 1 for found in sizes.values())
    assert sizes["a"] == {of_a} != sizes["b"]


def test_a_model_learns_from_one_of_another_network(played):
    study, result, store = played
    point = next(point for point in study.points if point.scenario.algorithm.name == "gcml")
    plan = simulate(point.label, point.scenario, PlanExecutor(), "plan", lambda _: None)
    work = pl.read_parquet(result.folder / point.label / "work.parquet")
    assert work["end_s"].to_list() == [row[5] for row in plan.world.work], "its plan is its run"
    work = work.filter(pl.col("task") == "mutual")
    assert "a" in work["node"].to_list(), "the site with the other network received"
    for key in work["key"]:
        outcome = store.get(key)
        assert outcome.meta["rejected"] is None
        assert np.isfinite(outcome.arrays["model"]).all()
        assert outcome.meta["weights"] == [1.0, 0.0]

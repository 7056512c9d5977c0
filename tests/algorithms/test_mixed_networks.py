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

METHODS = (
    "name: gcml, merge: keep_local, rounds: 3",
    "name: local, rounds: 3",
    "name: defkt, rounds: 12",  # whatever pairs are drawn, some are of different networks
    "name: proxyfl, rounds: 3",
    "name: proxyfl, mix: push_sum, rounds: 3",
    "name: fml, rounds: 3",
    "name: dml, num_networks: each-site, rounds: 3",
)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    path = folder / "mixed.yaml"
    text = SCENARIO % ", ".join(f"{{{algorithm}}}" for algorithm in METHODS)
    small = "{name: unet, channels: [3, 6, 6], num_res_units: 1}"
    path.write_text(text.replace("{name: a,", f"{{name: a, network: {small},"), encoding="utf-8")
    study = load_study(str(path))
    options = {"jobs": 1, "device": "cpu", "store": folder / "store"}
    result = execute(study, out=folder, progress=PlainProgress(io.StringIO()), **options)
    return study, result, Store(folder / "store")


def sizes_of_models(played, *algorithms):
    """The sizes of the models that each site used."""
    study, result, store = played
    sizes = {}
    for point in study.points:
        if point.scenario.algorithm.name in algorithms:
            metrics = pl.read_parquet(result.folder / point.label / "metrics.parquet")
            assert set(metrics["site"]) == {"a", "b", "c"}
            for site, key in metrics.select("site", "key").unique().iter_rows():
                sizes.setdefault(site, set()).add(store.get(key.removesuffix("#model")).arrays["model"].size)
    return sizes


def test_every_site_ends_with_a_model_of_its_own_network(played):
    study, result, _ = played
    manifest = json.loads((result.folder / study.points[0].label / "manifest.json").read_text())
    of_a = manifest["model"]["sites"]["a"]["num_parameters"]
    sizes = sizes_of_models(played, "gcml", "local", "proxyfl", "fml", "dml")
    assert sizes["b"] == sizes["c"]
    assert all(len(found) == 1 for found in sizes.values())
    assert sizes["a"] == {of_a} != sizes["b"]


def test_under_defkt_models_wander_with_their_networks(played):
    own, used = sizes_of_models(played, "local"), sizes_of_models(played, "defkt")
    assert set().union(*used.values()) <= set().union(*own.values())
    assert any(used[site] - own[site] for site in own)


@pytest.mark.parametrize("algorithm", ["proxyfl", "fml"])
def test_only_proxies_of_the_common_network_travel(played, algorithm):
    study, result, _ = played
    for point in study.points:
        if point.scenario.algorithm.name == algorithm:
            transfers = pl.read_parquet(result.folder / point.label / "transfers.parquet")
            assert transfers.filter(pl.col("nbytes") > 1000)["nbytes"].n_unique() == 1
            manifest = json.loads((result.folder / point.label / "manifest.json").read_text())
            assert manifest["model"]["num_parameters"] * 4 < transfers["nbytes"].max()


@pytest.mark.parametrize("algorithm", ["defkt", "proxyfl", "fml", "dml"])
def test_what_was_planned_is_what_ran(played, algorithm):
    study, result, _ = played
    for point in study.points:
        if point.scenario.algorithm.name == algorithm:
            plan = simulate(point.label, point.scenario, PlanExecutor(), "plan")
            work = pl.read_parquet(result.folder / point.label / "work.parquet")
            assert work["end_s"].to_list() == [row[5] for row in plan.world.work]


def test_a_model_learns_from_one_of_another_network(played):
    study, result, store = played
    point = next(point for point in study.points if point.scenario.algorithm.name == "gcml")
    plan = simulate(point.label, point.scenario, PlanExecutor(), "plan")
    work = pl.read_parquet(result.folder / point.label / "work.parquet")
    assert work["end_s"].to_list() == [row[5] for row in plan.world.work], "its plan is its run"
    work = work.filter(pl.col("task") == "mutual")
    assert "a" in work["node"].to_list(), "the site with the other network received"
    for key in work["key"]:
        outcome = store.get(key)
        assert outcome.meta["rejected"] is None
        assert np.isfinite(outcome.arrays["model"]).all()
        assert outcome.meta["weights"] == [1.0, 0.0]


def test_in_one_place_one_network_of_every_site_learns_from_the_others(played):
    study, result, store = played
    point = next(point for point in study.points if point.scenario.algorithm.name == "dml")
    folder = result.folder / point.label
    work = pl.read_parquet(folder / "work.parquet").filter(pl.col("task") == "mutual_epochs")
    model = json.loads((folder / "manifest.json").read_text())["model"]
    of_a, common = model["sites"]["a"]["forward_flop"], model["forward_flop"]
    assert of_a != common
    others = 2 * common / (of_a + 2 * common)  # the first network's epochs are the budget's
    assert work["extra_flop"][0] == pytest.approx(work["flop"][0] * others)
    metrics = pl.read_parquet(folder / "metrics.parquet").filter(pl.col("selection") == "selected")
    keys = metrics.select("site", "key").unique()
    assert keys["key"].n_unique() == 3
    weights = {site: store.get(key.removesuffix("#model")).arrays["model"] for site, key in keys.iter_rows()}
    assert not np.array_equal(weights["b"], weights["c"]), "equal networks begin with different weights"

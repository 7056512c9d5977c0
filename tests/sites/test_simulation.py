"""From a scenario to its world: unseen hospitals, the cost of whole slices, keys of prepared cases."""

import math
from types import SimpleNamespace

import pytest

import simulator.indexing as indexing
from simulator.api import Bundle, Ref
from simulator.errors import ScenarioError
from simulator.indexing import index_sites, prepare_jobs, read_jobs, site_data
from simulator.observations import Evaluation, selected, unseen
from simulator.scenario import load_study
from tests.learning.data.layout_trees import polypgen
from tests.support import SITES, run, study

LOCAL = "algorithm: {name: local, rounds: 1}\n"


def test_pairs_with_an_unseen_hospital_fall_away(tmp_path):
    sites = SITES.replace("train: 30", "train: 0")
    text = "algorithm: {name: gossip-averaging, rounds: 1}\n"
    result = run(tmp_path, text, "network.overlay=[[a, b], [b, c]]", sites=sites)
    assert result.world.overlay == {"a": ("b",), "b": ("a",)}


def test_validation_costs_whole_slices_in_patches(tmp_path):
    def items(*overrides):
        scenario = study(tmp_path, LOCAL, *overrides).points[0].scenario
        data = site_data(scenario, index_sites(scenario))["a"]
        return data.train_items, data.val_items, data.test_items

    assert items() == (10, 2, 3)
    assert items("task.patch_size=[16, 16]") == (10, 8, 12)
    assert items("task.patch_size=[24, 24]") == (10, 4, 6), "2 and 3 times 1.78, rounded up"


def test_another_version_of_a_reader_is_another_key(tmp_path, monkeypatch):
    scenario = study(tmp_path, LOCAL).points[0].scenario
    index = index_sites(scenario)
    keys = {prepare_jobs(scenario, index, read_jobs(scenario, index))["a"].key for _ in range(2)}
    assert len(keys) == 1
    for package in ("numpy", "scipy", "pillow", "nibabel", "tifffile"):
        monkeypatch.setattr(indexing, "version", lambda name, new=package: "2" if name == new else "1")
        keys.add(prepare_jobs(scenario, index, read_jobs(scenario, index))["a"].key)
    assert len(keys) == 6


def test_models_are_tested_at_unseen_hospitals_that_have_test_cases(tmp_path):
    for test, expected in ((3, ["c"]), (0, [])):
        sites = SITES.replace("train: 30, val: 2, test: 3", f"train: 0, val: 2, test: {test}")
        result = run(tmp_path, LOCAL, sites=sites)
        executor = SimpleNamespace(submit=lambda job: None)
        done = [Evaluation("0", "a", 0, 0.0, "test", Ref("m", "train", "a"))]
        assert [one.site for one in unseen(result, executor, done)] == expected


def choose(tmp_path, losses, *overrides):
    """Return the round of the model selected at site a for the losses of its rounds."""
    result = run(tmp_path, LOCAL, *overrides)
    values = {str(i): Bundle(arrays={}, meta={"loss": loss}) for i, loss in enumerate(losses)}
    executor = SimpleNamespace(value=values.__getitem__, submit=lambda job: None)
    done = [
        Evaluation(str(i), "a", i, float(i), "val", Ref(f"m{i}", "train", "a")) for i in range(len(losses))
    ]
    return [one.round for one in selected(result, executor, done)]


def test_the_best_model_is_selected_and_the_last_without_any_loss(tmp_path):
    assert choose(tmp_path, [math.nan, 2.0, 1.0, 1.0, math.nan]) == [2]
    assert choose(tmp_path, [math.nan, math.inf, math.nan]) == [2]


FOLDERS = """
name: t
task:
  dataset:
    name: polypgen
    root: {root}
    partition: {{kind: iid, min_patients: 1}}
    split: {{val: 0, test: 0}}
  network: {{name: unet, channels: [4, 8]}}
  optimizer: {{lr: 1.0e-3}}
  batch_size: 2
  patch_size: [16, 16]
sites:
  - {{name: a, device: t4, link: {{up: 1 Mbit/s, down: 1 Mbit/s, latency: 1 ms}}, data: {{}}}}
  - {{name: b, device: t4, link: {{up: 1 Mbit/s, down: 1 Mbit/s, latency: 1 ms}}, data: {{}}}}
algorithm: {{name: local, epochs: 1}}
"""


def test_a_case_is_read_once_however_it_is_dealt_out(tmp_path):
    """Other partitions, splits, seeds and damages read nothing again; another size does."""
    polypgen(tmp_path)
    (tmp_path / "s.yaml").write_text(FOLDERS.format(root=tmp_path))

    def keys(*overrides):
        scenario = load_study(str(tmp_path / "s.yaml"), overrides).points[0].scenario
        index = index_sites(scenario)
        opened = read_jobs(scenario, index)
        sites = prepare_jobs(scenario, index, opened)
        return {job.key for jobs in opened.values() for job in jobs}, {n: job.key for n, job in sites.items()}

    read, sites = keys()
    assert len(read) == 6
    for change in ("seed.learning=2", "task.dataset.split.val=0.4", "task.dataset.partition.kind=quantity"):
        again, others = keys(change)
        assert again == read, change
    again, others = keys("sites.a.data.shift.noise=0.1")
    assert again == read
    assert (others["a"] != sites["a"], others["b"] == sites["b"]) == (True, True)
    assert keys("seed.learning=2", "sites.a.data.shift.noise=0.1")[1]["a"] != others["a"]
    assert not keys("task.dataset.size=8")[0] & read
    with pytest.raises(
        ScenarioError, match=r'^sites.0.data.missing: no channel "t1"; there are red, green, blue$'
    ):
        keys("sites.a.data.missing.channel=t1")


def test_a_moving_average_does_not_fall_for_one_lucky_round(tmp_path):
    losses = [1.0, 0.2, 0.9, 0.8, 0.8, math.nan, 0.9]  # averages 1, .92, .918, .906, .896, -, .896
    ema = "evaluation.selection=ema"
    assert choose(tmp_path, losses) == [1]
    assert choose(tmp_path, losses, ema) == [4]
    assert choose(tmp_path, [math.nan, 2.0, 1.0], ema) == [2]
    assert choose(tmp_path, [math.nan, math.nan], ema) == [1]


def test_sites_without_test_cases_are_named(tmp_path):
    text = "algorithm: {name: local, rounds: 1}\n"
    assert not run(tmp_path, text).warnings
    untested = run(tmp_path, text, "sites.0.data.test=0", "sites.2.data.test=0")
    assert untested.warnings == ("no test case at a, c: no result there",)
    nowhere = run(tmp_path, text, *(f"sites.{number}.data.test=0" for number in range(3)))
    assert not nowhere.warnings

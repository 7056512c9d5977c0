"""Real training in tiny scenarios: same bits for any number of workers, after a kill, and against a
plain sequential loop; nothing is trained twice."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from simulator.errors import ExitCode
from simulator.progress import PlainProgress
from simulator.run import execute
from simulator.scenario import load_study, reload_study
from simulator.simulation import simulate
from simulator.study_folder import states
from simulator.work.executors import PlanExecutor

SCENARIO = """
name: tiny
task:
  dataset: {{name: brainsim, dims: {dims}, {size}, split: {{val: 0.2, test: 0.2}}}}
  network: {{name: unet, channels: [4, 8], num_res_units: 0}}
  optimizer: {{name: adam, lr: 5.0e-3}}
  batch_size: 4
  {patch}
sites:
  - name: a
    seconds_per_item: 100 ms
    link: {{up: 1 Mbit/s, down: 4 Mbit/s, latency: 5 ms}}
    data: {{cases: 6}}
  - name: b
    seconds_per_item: 300 ms
    link: {{up: 1 Mbit/s, down: 4 Mbit/s, latency: 5 ms}}
    data: {{cases: 5, profile: b}}
  - name: c
    seconds_per_item: 200 ms
    link: {{up: 2 Mbit/s, down: 4 Mbit/s, latency: 5 ms}}
    data: {{cases: 5, profile: c}}
server: {{speed: 1 TFLOP/s, link: {{up: 8 Mbit/s, down: 8 Mbit/s, latency: 5 ms}}}}
algorithm: {{name: gcml, rounds: 3, warmup_epochs: 1}}
faults: [{{at: 4 s, crash: c, for: 5 s}}]
evaluation: {{overlays: 1}}
sweep:
  algorithm:
    - {{name: gcml, rounds: 3, warmup_epochs: 1, receive_timeout: 1 min}}
    - {{name: fedavg, rounds: 4, round_deadline: 1 min}}
    - {{name: local, rounds: 4}}
"""
FLAT = {"dims": 2, "size": "size: 32, slices: 3", "patch": ""}
SOLID = {"dims": 3, "size": "size: 24", "patch": "patch_size: [16, 16, 16]"}
TABLES = ("events", "work", "transfers", "links", "metrics", "faults", "sites", "outages", "skipped_cases")


def write(folder, **kind):
    path = folder / "tiny.yaml"
    path.write_text(SCENARIO.format(**kind), encoding="utf-8")
    return path


def go(path, folder, store, jobs=1, *overrides):
    return go_on(load_study(str(path), overrides), folder, store, jobs)


def go_on(study, folder, store, jobs=1):
    return execute(
        study, out=folder, jobs=jobs, device="cpu", store=store, progress=PlainProgress(io.StringIO())
    )


def tables(result):
    return {
        (run.name, name): pl.read_parquet(run / f"{name}.parquet")
        for run in sorted(path.parent for path in result.folder.glob("*/manifest.json"))
        for name in TABLES
    }


def same(one, other):
    assert one.keys() == other.keys()
    return [where for where in one if not one[where].equals(other[where])]


def tasks(result):
    """Sums over the runs."""
    found = [json.loads(path.read_text())["tasks"] for path in result.folder.glob("*/manifest.json")]
    # a command that was killed has noted no costs, so what its results save later is not known
    return {name: sum(one[name] or 0 for one in found) for name in found[0]}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    path = write(folder, **FLAT)
    return path, folder / "store", go(path, folder / "runs", folder / "store")


def test_a_run_leaves_everything_that_was_promised(first):
    _, _, result = first
    assert result.exit_code == ExitCode.OK
    assert result.report.exists()
    assert "http" not in [line for line in result.report.read_text().split('"') if line.startswith("http:")]
    run = result.folder / "gcml"
    names = {path.name for path in run.iterdir()}
    assert {f"{name}.parquet" for name in TABLES} <= names
    assert {"manifest.json", "scenario.yaml", "trace.json", "overlays.npz"} <= names
    figures = {path.suffix for path in (result.folder / "figures").iterdir()}
    assert figures == {".png", ".pdf", ".svg"}
    metrics = pl.read_parquet(run / "metrics.parquet")
    selected = metrics.filter(pl.col("selection") == "selected")
    assert set(selected["site"]) == {"a", "b", "c"}
    assert {"dice", "hd95_mm", "assd_mm"} <= set(selected["metric"])
    dice = selected.filter(pl.col("metric") == "dice")["value"]
    assert dice.is_between(0, 1).all()


def test_the_second_run_trains_nothing_and_gives_the_same_bits(first, tmp_path):
    path, store, result = first
    again = go(path, tmp_path, store)
    assert tasks(again)["executed"] == 0
    assert same(tables(result), tables(again)) == []


def test_two_workers_give_the_same_bits_as_none(first, tmp_path):
    path, _, result = first
    other = go(path, tmp_path / "runs", tmp_path / "store", 2)
    assert tasks(other)["executed"] == tasks(result)["executed"] > 0
    assert same(tables(result), tables(other)) == []


def test_two_workers_give_the_same_bits_under_churn_and_fail_over(tmp_path):
    """With a standby that takes over twice, a newcomer with nothing of its own, stragglers, and damage."""
    path = write(tmp_path, **FLAT)
    faults = (
        "[{from: 0 s, to: 30 s, churn: [b, c], rate: 300 %/min, replacement: exp(1 s)}, "
        "{from: 1 s, to: 9 s, straggle: a, factor: 3}, {at: 6 s, for: 10 s, crash: server}, "
        "{from: 0 s, to: 8 s, corrupt: {site: b, probability: 0.5}}, {at: 20 s, fail_over: server}]"
    )
    overrides = (f"faults={faults}", "server.standby=a", "server.detect_after=1 s", "evaluation.overlays=0")
    results = [
        go(path, tmp_path / f"runs-{jobs}", tmp_path / f"store-{jobs}", jobs, *overrides) for jobs in (1, 2)
    ]
    one, two = map(tables, results)
    assert same(one, two) == []
    assert "fail_over" in set(one["fedavg", "events"]["event"])
    assert {"leave", "join"} <= set(one["gcml", "faults"].filter(pl.col("status") == "fired")["verb"])
    assert [not table.is_empty() for (_, name), table in one.items() if name == "metrics"] == [True] * 3
    figures = {path.name for path in (results[0].folder / "figures").iterdir()}
    assert {"timeline-fedavg.png", "timeline-gcml.png"} <= figures


def test_a_plan_has_the_event_log_of_the_run(first):
    path, _, result = first
    for point in load_study(str(path)).points:
        plan = simulate(point.label, point.scenario, PlanExecutor(), "plan")
        events = pl.read_parquet(result.folder / point.label / "events.parquet")
        told = events.filter(~pl.col("event").str.ends_with("_outcome"))
        assert [row[1:4] for row in plan.world.trace.events] == told.select("time_s", "node", "event").rows()
        transfers = pl.read_parquet(result.folder / point.label / "transfers.parquet")
        assert transfers["carried_nbytes"].to_list() == [row[8] for row in plan.ledger.rows("transfers")]


def test_another_network_trains_a_synchronous_method_once(first, tmp_path):
    path, store, _ = first
    slower = [f"sites.{name}.link.up=64 kbit/s" for name in "abc"]
    again = go(
        path, tmp_path, store, 1, "algorithm={name: fedavg, rounds: 4, round_deadline: 1 h}", "faults=[]"
    )
    once = tasks(again)
    assert (once["executed"] + once["reused"], once["saved_s"] >= 0) == (once["needed"], True)
    again = go(
        path,
        tmp_path,
        store,
        1,
        "algorithm={name: fedavg, rounds: 4, round_deadline: 1 h}",
        "faults=[]",
        *slower,
    )
    assert tasks(again)["executed"] == 0
    assert tasks(again)["reused"] == tasks(again)["needed"] == once["needed"]
    assert tasks(again)["saved_s"] > 0


def test_a_study_with_one_more_value_takes_over_the_finished_runs(first, tmp_path):
    path, store, result = first
    finished = {one.stat().st_ino for one in result.folder.glob("*/metrics.parquet")}
    more = tmp_path / "more.yaml"
    more.write_text(path.read_text() + "    - {name: local, rounds: 5}\n")
    found = go(more, result.folder.parent, store)
    assert found.folder != result.folder
    assert len(found.lines) == len(result.lines) + 1
    taken = {one.stat().st_ino for one in found.folder.glob("*/metrics.parquet")} & finished
    assert len(taken) == 2, "local is called by its rounds now, and is another run"
    assert found.tasks.executed > 0, "the fifth round"
    assert found.tasks.reused == found.tasks.needed - found.tasks.executed


@pytest.mark.parametrize("hash_seed", ["1", "77"])
def test_shuffled_hashes_give_the_same_bits(first, tmp_path, hash_seed):
    path, _, result = first
    program = (
        "from tests.test_end_to_end import go; from pathlib import Path; import sys; "
        f"go(Path({str(path)!r}), Path(sys.argv[1]) / 'runs', Path(sys.argv[1]) / 'store')"
    )
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, env=environment, cwd=root)
    other = {}
    for run in sorted(path.parent for path in (tmp_path / "runs").glob("*/*/manifest.json")):
        other |= {(run.name, name): pl.read_parquet(run / f"{name}.parquet") for name in TABLES}
    assert same(tables(result), other) == []


def test_a_killed_run_goes_on_and_gives_the_same_bits(first, tmp_path):
    path, _, result = first
    program = "from simulator.cli import main; main()"
    command = [sys.executable, "-c", program, "run", str(path), "--jobs", "2"]
    command += ["--out", str(tmp_path / "runs"), "--store", str(tmp_path / "store")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "store").glob("??/*"))) < 12 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder,) = (tmp_path / "runs").glob("tiny-*")
    assert [row["status"] for row in states(folder)] == ["unfinished"] * 3
    ids = [row["id"] for row in states(result.folder)]
    assert [re.fullmatch(r"(\d{4})-[0-9a-f]{8}", one)[1] for one in ids] == ["0001", "0002", "0003"]
    assert [row["id"] for row in states(folder)] == ids
    resumed = go_on(reload_study(folder), tmp_path / "runs", tmp_path / "store")
    assert resumed.folder == folder
    for run in (one.parent for one in result.folder.glob("*/manifest.json")):
        manifests = [json.loads((at / run.name / "manifest.json").read_text()) for at in (folder, run.parent)]
        assert manifests[0]["swept"] == manifests[1]["swept"] != {}, "figures need what was swept"
    assert [one for one in (tmp_path / "runs").iterdir() if one != folder] == [], "nothing hidden is left"
    assert 0 < tasks(resumed)["executed"] < tasks(result)["executed"]
    assert same(tables(result), tables(resumed)) == []


def test_without_network_and_faults_fedavg_is_the_sequential_loop_bit_for_bit(tmp_path):
    """The same tasks called one after another, without engine, network, executor or store."""
    from algorithms.mixing import mean
    from simulator.api import Bundle
    from simulator.indexing import index_sites, prepare_jobs, read_jobs, recipe_of
    from simulator.learning.context import Context
    from simulator.learning.prepare import prepare
    from simulator.learning.training import initial, train
    from simulator.work.store import Store

    path = write(tmp_path, **FLAT)
    ideal = ["network.transport.preset=ideal", "faults=[]", "algorithm={name: fedavg, rounds: 2}"]
    for name in "abc":
        ideal += [f"sites.{name}.link={{up: unlimited, down: unlimited, latency: 0 ms}}"]
    result = go(path, tmp_path / "runs", tmp_path / "store", 1, *ideal)
    scenario = load_study(str(path), ideal).points[0].scenario
    index = index_sites(scenario)
    recipe = recipe_of(scenario)

    def context(name, data=()):
        keys = [f"end to end {name}" for _ in data]
        return Context(recipe, name, scenario.seed.learning, keys, lambda _: list(data), "cpu")

    jobs = prepare_jobs(scenario, index, read_jobs(scenario, index))
    cases = {name: prepare(context(name), **jobs[name].params) for name in "abc"}
    model = initial(context("server"))
    counts = [index[name].count("train") for name in "abc"]
    for round_ in range(2):
        received = Bundle(arrays={k: v for k, v in model.arrays.items() if not k.startswith("optimizer")})
        updates = [
            train(context(name, [cases[name]]), received, epochs=1, first_epoch=round_) for name in "abc"
        ]
        model = mean(context("server"), *updates, weights=[count / sum(counts) for count in counts])
    metrics = pl.read_parquet(result.folder / "fedavg" / "metrics.parquet")
    last = metrics.filter(pl.col("round") == 1)["key"].unique().to_list()
    assert len(last) == 1
    got = Store(tmp_path / "store").get(last[0].removesuffix("#model"))
    assert np.array_equal(got.arrays["model"], model.arrays["model"])


def test_volumes_train_as_slices_do(tmp_path):
    result = go(
        write(tmp_path, **SOLID),
        tmp_path / "runs",
        tmp_path / "store",
        1,
        "algorithm={name: gcml, rounds: 2}",
    )
    assert result.exit_code == ExitCode.OK
    metrics = pl.read_parquet(result.folder / "gcml" / "metrics.parquet")
    assert metrics.filter(pl.col("metric") == "dice")["value"].is_not_null().any()


def test_divergence_is_loud_and_the_other_runs_finish(tmp_path):
    path = write(tmp_path, **FLAT)
    text = path.read_text().replace("lr: 5.0e-3", "lr: 5.0e-3").replace("name: adam", "name: sgd")
    path.write_text(
        text.replace("sweep:", "x-sweep:").replace(
            "x-sweep:", "sweep:\n  task.optimizer.lr: [1.0e-2, 1.0e+30]"
        )
    )
    result = go(path, tmp_path / "runs", tmp_path / "store", 1, "algorithm={name: local, rounds: 3}")
    assert result.exit_code == ExitCode.DIVERGED
    manifests = [json.loads(one.read_text()) for one in sorted(result.folder.glob("*/manifest.json"))]
    assert sorted(one["status"] for one in manifests) == ["diverged", "ok"]
    error = next(one["error"] for one in manifests if one["error"])
    assert "recipe: simulator.learning.training:train key=" in error

"""Exports are read back by the trackers' own readers, where these are installed."""

import json
from importlib.util import find_spec

import pytest
from typer.testing import CliRunner

from simulator.cli import app
from simulator.commands import exporting
from simulator.record.measures_run import load_run
from simulator.report.exporters.content import content
from tests.report.fixtures import Shape, write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    shape = Shape(rounds=4, overlays=False)
    return write_run(tmp_path_factory.mktemp("runs") / "gcml", "gcml", shape=shape)


@pytest.fixture(scope="module")
def expected(folder):
    return content(load_run(folder))


def exported(folder, to, out):
    pytest.importorskip(to)
    result = CliRunner().invoke(app, ["export", str(folder), "--to", to, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_the_content_is_that_of_the_measures(expected):
    assert expected.settings == {"name": "hospitals", "algorithm.name": "gcml", "algorithm.rounds": "4"}
    assert expected.tags["seed.learning"] == "1"
    names = {one.name for one in expected.values}
    assert {"dice/val/north", "dice/test/lake", "dice_mean/test", "dice_worst/val", "carried_nbytes"} <= names
    rounds = [one.round for one in expected.values if one.name == "dice/test/north"]
    assert rounds == [0, 1, 2, 3]
    assert expected.final["dice_mean"] == pytest.approx(0.722, abs=0.001)
    assert "missed" in expected.final


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_it(folder, expected, tmp_path):
    assert exported(folder, "tensorboard", tmp_path) == str(tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(tmp_path / "gcml")).Reload()
    wanted = [one for one in expected.values if one.name == "dice/test/north"]
    scalars = found.Scalars("dice/test/north")
    assert [(one.step, one.wall_time) for one in scalars] == [(one.round, one.time_s) for one in wanted]
    assert [one.value for one in scalars] == pytest.approx([one.value for one in wanted], rel=1e-6)
    assert found.Scalars("final/dice_worst")[0].value == pytest.approx(expected.final["dice_worst"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_mlflow_reads_it(folder, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    store = exported(folder, "mlflow", tmp_path)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    assert store == str(tmp_path / "mlruns")
    (run,) = client.search_runs([client.get_experiment_by_name("medgossip").experiment_id])
    assert run.data.params["algorithm.rounds"] == "4"
    assert run.data.tags["algorithm"] == "gcml"
    history = client.get_metric_history(run.info.run_id, "dice_mean/test")
    wanted = [one for one in expected.values if one.name == "dice_mean/test"]
    found = sorted((one.step, one.timestamp, one.value) for one in history)
    assert found == [(one.round, round(1000 * one.time_s), pytest.approx(one.value)) for one in wanted]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wandb_writes_offline_runs(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    exported(folder, "wandb", tmp_path)
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    raw = path.read_bytes()
    assert b"dice_mean/test" in raw
    assert b"virtual_time_s" in raw


@pytest.mark.parametrize("to", list(exporting.Tracker))
def test_a_missing_extra_is_told_with_its_command(folder, tmp_path, monkeypatch, to):
    def without(name):
        return None if name == to.value else find_spec(name)

    monkeypatch.setattr(exporting, "find_spec", without)
    result = CliRunner().invoke(app, ["export", str(folder), "--to", to.value, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert f'{to.value} is not installed; pip install "medgossip[{to.value}]"' in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_setting_that_holds_a_list_of_mappings_has_a_key_for_each(folder, tmp_path):
    run = write_run(tmp_path / "gcml", "gcml", shape=Shape(rounds=2, overlays=False))
    (run / "scenario.yaml").write_text(json.dumps({"sites": [{"name": "a"}, {"name": "b"}], "x": [1, 2]}))
    found = content(load_run(run)).settings
    assert found == {"sites.0.name": "a", "sites.1.name": "b", "x": "[1, 2]"}

import json

import pytest

from simulator.errors import ScenarioError
from simulator.record.measures_run import by_label, load_run, load_study, remembered
from tests.report.fixtures import Shape, write_run, write_study

TINY = Shape(rounds=1, overlays=False)


def test_seeds_share_a_label_and_settings_do_not(tmp_path):
    for label, seed in (
        ("gcml-up4Mbit-s-seed1", 1),
        ("gcml-up4Mbit-s-seed2", 2),
        ("gcml-up1Gbit-s-seed1", 1),
    ):
        write_run(tmp_path / label, "gcml", label=label, seed=seed, shape=TINY)
    groups = by_label(load_study(sorted(tmp_path.iterdir())).runs)
    assert {label: len(runs) for label, runs in groups.items()} == {"gcml-up4Mbit-s": 2, "gcml-up1Gbit-s": 1}


@pytest.mark.parametrize("label", ["seed1", "learning2-seed3", ""])
def test_a_label_of_seeds_alone_becomes_the_algorithm(tmp_path, label):
    assert load_run(write_run(tmp_path / "x", "fedavg", label=label or "seed9", shape=TINY)).label == "fedavg"


def test_study_and_run_folders_mix_and_each_run_counts_once(tmp_path):
    study = write_study(tmp_path / "s", ("gcml", "local"), shape=TINY)
    other = write_run(tmp_path / "t" / "gcml", "gcml", shape=TINY)
    found = load_study([study, study / "gcml", other])
    assert [run.label for run in found.runs] == ["gcml (s)", "local", "gcml (t)"]
    assert found.commands == ("medgossip run hospitals",)


def test_a_run_that_has_not_ended_is_named(tmp_path):
    study = write_study(tmp_path / "s", ("gcml", "local"), shape=TINY)
    (study / "local" / "manifest.json").unlink()
    assert load_study([study]).problems == (
        "run local has no manifest.json: it has not ended, and is left out",
    )


def test_missing_tables_are_listed_and_empty(tmp_path):
    folder = write_run(tmp_path / "x", "gcml", shape=TINY)
    (folder / "links.parquet").unlink()
    run = load_run(folder)
    assert run.missing == ("links",)
    assert run.tables["links"].is_empty()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("nothing", None, "neither study.json nor manifest.json"),
        ("manifest.json", "{", "cannot be read as JSON"),
        ("manifest.json", "[]", "expected a mapping, found list"),
        ("manifest.json", json.dumps({"run_id": "x"}), "label, scenario, algorithm"),
        ("study.json", json.dumps({"points": []}), "holds no run folder"),
    ],
)
def test_what_is_no_run_is_said_so(tmp_path, name, text, says):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ScenarioError, match=says):
        load_study([tmp_path])


def test_a_run_is_measured_once_whoever_asks(tmp_path):
    asked = []

    @remembered
    def measure(run, *, split):
        asked.append((run.label, split))
        return len(asked)

    first, second = (load_run(write_run(tmp_path / name, name, shape=TINY)) for name in ("gcml", "local"))
    found = [measure(run, split=split) for run in (first, second, first) for split in ("val", "test", "val")]
    assert found == [1, 2, 1, 3, 4, 3, 1, 2, 1]
    assert asked == [("gcml", "val"), ("gcml", "test"), ("local", "val"), ("local", "test")]


def test_no_folder_is_an_error():
    with pytest.raises(ScenarioError, match="no folder given"):
        load_study([])

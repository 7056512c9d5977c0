"""Tables of what happened on the way."""

import pytest

from simulator.record.measures_run import load_study
from simulator.report.incidents import faults, problems
from tests.report.fixtures import write_swept


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "hospitals-1"
    return load_study([write_swept(folder, ("gcml", "fedavg", "local"), seeds=range(1, 7))])


def test_few_faults_are_told_run_by_run(many):
    few = [run for run in many.runs if "none" not in run.label][:4]
    struck, idle = faults(few)
    assert (struck.title, struck.head[0]) == ("Faults that struck", "run")
    assert [row[0] for row in struck.rows] == [str(run.manifest["run_id"]) for run in few]
    assert "the run ended at" in idle.rows[-1][-1]


def test_many_are_told_by_method_and_kind_as_means_over_runs(many):
    struck, idle = faults(many.runs)
    plain, _ = faults([run for run in many.runs if run.label == struck.rows[0][0]])
    assert struck.title == "Faults that struck, means over runs"
    labels = {run.label for run in many.runs if "none" not in run.label}
    assert {row[0] for row in struck.rows} == labels
    assert all(row[2] == "1" for row in struck.rows), "each strikes once a run"
    assert struck.rows[0][3] == plain.rows[0][3].partition(" (")[0], "all last equally long"
    assert {row[1] for row in struck.rows} == {"disconnect sites", "crash server"}
    whys = [row for row in idle.rows if row[1] == "{at: 99 d, disconnect: hill}"]
    assert len(whys) == 1
    assert whys[0][-1].startswith("the run ended at ")


def test_of_runs_that_are_not_shown_only_failures_are_told(many):
    shown = {run.folder for run in many.runs if "none" in run.label}
    assert any("never fired" in text for text in problems(many))
    assert not any("never fired" in text for text in problems(many, shown))

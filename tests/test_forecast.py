"""What a study takes, told before anything like it was done, against what it then took."""

import math

import pytest

from simulator.commands.results import print_forecast
from simulator.forecast import forecast
from simulator.scenario import load_study
from simulator.work.costs import Source, noted
from simulator.work.sampling import Sample
from tests.test_end_to_end import FLAT, go, write


@pytest.fixture(scope="module")
def foreseen(tmp_path_factory):
    """A study, its store, and what is told of it first and then."""
    folder = tmp_path_factory.mktemp("foreseen")
    path, told = write(folder, **FLAT), []
    found = [
        forecast(
            load_study(str(path)), out=folder, jobs=2, device="cpu", store=folder / "store", tell=told.append
        )
        for _ in range(2)
    ]
    return path, found, told


def test_with_an_empty_store_some_tasks_are_done_as_a_sample_once(foreseen):
    path, (first, second), told = foreseen
    assert len(told) == 1
    assert told[0].startswith("never done with this store: ")
    assert first.sample is not None
    assert first.sample.num_tasks > 10
    assert second.sample is None
    assert list(first.estimate.parts) == list(second.estimate.parts) == [Source.SAMPLED]
    assert first.estimate.unmeasured == ()
    assert [row.num_known for row in first.rows] == [0] * 4
    for row in first.rows:
        assert row.work_s / 2 < row.wall_s < row.work_s, "two workers"
    assert [name.name for name in (path.parent / "store").glob("??")] == [], "no result is kept"


def test_it_takes_about_that(foreseen):
    path, (first, _), _ = foreseen
    go(path, path.parent / "runs", path.parent / "store")
    files = list((path.parent / "store").glob("??/*.safetensors"))
    assert math.isclose(first.rows[-1].new_nbytes, sum(one.stat().st_size for one in files), rel_tol=0.1)
    spent_s = math.fsum(cost.seconds for cost in noted(path.parent / "store").done.values())
    assert 0.1 < first.rows[-1].work_s / spent_s < 10, "what else the machine does may double or halve it"
    after = forecast(
        load_study(str(path)),
        out=path.parent,
        jobs=2,
        device="cpu",
        store=path.parent / "store",
        tell=pytest.fail,
    )
    assert [row.num_new for row in after.rows] == [0] * 4


def test_what_could_not_be_measured_is_named_and_not_zero(foreseen, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("simulator.forecast.sample", lambda jobs, wanted, device: Sample(device=device))
    study = load_study(str(foreseen[0]))
    found = forecast(study, out=tmp_path, jobs=2, device="cpu", store=tmp_path / "store", tell=lambda _: None)
    assert {"read", "train"} < set(found.estimate.unmeasured)
    assert [(row.work_s, row.new_nbytes) for row in found.rows] == [(None, None)] * 4
    print_forecast(found)
    out, err = capsys.readouterr()
    assert "estimated from" not in out
    assert err.startswith("warning: not in work and store: ")
    assert err.endswith("with --only gcml\n")

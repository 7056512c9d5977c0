"""Long tables of a study: conditions, units, partners; standings over what methods share."""

from dataclasses import replace

import polars as pl
import pytest

from simulator.record.measures_conditions import conditions, magnitude
from simulator.record.measures_estimates import estimate
from simulator.record.measures_frames import frames
from simulator.record.measures_run import by_unit, load_study
from simulator.record.measures_standing import standings
from simulator.statistics.intervals import interval
from tests.record.runs_for_tests import made_run
from tests.report.fixtures import Shape, write_study, write_swept


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = write_swept(tmp_path_factory.mktemp("runs") / "s", ("gcml", "local", "pooled"), seeds=(1, 2))
    return load_study([folder]).runs


def test_keys_that_vary_together_are_one_condition(study):
    found = frames(study).conditions
    assert [(one.name, one.values) for one in found] == [
        ("faults", ("none", "every exp(2 h), crash hill")),
        ("down", ("1 Mbit/s", "4 Mbit/s")),
    ]
    assert study[0].label == "gcml, faults none, down 1 Mbit/s"
    assert len({run.label for run in study}) == 9, "seeds share a label, whatever their folders are called"


def test_what_lacks_the_telling_key_is_named_by_all_it_has():
    faults = [[{"at": "5 s", "crash": "server", "for": "2 h"}], [{"at": "5 s", "crash": "server"}]]
    runs = [
        replace(one, manifest={**one.manifest, "swept": {"faults": own}})
        for one, own in zip([made_run(), made_run()], faults, strict=True)
    ]
    assert conditions(runs)[0].values == ("for 2 h", "for good")


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", 3.0), ("10 ms", 0.01), ("8 Mbit/s", 1e6), ("2 MB", 2e6), ("none", None), ("every exp(2 h)", None)],
)
def test_values_that_are_numbers_have_a_size(text, number):
    assert magnitude(text) == number


def test_runs_of_one_learning_seed_are_one_repetition():
    runs = [made_run(seeds=seeds) for seeds in ((1, 1), (1, 2), (2, 1))]
    assert by_unit(zip(runs, [1.0, 3.0, 5.0], strict=True)) == [2.0, 5.0]
    assert by_unit(zip(runs[:2], [1.0, 3.0], strict=True)) == [1.0, 3.0]


def test_pooled_training_serves_all_conditions_of_its_seed(study):
    rows = frames(study).runs
    pooled = {row["learning"]: row["dice_mean"] for row in rows.filter(method="pooled").iter_rows(named=True)}
    for row in rows.filter(method="gcml").iter_rows(named=True):
        assert row["over_pooled"] == pytest.approx(row["dice_mean"] - pooled[row["learning"]])


def test_an_estimate_averages_before_it_resamples(study):
    found = frames(study)
    rows = found.runs.filter(method="gcml")
    assert rows.height == 8
    expected = [rows.filter(unit=unit)["dice_mean"].mean() for unit in (1, 2)]
    assert estimate(found, pl.col("method") == "gcml", "dice_mean") == interval(expected)
    over_sites = estimate(found, pl.col("method") == "gcml", "dice_mean", "sites")
    assert (over_sites.count, over_sites.mean) == (5, pytest.approx(rows["dice_mean"].mean()))
    over_cases = estimate(found, pl.col("method") == "gcml", "dice_mean", "cases")
    assert (over_cases.count, over_cases.mean) == (2 + 3 + 4 + 5 + 6, pytest.approx(rows["dice_mean"].mean()))
    with pytest.raises(ValueError, match="dice_worst has no interval over cases"):
        estimate(found, pl.col("method") == "gcml", "dice_worst", "cases")


def test_standings_compare_under_the_conditions_that_all_have(study):
    found = standings(frames(study))
    assert [one.method for one in found.methods] == ["gcml", "local"]
    assert (found.left_out, found.num_conditions, found.unit) == (("pooled",), 4, "learning seed")
    assert found.verdict.refusal.startswith("No test: 2 paired learning seeds")
    chance = found.improvement["gcml", "local"]
    assert chance.mean == 1.0


def test_a_reference_with_few_conditions_decides_which_are_compared(study):
    found = standings(frames(study), reference="pooled")
    assert [one.method for one in found.methods] == ["gcml", "local", "pooled"]
    assert (found.left_out, found.num_conditions) == ((), 1)
    assert [(pair.first, pair.second) for pair in found.verdict.pairs] == [
        ("pooled", "gcml"),
        ("pooled", "local"),
    ]


def test_enough_seeds_are_tested(tmp_path):
    seeds = tuple(range(1, 8))
    shape = Shape(rounds=2, overlays=False, num_sites=3)
    folder = write_study(tmp_path, ("gcml", "local", "fedavg"), seeds=seeds, shape=shape)
    found = standings(frames(load_study([folder]).runs))
    assert found.verdict.refusal == ""
    pair = found.verdict.pairs[0]
    assert (pair.first, pair.second, pair.comparison.better) == ("gcml", "local", 7)
    assert pair.p_adjusted == pytest.approx(3 * 2 / 2**7)
    assert found.verdict.friedman_p < 0.05


def test_nothing_evaluated_has_no_standing():
    assert standings(frames([made_run()])) is None

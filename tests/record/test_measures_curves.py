import numpy as np
import polars as pl
import pytest

from simulator.record.measures_curves import band, curve, reach, spent, survival
from tests.record.runs_for_tests import dice, made_run, moved

ROWS = [
    dice("a", 0.4, time_s=10.0, round_=0),
    dice("b", 0.6, time_s=20.0, round_=0),
    dice("a", 0.8, time_s=30.0, round_=1),
]


def test_a_site_keeps_its_last_model_and_the_curve_begins_when_all_have_one():
    points = curve(
        made_run(metrics=ROWS, transfers=[moved(0, 100, 5.0), moved(1, 50, 25.0), moved(2, 9, 40.0)])
    )
    assert points["time_s"].to_list() == [20.0, 30.0]
    assert points["dice_mean"].to_list() == pytest.approx([0.5, 0.7])
    assert points["dice_worst"].to_list() == pytest.approx([0.4, 0.6])
    assert points["round"].to_list() == [0.0, 0.5]
    assert points["carried_nbytes"].to_list() == [100, 150]


def test_a_site_that_joins_is_not_waited_for():
    faults = [{"fault": 0, "verb": "join", "node": "b", "time_s": 15.0, "status": "fired"}]
    points = curve(made_run(metrics=ROWS, faults=faults))
    assert points["time_s"].to_list() == [10.0, 20.0, 30.0]
    assert points["num_sites"].to_list() == [1, 2, 2]


def test_only_bytes_over_the_busiest_link_count_for_it():
    links = [{"link": "a.up", "carried_nbytes": 150}, {"link": "c.up", "carried_nbytes": 30}]
    transfers = [
        moved(0, 100, 5.0),
        moved(1, 30, 7.0, src="c"),
        moved(2, 50, 7.0),
        moved(3, 9, 8.0, control=True),
    ]
    found = spent(made_run(links=links, transfers=transfers))
    assert found["carried_nbytes"].to_list() == [100, 180]
    assert found["busiest_nbytes"].to_list() == [100, 150]


def test_the_target_is_judged_on_validation_and_a_run_that_misses_it_is_censored():
    rows = [dice("a", 0.9, time_s=10.0), dice("a", 0.4, time_s=10.0, split="val")]
    rows.append(dice("a", 0.6, time_s=30.0, round_=1, split="val"))
    run = made_run(metrics=rows, transfers=[moved(0, 100, 20.0), moved(1, 11, 50.0)])
    assert reach(run, 0.5, cost="time_s").at == 30.0
    assert reach(run, 0.5, cost="carried_nbytes").at == 100.0
    missed = reach(run, 0.7, cost="carried_nbytes")
    assert (missed.at, missed.until) == (None, 111.0)
    assert reach(run, 0.7, cost="time_s").until == 100.0  # the end of the run, not its last score
    assert reach(made_run(metrics=rows[:1]), 0.5, cost="time_s") is None


def test_runs_that_miss_the_target_are_censored_at_their_end():
    rows = [dice("a", 0.9, time_s=t, split="val") for t in (10.0, 20.0)]
    early, late = (reach(made_run(metrics=[row]), 0.5, cost="time_s") for row in rows)
    never = reach(made_run(metrics=rows[:1], virtual_time_s=77.0), 0.95, cost="time_s")
    assert survival([never, late, early]).median == 20.0
    censored = survival([never, early, never])
    assert (censored.reached, censored.median, censored.last) == (1, None, 77.0)


def test_a_band_holds_the_last_value_of_a_run_that_has_ended():
    found = band(curves_of((1, [1.0, 3.0], [0.2, 0.4]), (2, [2.0, 5.0], [0.6, 0.8])), **TIME)
    assert found.x.tolist() == [2.0, 3.0, 5.0]
    np.testing.assert_allclose(found.mean, [0.4, 0.5, 0.6])
    assert np.all(found.low < found.mean)
    assert (found.count, found.kind) == (2, "student")
    assert band(curves_of(), **TIME) is None


def test_runs_with_the_same_seed_are_one_repetition():
    found = band(curves_of((1, [1.0], [0.2]), (1, [1.0], [0.4])), **TIME)
    assert (found.mean.tolist(), found.count) == (pytest.approx([0.3]), 1)
    assert found.low.tolist() == found.mean.tolist()


TIME = {"cost": "time_s", "score": "dice_mean"}


def curves_of(*runs):
    rows = [
        {"unit": unit, "run": str(place), "time_s": at, "dice_mean": value}
        for place, (unit, times, values) in enumerate(runs)
        for at, value in zip(times, values, strict=True)
    ]
    return pl.DataFrame(
        rows, schema={"unit": pl.Int64, "run": pl.String, "time_s": pl.Float64, "dice_mean": pl.Float64}
    )

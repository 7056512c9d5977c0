import pytest

from simulator.record.measures import quality, summarize, summary, traffic
from tests.record.runs_for_tests import dice, made_run, moved
from tests.report.fixtures import Shape, write_run


def test_bytes_are_delivered_wasted_or_in_flight_and_control_is_apart():
    run = made_run(transfers=[
        moved(0, 100, 5.0),
        moved(1, 100, 6.0, carried=40, status="failed"),
        moved(1, 100, 9.0, attempt=2),
        moved(2, 100, 100.0, carried=7, status="in_flight"),
        moved(3, 256, 2.0, control=True),
    ])  # fmt: skip
    found = traffic(run)
    assert (found.transmissions, found.transmissions_delivered) == (3, 2)
    assert found.carried_nbytes == 247
    assert found.carried_nbytes == found.delivered_nbytes + found.wasted_nbytes + found.in_flight_nbytes
    assert (found.wasted_nbytes, found.in_flight_nbytes, found.control_nbytes) == (40, 7, 256)


def test_what_is_missing_is_none_and_never_zero():
    found = summarize(made_run(missing=("transfers", "links", "work")))
    assert found.traffic.carried_nbytes is None
    assert found.traffic.busiest_nbytes is None
    assert found.effort.lost_s is None
    assert found.quality.dice_mean is None
    assert found.quality.missed is None
    assert traffic(made_run()).carried_nbytes == 0  # here the table is there and empty


def test_busiest_link_is_the_first_by_name_among_equals():
    links = [{"link": name, "carried_nbytes": nbytes} for name, nbytes in (("c", 5), ("b", 9), ("a", 9))]
    found = traffic(made_run(links=links))
    assert (found.busiest_link, found.busiest_nbytes) == ("a", 9)


def test_means_over_sites_weighted_and_not_and_the_worst():
    rows = [dice("big", 0.9, case=c, selection="selected") for c in "abc"]
    rows += [dice("small", 0.5, selection="selected"), dice("big", 0.1)]  # the last is not the selected model
    found = quality(made_run(metrics=rows))
    assert found.dice_mean == pytest.approx(0.7)
    assert found.dice_weighted == pytest.approx(0.8)
    assert (found.dice_worst, found.worst_site) == (0.5, "small")


def test_a_missed_structure_counts_zero_whatever_was_written_and_an_excluded_one_not_at_all():
    kinds = ((0.8, "ok"), (None, "missed"), (0.6, "false_alarm"), (None, "both_empty"))
    rows = [dice("s", v, structure=str(i), status=k, selection="selected") for i, (v, k) in enumerate(kinds)]
    found = quality(made_run(metrics=rows))
    assert found.dice_mean == pytest.approx(0.8 / 3)
    assert (found.missed, found.false_alarms) == (1, 1)


def test_effort_counts_lost_work_extra_compute_and_outcomes():
    work = [
        {"node": "a", "start_s": 0.0, "end_s": 10.0, "status": "done", "flop": 100.0, "extra_flop": 25.0},
        {"node": "a", "start_s": 10.0, "end_s": 14.0, "status": "lost", "flop": 0.0, "extra_flop": 0.0},
    ]
    outcomes = [
        '{"accepted": true}',
        '{"accepted": false}',
        '{"accepted": true, "val_loss": NaN}',
        '{"other": 1}',
        "",
    ]
    events = [{"seq": i, "event": "mutual_outcome", "detail": text} for i, text in enumerate(outcomes)]
    found = summarize(made_run(work=work, events=events)).effort
    assert (found.extra_share, found.lost_s, found.lost_tasks) == (0.25, 4.0, 1)
    assert (found.accepted, found.rejected) == (2, 1)


def test_summary_of_a_folder_has_the_columns_of_the_terminal(tmp_path):
    line = summary(write_run(tmp_path / "gcml", "gcml", shape=Shape(rounds=2, overlays=False)))
    assert list(line) == ["label", "status", "virtual_time_s", "GB", "dice_mean", "dice_worst"]
    plan = summary(write_run(tmp_path / "plan", "gcml", shape=Shape(rounds=2, plan=True)))
    assert plan["dice_mean"] is None

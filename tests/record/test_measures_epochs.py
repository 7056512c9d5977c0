"""Local epochs of runs that ended, were stopped, or had a warm-up."""

from dataclasses import replace

import pytest

from simulator.record.measures_epochs import epochs_done, epochs_planned, rounds_planned, stopped, with_stop
from tests.record.runs_for_tests import made_run


def work(round_, *, node="a", flop=10.0, task="train", status="done", extra=0.0):
    return {"node": node, "task": task, "key": "k", "round": round_, "start_s": 0.0, "end_s": 1.0,
            "status": status, "flop": flop, "extra_flop": extra}  # fmt: skip


def ended(round_, node="a"):
    return {"seq": round_, "time_s": 1.0, "node": node, "event": "round", "round": round_, "detail": ""}


def run_of(settings, rows, rounds):
    made = made_run(work=rows, events=[ended(number) for number in range(rounds)])
    return replace(made, scenario={"algorithm": settings})


def test_a_round_that_did_not_end_does_not_count():
    run = run_of({"epochs": 4, "local_epochs": 1}, [work(0), work(1), work(2)], 2)
    assert epochs_done(run) == 2
    assert stopped(run)
    assert with_stop("fedavg", [run]) == "fedavg (stopped after 2 of 4 local epochs)"


def test_a_warmup_of_several_epochs_in_one_task_counts_by_its_operations():
    rows = [work(None, flop=40.0), work(0), work(1, task="mutual", flop=21.0, extra=10.0)]
    run = run_of({"epochs": 6}, rows, 2)
    assert epochs_done(run) == pytest.approx(6)
    assert not stopped(run)
    assert with_stop("gcml", [run]) == "gcml"


def test_a_site_not_chosen_in_every_round_was_not_stopped():
    run = run_of({"rounds": 3, "local_epochs": 2}, [work(0), work(2)], 3)
    assert epochs_done(run) == 4
    assert epochs_planned(run) == 6
    assert not stopped(run)


def test_a_round_of_the_server_may_hold_several_of_a_region():
    settings = {"epochs": 8, "local_epochs": 2, "edge_rounds": 2}
    whole = run_of(settings, [work(number) for number in range(4)], 2)
    assert (epochs_done(whole), rounds_planned(whole), stopped(whole)) == (8, 2, False)
    half = run_of(settings, [work(number) for number in range(4)], 1)
    assert (epochs_done(half), stopped(half)) == (4, True)
    assert epochs_planned(run_of({"rounds": 2, "edge_rounds": 2}, [], 0)) == 4

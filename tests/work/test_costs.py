import pytest

from simulator.work.costs import Cost, Notes, Source, declared, estimate, kind_of, note, noted
from simulator.work.jobs import Job

RECIPE = {"dataset": {"name": "d"}, "network": {"name": "n"}, "optimizer": {"name": "adam", "lr": 1}}
OTHER_RATE = RECIPE | {"optimizer": {"name": "adam", "lr": 2}}
OTHER_NETWORK = RECIPE | {"network": {"name": "m"}}


def job(key, task="train", *, recipe=RECIPE, flop=0.0, inputs=(), data=("cases",)):
    return Job(
        key=key, task=task, function="", inputs=inputs, data=data, params={}, site="a", seed=1,
        recipe=recipe, flop=flop,
    )  # fmt: skip


def measured(one, seconds, nbytes):
    cost = declared(one)
    cost.seconds, cost.nbytes = seconds, nbytes
    return {kind_of(one, "cpu"): cost}


def notes(**options):
    found = Notes()
    found.add(measured(job("k", flop=10.0), 2.0, 100), **options)
    return found


@pytest.mark.parametrize(
    ("sampled", "wanted", "source", "cost"),
    [
        (False, job("x", flop=30.0), Source.DONE, (6.0, 100)),
        (True, job("x", flop=30.0), Source.SAMPLED, (6.0, 100)),
        (True, job("x", flop=30.0, recipe=OTHER_RATE), Source.ALIKE, (6.0, 100)),
        (True, job("x", "mutual", flop=60.0), Source.SCALED, (12.0, 100)),
        (True, job("x", "mutual", flop=60.0, recipe=OTHER_NETWORK), None, (0, 0)),
        (True, job("x", "aggregate", flop=60.0, data=()), None, (0, 0)),
    ],
)
def test_an_estimate_says_where_it_comes_from(sampled, wanted, source, cost):
    found = estimate([wanted], notes(sampled=sampled), "cpu")
    assert list(found.parts) == ([source] if source else [])
    assert (found.cost.seconds, found.cost.nbytes) == pytest.approx(cost)
    assert found.unmeasured == (() if source else (wanted.task,))
    assert estimate([wanted], notes(sampled=sampled), "cuda").unmeasured == (wanted.task,), "another machine"


def test_what_was_done_counts_before_what_was_sampled():
    both = notes(sampled=True)
    both.add(measured(job("k", flop=10.0), 5.0, 100))
    assert estimate([job("x", flop=10.0)], both, "cpu").cost.seconds == 5.0


def test_cases_count_where_a_task_puts_them_together_and_jobs_where_no_operations_are_declared():
    prepare, init = job("p", "prepare", flop=1e12, inputs=("1", "2")), job("i", "init", data=())
    known = Notes(done=measured(prepare, 2.0, 20) | measured(init, 0.5, 7))
    more = [
        job("q", "prepare", flop=1e12, inputs=("1", "2", "3")),
        *(job(key, "init", data=()) for key in "rs"),
    ]
    assert estimate(more, known, "cpu").cost == Cost(count=3, flop=0.0, pieces=5, seconds=4.0, nbytes=44)


def test_notes_come_back_and_cut_or_older_lines_are_left_out(tmp_path):
    note(tmp_path, measured(job("k", flop=10.0), 2.0, 100))
    note(tmp_path, measured(job("k", flop=10.0), 3.0, 50), sampled=True)
    with (tmp_path / "costs.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"task": "train", "with": "x", "count": 1, "flop": 1.0, "seconds": 9.0, "nbytes": 1}\n')
        file.write('{"task": "train", "rec')
    found = noted(tmp_path)
    assert [cost.seconds for cost in found.done.values()] == [2.0]
    assert [cost.seconds for cost in found.sampled.values()] == [3.0]

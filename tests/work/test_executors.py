import multiprocessing
import os
import signal

import numpy as np
import pytest

from simulator.errors import Diverged, NoValue, TaskFailed
from simulator.work.executors import PlanExecutor, PoolExecutor
from simulator.work.jobs import MODEL, Job
from simulator.work.pools import InlinePool, ProcessPool
from simulator.work.store import Store
from simulator.work.worker import Outcome

# no task here trains, but every task gets a context, and that wants a recipe
RECIPE = {
    "dataset": {
        "name": "declared",
        "channels": ["t1"],
        "structures": ["tumor"],
        "spatial_dims": 2,
        "item_shape": [8, 8],
    },
    "network": {"name": "unet", "channels": [4, 8]},
    "optimizer": {"lr": 0.1},
    "batch_size": 1,
}


def job(name, *inputs, function="add", flop=1.0, **params):
    return Job(
        key=name,
        task=function,
        function=f"tests.work.jobs_for_tests:{function}",
        inputs=inputs,
        data=(),
        params=params or {"value": 1},
        site=name[0],
        seed=1,
        recipe=RECIPE,
        flop=flop,
    )


@pytest.fixture(params=["inline", "processes"])
def executor(request, tmp_path):
    store = Store(tmp_path / "store")
    pool = InlinePool(store, "cpu") if request.param == "inline" else ProcessPool(store, "cpu", 2, {})
    executor = PoolExecutor(store, pool)
    yield executor
    executor.close()


def quiet(*_):
    pass


def test_only_the_ancestors_of_what_is_wanted_are_computed_once(executor):
    for one in [job("a0"), job("b0", "a0"), job("c0", "a0", "b0"), job("unused", "c0")]:
        executor.submit(one)
    assert executor.finish(["c0", "b0"], quiet) == {}
    # a = 1, b = a + 1 = 2, c = a + b + 1 = 4
    assert np.array_equal(executor.value("c0").arrays["model"], np.full(3, 4, dtype=np.float32))
    assert executor.tally.executed == {"add": 3}
    assert "unused" not in executor.store


def test_a_second_executor_reuses_everything(executor):
    executor.submit(job("a0"))
    executor.value("a0")
    again = PoolExecutor(executor.store, InlinePool(executor.store, "cpu"))
    again.submit(job("a0"))
    again.value("a0")
    assert (dict(again.tally.executed), dict(again.tally.reused)) == ({}, {"add": 1})


def test_a_failure_fails_its_descendants_and_nothing_else(executor):
    bad = job("b0", "a0", function="fail")
    for one in [job("a0"), bad, job("c0", "b0"), job("d0", "c0", "a0"), job("e0", "a0")]:
        executor.submit(one)
    errors = executor.finish(["d0", "e0"], quiet)
    assert set(errors) == {"d0"}
    assert isinstance(errors["d0"], TaskFailed)
    assert "ZeroDivisionError: no such luck" in str(errors["d0"])
    assert "key=b0" in str(errors["d0"])
    assert "e0" in executor.store
    # known to have failed: not tried again, also for users submitted later
    executor.submit(job("f0", "d0"))
    assert set(executor.finish(["f0"], quiet)) == {"f0"}


@pytest.mark.parametrize("longer", ["a0", "b0"])
def test_of_two_causes_the_same_one_is_told_whichever_came_first(tmp_path, longer):
    store = Store(tmp_path / "store")
    executor = PoolExecutor(store, InlinePool(store, "cpu"))
    for name in ("a0", "b0"):
        executor.submit(job(name, function="fail", flop=5.0 if name == longer else 1.0))
    executor.submit(job("c0", "a0", "b0"))
    assert "key=a0" in str(executor.finish(["c0"], quiet)["c0"])


def test_divergence_names_the_recipe(executor):
    executor.submit(job("a0", function="diverge"))
    errors = executor.finish(["a0"], quiet)
    assert isinstance(errors["a0"], Diverged)
    assert "key=a0" in str(errors["a0"])


def test_the_model_alone_is_handed_in_where_the_key_says_so(executor):
    for one in [job("a0"), job("b0", "a0" + MODEL)]:
        executor.submit(one)
    assert np.array_equal(executor.value("b0").arrays["model"], np.full(3, 2, dtype=np.float32))


def test_a_dead_worker_costs_its_task_not_the_run(tmp_path):
    store = Store(tmp_path / "store")
    told = []
    executor = PoolExecutor(store, ProcessPool(store, "cpu", 2, {}), tell=told.append)
    executor.submit(job("a0", function="die_once", marker=str(tmp_path / "marker")))
    executor.submit(job("b0", "a0"))
    try:
        assert executor.finish(["b0"], quiet) == {}
    finally:
        executor.close()
    assert executor.tally.executed == {"die_once": 1, "add": 1}
    assert told == ["die_once at a: its worker died; again"]


def test_a_disk_without_room_for_notes_hides_no_other_trouble(tmp_path):
    store = Store(tmp_path / "store")
    executor = PoolExecutor(store, InlinePool(store, "cpu"))
    executor.submit(job("a0"))
    executor.value("a0")
    (store.root / "costs.jsonl").mkdir()  # cannot be written to
    executor.close()


def test_a_worker_that_was_suspended_when_idle_does_not_keep_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.work.pools._LEAVE_S", 0.2)
    store = Store(tmp_path / "store")
    executor = PoolExecutor(store, ProcessPool(store, "cpu", 1, {}))
    executor.submit(job("a0"))
    os.kill(executor.value("a0").meta["pid"], signal.SIGSTOP)
    executor.close()


def test_a_worker_that_dies_in_the_middle_of_its_answer_is_replaced(tmp_path):
    store = Store(tmp_path / "store")
    pool = ProcessPool(store, "cpu", 1, {})
    pool.start(0, job("a0"))
    theirs, ours = multiprocessing.Pipe()
    os.write(theirs.fileno(), (100).to_bytes(4, "big") + b"half of it")
    theirs.close()
    real, pool._connections[0] = pool._connections[0], ours
    assert pool.wait() == [(0, job("a0"), None)]
    real.close()
    pool.close()


def test_two_workers_share_independent_work(tmp_path):
    store = Store(tmp_path / "store")
    executor = PoolExecutor(store, ProcessPool(store, "cpu", 2, {}))
    names = [f"{letter}0" for letter in "abcd"]
    for name in names:
        executor.submit(job(name, function="slow", value=1))
    seen = []
    try:
        executor.finish(names, lambda task, done, total: seen.append((done, total)))
        assert len({executor.value(name).meta["pid"] for name in names}) == 2
    finally:
        executor.close()
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_plan_has_no_values():
    executor = PlanExecutor()
    executor.submit(job("a0"))
    with pytest.raises(NoValue, match="outcome of add"):
        executor.value("a0")


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [damage, lambda path: path.unlink()])
def test_an_input_lost_after_it_was_seen_is_computed_again(executor, harm):
    for one in [job("a0"), job("b0", "a0"), job("c0", "b0"), job("d0", "b0", "c0")]:
        executor.submit(one)
    executor.value("b0")
    # a second process with the same store: it has seen b0, but not read it
    later = PoolExecutor(executor.store, InlinePool(executor.store, "cpu"))
    for one in [job("a0"), job("b0", "a0"), job("c0", "b0"), job("d0", "b0", "c0")]:
        later.submit(one)
    assert later.finish(["b0"], quiet) == {}
    harm(executor.store.path("b0"))
    executor.store.path("a0").unlink()
    seen = []
    assert later.finish(["d0"], lambda task, done, total: seen.append((done, total))) == {}
    # a = 1, b = 2, c = 3, d = 2 + 3 + 1
    assert np.array_equal(later.value("d0").arrays["model"], np.full(3, 6, dtype=np.float32))
    assert later.tally.executed == {"add": 4}
    assert seen[-1] == (4, 4)


@pytest.mark.parametrize("harm", [damage, lambda path: path.unlink()])
def test_a_value_lost_after_it_was_computed_is_computed_again(executor, harm):
    for one in [job("a0"), job("b0", "a0")]:
        executor.submit(one)
    executor.value("b0")
    harm(executor.store.path("b0"))
    assert np.array_equal(executor.value("b0").arrays["model"], np.full(3, 2, dtype=np.float32))
    assert executor.tally.executed == {"add": 3}


def test_an_input_that_never_stays_ends_the_job_and_its_users(executor, monkeypatch):
    for one in [job("a0"), job("b0", "a0"), job("c0", "b0")]:
        executor.submit(one)
    executor.value("a0")
    lost = Outcome(key="b0", seconds=0.0, nbytes=0, missing=("a0",))
    wait = executor._pool.wait

    def losing(timeout_s=None):
        ended = wait(timeout_s)
        return [(worker, one, lost if one.key == "b0" else outcome) for worker, one, outcome in ended]

    monkeypatch.setattr(executor._pool, "wait", losing)
    errors = executor.finish(["c0"], quiet)
    assert "were gone or damaged 3 times" in str(errors["c0"])


def test_ancestors_do_not_depend_on_the_store(executor):
    for one in [job("a0"), job("b0", "a0" + MODEL), job("c0", "b0"), job("other")]:
        executor.submit(one)
    executor.value("b0")
    assert executor.ancestors(["c0"]) == {"a0", "b0", "c0"}

import os
import sys
from types import SimpleNamespace

import pytest

from simulator.learning.numerics import WORKER_ENVIRONMENT
from simulator.work import pools
from simulator.work.executors import PoolExecutor
from simulator.work.pools import InlinePool, ProcessPool
from simulator.work.slots import Slots, slots
from simulator.work.store import Store
from tests.work.test_executors import job, quiet

VISIBLE = "CUDA_VISIBLE_DEVICES"


@pytest.mark.parametrize(
    ("free", "wanted", "told"),
    [
        ([24e9], 4, "GPU: 4 sites at a time, 5.7 GB each"),
        ([24e9], 64, "GPU: 11 sites at a time, 2.1 GB each"),
        ([1e9], 8, "GPU: 1 site at a time, 0.9 GB each"),
        ([24e9, 12e9], 1, "GPU: 1 site at a time, 22.8 GB each"),
        ([24e9, 12e9], 4, "2 GPUs: 4 sites at a time, 5.7 GB each"),
        ([24e9, 12e9], 5, "2 GPUs: 5 sites at a time, 3.8 GB each"),
        ([24e9, 12e9], 64, "2 GPUs: 10 sites at a time, 2.3 GB each"),
    ],
)
def test_gpus_are_shared_in_equal_parts_none_too_small(free, wanted, told):
    names = [str(number) for number in range(len(free))]
    assert str(slots(dict(zip(names, free, strict=True)), wanted)) == told


def test_what_memory_does_not_suffice_for_runs_again_with_fewer_beside_it(tmp_path):
    told, folder = [], tmp_path / "at work"
    folder.mkdir()
    store = Store(tmp_path / "store")
    executor = PoolExecutor(store, ProcessPool(store, "cpu", 2, {}), tell=told.append)
    names = [f"{letter}0" for letter in "abcd"]
    for name in names:
        executor.submit(job(name, function="hungry", folder=str(folder), most=1))
    executor.submit(job("e0", *names))
    executor.submit(job("f0", "e0", function="hungry", folder=str(folder), most=0))
    try:
        assert executor.finish(["e0"], quiet) == {}
        assert {line.partition(": ")[2] for line in told} == {"out of memory; again, 1 at a time from now on"}
        assert 1 <= len(told) <= 2
        errors = executor.finish(["f0"], quiet)
    finally:
        executor.close()
    assert "MemoryError: 1 at a time" in str(errors["f0"])
    assert [line for line in told if line.startswith("hungry at f")] == [
        "hungry at f: out of memory; again, 1 at a time from now on"
    ], "alone it tried again once"
    assert executor.tally.executed == {"hungry": 4, "add": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_torch_out_of_real_memory_costs_a_retry_in_a_larger_part(tmp_path):
    """Two workers cannot both have 1.2 GB of 2 GB, which the kernel limits; one can."""
    told, folder = [], tmp_path / "at work"
    folder.mkdir()
    store = Store(tmp_path / "store")
    executor = PoolExecutor(store, ProcessPool(store, "cpu", 2, WORKER_ENVIRONMENT), tell=told.append)
    for name in ("a0", "b0", "c0"):
        executor.submit(job(name, function="allocate", folder=str(folder)))
    executor.submit(job("d0", "a0", "b0", "c0"))
    try:
        assert executor.finish(["d0"], quiet) == {}
    finally:
        executor.close()
    assert {line.partition(": ")[2] for line in told} == {"out of memory; again, 1 at a time from now on"}
    assert executor.tally.executed == {"allocate": 3, "add": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_cases_of_other_sites_are_in_nobodys_way(tmp_path):
    told, folder = [], tmp_path / "at work"
    folder.mkdir()
    store = Store(tmp_path / "store")
    executor = PoolExecutor(store, ProcessPool(store, "cpu", 1, WORKER_ENVIRONMENT), tell=told.append)
    executor.submit(job("a0", function="keep_cases"))
    executor.submit(job("b0", "a0", function="allocate", folder=str(folder)))
    try:
        assert executor.finish(["b0"], quiet) == {}
    finally:
        executor.close()
    assert told == ["allocate at b: out of memory; again, 1 at a time from now on"]


def test_a_worker_that_the_system_killed_for_want_of_memory_has_less_beside_it(tmp_path, monkeypatch):
    told, counters = [], tmp_path / "vmstat"
    counters.write_text("pgfault 7\noom_kill 3\n", encoding="ascii")
    monkeypatch.setattr(pools, "_COUNTERS", counters)
    store = Store(tmp_path / "store")
    executor = PoolExecutor(store, ProcessPool(store, "cpu", 2, {}), tell=told.append)
    executor.submit(job("a0", function="killed", counters=str(counters), times=1))
    executor.submit(job("b0", "a0", function="killed", counters=str(counters), times=9))
    try:
        errors = executor.finish(["b0"], quiet)
    finally:
        executor.close()
    assert told == [
        "killed at a: out of memory; again, 1 at a time from now on",
        "killed at b: out of memory; again, 1 at a time from now on",
    ]
    assert "the system killed its worker for want of memory" in str(errors["b0"])


@pytest.mark.parametrize(("device", "same"), [("cpu", True), ("cuda", False)])
def test_after_an_error_on_a_gpu_the_process_is_another(tmp_path, monkeypatch, device, same):
    context = pools._context("cpu")  # nothing here touches a GPU
    monkeypatch.setattr(pools, "_context", lambda device: context)
    store = Store(tmp_path / "store")
    executor = PoolExecutor(store, ProcessPool(store, device, 1, {}))
    for one in (job("a0"), job("b0", function="fail"), job("c0")):
        executor.submit(one)
    try:
        first = executor.value("a0").meta["pid"]
        assert "b0" in executor.finish(["b0"], quiet)
        assert (executor.value("c0").meta["pid"] == first) == same
    finally:
        executor.close()


def test_without_workers_what_is_kept_goes_before_the_second_try(tmp_path):
    """The limit of the test before cannot be set for this process."""
    told, folder = [], tmp_path / "at work"
    folder.mkdir()
    store = Store(tmp_path / "store")
    executor = PoolExecutor(store, InlinePool(store, "cpu"), tell=told.append)
    executor.submit(job("a0", function="keep_cases"))
    executor.submit(job("b0", "a0", function="hungry", folder=str(folder), most=0))
    errors = executor.finish(["b0"], quiet)
    assert "MemoryError" in str(errors["b0"])
    assert told == ["hungry at b: out of memory; again, 1 at a time from now on"]
    executor.submit(job("c0", function="kept_cases"))
    assert executor.value("c0").meta["num_kept"] == 0
    executor.close()


class Line:
    """The parent's end of a connection to a worker that is not there."""

    def __init__(self):
        self.sent = []

    def send(self, what):
        self.sent.append(what)

    def close(self):
        pass


class Gone:
    def join(self, timeout_s=None):
        pass

    def kill(self):
        pass


def test_a_part_grows_as_the_number_halves(tmp_path, monkeypatch):
    lines = {}

    def spawn(pool, worker):
        lines[worker] = pool._connections[worker] = Line()
        pool._processes[worker] = Gone()

    monkeypatch.setattr(ProcessPool, "_spawn", spawn)
    pool = ProcessPool(Store(tmp_path), "cuda", 3, {}, Slots(count=3, gpus=("0",), nbytes=12e9))
    one, other = job("a0"), job("b0")
    pool.start(0, one)
    pool.start(1, other)
    pool._jobs.clear()
    assert (pool.make_room(one), pool.make_room(other)) == (1, 1), "one halving for both"
    assert pool.idle() == [0]
    assert lines[1].sent[-1] == (None, 0, False), "it was let go"
    assert 2 not in lines, "it was never needed"
    pool.start(0, one)
    assert lines[0].sent == [(one, 4e9, False), (one, 12e9, False)]
    pool._jobs.clear()
    assert (pool.make_room(one), pool.make_room(one)) == (1, 0), "once more, with nothing kept in memory"
    pool.close()


def test_workers_are_dealt_out_to_gpus_and_each_is_alone_on_one_in_the_end(tmp_path, monkeypatch):
    visible = {}

    class Context:
        @staticmethod
        def Pipe():  # noqa: N802 - as in multiprocessing
            return Line(), Line()

        @staticmethod
        def Process(**how):  # noqa: N802
            def start():
                visible[len(visible)] = os.environ[VISIBLE]

            return SimpleNamespace(start=start, join=lambda timeout_s=None: None, kill=lambda: None)

    monkeypatch.setattr(pools, "_context", lambda device: Context)
    monkeypatch.setenv(VISIBLE, "7,GPU-b")
    pool = ProcessPool(Store(tmp_path), "cuda", 5, {}, slots({"7": 24e9, "GPU-b": 12e9}, 5))
    jobs = [job(f"{letter}0") for letter in "abcde"]
    for worker, one in enumerate(jobs):
        pool.start(worker, one)
    assert visible == {0: "7", 1: "GPU-b", 2: "7", 3: "GPU-b", 4: "7"}
    assert os.environ[VISIBLE] == "7,GPU-b"
    assert [pool.make_room(one) for one in jobs[:2]] == [2, 2]
    pool._jobs.clear()
    assert pool.idle() == [0, 1]
    pool.start(1, jobs[1])
    assert pool._connections[1].sent[-1] == (jobs[1], pytest.approx(11.4e9), False), "all of its GPU"
    pool._jobs.clear()
    assert (pool.make_room(jobs[1]), pool.make_room(jobs[1])) == (2, 0)
    pool.close()

import pytest

from simulator.work.executors import PoolExecutor
from simulator.work.pools import ProcessPool
from simulator.work.slots import slots
from simulator.work.store import Store
from tests.work.test_executors import job, quiet


@pytest.mark.parametrize(
    ("free", "wanted", "told"),
    [
        (24e9, 4, "GPU: 4 sites at a time, 5.7 GB each"),
        (24e9, 64, "GPU: 11 sites at a time, 2.1 GB each"),
        (1e9, 8, "GPU: 1 site at a time, 0.9 GB each"),
    ],
)
def test_a_gpu_is_shared_in_equal_parts_none_too_small(free, wanted, told):
    assert str(slots(free, wanted)) == told


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
    assert executor.tally.executed == {"hungry": 4, "add": 1}


class Line:
    """The parent's end of a connection to a worker that is not there."""

    def __init__(self):
        self.sent = []

    def send(self, what):
        self.sent.append(what)

    def close(self):
        pass


class Gone:
    def join(self):
        pass


def test_a_part_grows_as_the_number_halves(tmp_path, monkeypatch):
    lines = {}

    def spawn(pool, worker):
        lines[worker] = pool._connections[worker] = Line()
        pool._processes[worker] = Gone()

    monkeypatch.setattr(ProcessPool, "_spawn", spawn)
    pool = ProcessPool(Store(tmp_path), "cuda", 3, {}, gpu_nbytes=12e9)
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
    assert pool.make_room(one) == 0
    pool.close()

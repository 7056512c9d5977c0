import pytest

from simulator.work.makespan import makespan_s
from tests.work.test_executors import job


def length(jobs, num_workers, **seconds):
    return makespan_s({one.key: one for one in jobs}, seconds, num_workers)


@pytest.mark.parametrize(("num_workers", "expected"), [(1, 16.0), (2, 9.0), (3, 7.0), (9, 7.0)])
def test_it_is_what_was_counted_by_hand(num_workers, expected):
    """One way of three jobs, 2 + 2 + 3 s, and three jobs of 3 s beside it.

    One worker does it all; of two, one does the way and the other 9 s; with three the way decides.
    """
    way = [job("a0", flop=2.0), job("a1", "a0", flop=2.0), job("a2", "a1", flop=3.0)]
    beside = [job(name, flop=3.0) for name in ("b0", "c0", "d0")]
    assert length([*way, *beside], num_workers, a0=2.0, a1=2.0, a2=3.0, b0=3.0, c0=3.0, d0=3.0) == expected


def test_the_longest_way_comes_first():
    """In another order the way would begin after 1 s, and end after 11 s."""
    jobs = [job("a0", flop=1.0), job("b0", flop=1.0), job("z0", flop=5.0), job("z1", "z0", flop=5.0)]
    assert length(jobs, 2, a0=1.0, b0=1.0, z0=5.0, z1=5.0) == 10.0


def test_what_is_there_already_is_not_waited_for():
    assert length([job("b0", "a0")], 1, b0=2.0) == 2.0
    assert length([], 2) == 0.0

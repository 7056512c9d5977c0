"""Work at a speed that changes; every number is worked out in the docstring."""

import pytest
import simpy

from simulator.sites.compute import Processor
from simulator.sites.workbench import Workbench


def bench(*changes, until=None):
    """Two pieces of 100 and 50 operations at 10 a second, and changes of (time, cause, level)."""
    env = simpy.Environment()
    work = Workbench(env, Processor(10.0, None))
    rows, ends = [["x", "t", "k", 0], ["x", "t", "l", 0]], []
    for row, flop in zip(rows, (100.0, 50.0), strict=True):
        work.add(row, flop, 0.0, row[2]).callbacks.append(lambda event: ends.append((event.value, env.now)))
    for time_s, cause, level in changes:
        env.timeout(time_s).callbacks.append(lambda _, c=cause, v=level: work.set_speed(c, v))
    env.run(until)
    return work, rows, ends


def test_work_in_progress_goes_on_at_the_new_speed():
    """Half speed from 4 s to 8 s: 40 + 20 operations by 8 s, 40 left: 12 s; the other ends at 17 s."""
    _, rows, ends = bench((4.0, 0, 0.5), (8.0, 0, None))
    assert ends == [("k", 12.0), ("l", 17.0)]
    assert [row[4:8] for row in rows] == [[0.0, 12.0, "done", 100.0], [12.0, 17.0, "done", 50.0]]


def test_the_latest_cause_counts_until_it_ends():
    """20/s from 2 s on, half of that from 4 s, for good: 20 + 40 by 4 s, 40 at 10/s: 8 s, 13 s."""
    assert bench((2.0, 0, "20 FLOP/s"), (4.0, 1, 0.5))[2] == [("k", 8.0), ("l", 13.0)]


def test_a_cut_counts_what_is_done():
    """10/s for 4 s, 5/s for 2: 50 operations of the first, none of the other."""
    work, rows, ends = bench((4.0, 0, 0.5), until=6.0)
    work.cut("lost")
    assert ends == []
    assert [row[6:8] for row in rows] == [["lost", pytest.approx(50.0)], ["lost", 0.0]]
    assert [row[4:6] for row in rows] == [[0.0, 6.0], [6.0, 6.0]]

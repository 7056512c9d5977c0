import numpy as np
import pytest
from scipy import stats

from simulator.rng import stream
from simulator.statistics.survival import kaplan_meier


def test_the_curve_is_that_of_scipy():
    costs = np.round(stream(1, "costs").exponential(10, 30), 0)
    reached = stream(1, "reached").random(30) < 0.7
    found = kaplan_meier(costs, reached)
    other = stats.ecdf(stats.CensoredData.right_censored(costs, ~reached)).sf
    assert found.share == pytest.approx(other.evaluate(found.at))
    assert (found.reached, found.count, found.last) == (int(reached.sum()), 30, costs.max())


def test_a_run_that_never_reaches_the_target_is_not_dropped():
    found = kaplan_meier([10.0, 20.0, 30.0, 40.0], [True, False, True, False])
    assert found.share.tolist() == pytest.approx([0.75, 0.375])
    assert found.median == 30.0
    assert kaplan_meier([3.0, 1.0, 2.0, 6.0], [True] * 4).median == 2.0


def test_where_fewer_than_half_reach_it_there_is_no_median():
    assert kaplan_meier([10.0, 50.0, 50.0], [True, False, False]).median is None
    assert kaplan_meier([5.0, 7.0], [False, False]).median is None
    with pytest.raises(ValueError, match="there must be"):
        kaplan_meier([], [])


def test_a_run_that_ends_at_an_event_is_still_at_risk_then():
    assert kaplan_meier([10.0, 10.0], [True, False]).share.tolist() == [0.5]

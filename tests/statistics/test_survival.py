import math

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


def test_without_censoring_the_mean_is_the_mean():
    found = kaplan_meier([3.0, 1.0, 2.0, 6.0], [True] * 4)
    mean, error = found.restricted_mean(6.0)
    assert mean == pytest.approx(3.0)
    assert error == pytest.approx(math.sqrt(np.var([3, 1, 2, 6]) / 4))
    assert found.restricted_mean(2.0)[0] == pytest.approx((2 + 1 + 2 + 2) / 4)
    assert found.median == 2.0


def test_a_run_that_never_reaches_the_target_is_not_dropped():
    found = kaplan_meier([10.0, 20.0, 30.0, 40.0], [True, False, True, False])
    assert found.share.tolist() == pytest.approx([0.75, 0.375])
    assert found.restricted_mean(40.0)[0] == pytest.approx(10 + 0.75 * 20 + 0.375 * 10)
    assert found.median == 30.0
    assert kaplan_meier([10.0, 20.0], [True, True]).restricted_mean(20.0)[0] < 20


def test_where_fewer_than_half_reach_it_there_is_no_median():
    found = kaplan_meier([10.0, 50.0, 50.0], [True, False, False])
    assert found.median is None
    with pytest.raises(ValueError, match="nothing is known beyond 50"):
        found.restricted_mean(60.0)
    nobody = kaplan_meier([5.0, 7.0], [False, False])
    assert (nobody.median, nobody.restricted_mean(7.0)[0]) == (None, 7.0)
    with pytest.raises(ValueError, match="there must be"):
        kaplan_meier([], [])


def test_a_run_that_ends_at_an_event_is_still_at_risk_then():
    assert kaplan_meier([10.0, 10.0], [True, False]).share.tolist() == [0.5]

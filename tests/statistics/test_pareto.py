import pytest

from simulator.rng import stream
from simulator.statistics.pareto import front


def test_the_front_is_what_nobody_dominates():
    costs, scores = stream(1, "c").integers(0, 12, 60).tolist(), stream(1, "s").integers(0, 12, 60).tolist()

    def dominated(i):
        return any(
            costs[j] <= costs[i] and scores[j] >= scores[i] and (costs[j], scores[j]) != (costs[i], scores[i])
            for j in range(60)
        )

    assert sorted(front(costs, scores)) == [i for i in range(60) if not dominated(i)]


def test_it_is_ordered_by_cost_and_keeps_equals():
    assert front([3, 1, 1, 2], [0.9, 0.5, 0.5, 0.4]) == [1, 2, 0]
    assert front([], []) == []
    with pytest.raises(ValueError, match="as many"):
        front([1.0], [])

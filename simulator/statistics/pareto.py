"""Which methods nobody beats in both cost and score."""

from collections.abc import Sequence


def front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Return the indices on the Pareto front by ascending cost: none is cheaper and as good, or better
    and as cheap. Of equals, all are on it.

    Raises:
        ValueError: not as many costs as scores.
    """
    if len(costs) != len(scores):
        raise ValueError(f"{len(costs)} costs and {len(scores)} scores; there must be as many")
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -scores[i]))
    found: list[int] = []
    for index in order:
        last = found[-1] if found else None
        equal = last is not None and (costs[last], scores[last]) == (costs[index], scores[index])
        if last is None or scores[index] > scores[last] or equal:
            found.append(index)
    return found

"""Where the nodes of a network lie on its map: machines on a circle, what joins them within."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from simulator.report.text import natural

Point = tuple[float, float]
OWN_ROUTER_RADIUS = 0.72
_PULL = 0.35  # of a machine on the routers within, against that of one router on another


def places(machines: Collection[str], pairs: Sequence[tuple[str, str]]) -> dict[str, Point]:
    """Return a place for every node within the unit circle.

    Machines lie on the circle, those that share a router side by side; a router that is one machine's
    own lies on the way from it to the middle. All others lie at the mean of their neighbors (Tutte,
    "How to draw a graph", Proceedings of the London Mathematical Society, 1963).

    Args:
        machines: those that lie on the circle.
        pairs: the two ends of every link.
    """
    neighbors: dict[str, set[str]] = {name: set() for name in machines}
    for a, b in pairs:
        neighbors.setdefault(a, set()).add(b)
        neighbors.setdefault(b, set()).add(a)
    found: dict[str, Point] = {}
    ordered = sorted(machines, key=lambda name: _order(name, neighbors))
    for index, name in enumerate(ordered):
        angle = 2 * np.pi * index / len(ordered) + np.pi / 2
        found[name] = (float(np.cos(angle)), float(np.sin(angle)))
        own = f"@{name}"
        if own in neighbors:
            found[own] = (OWN_ROUTER_RADIUS * found[name][0], OWN_ROUTER_RADIUS * found[name][1])
    free = sorted(neighbors.keys() - found.keys(), key=natural)
    return found | dict(zip(free, _means(free, neighbors, found), strict=True))


def _order(name: str, neighbors: Mapping[str, Collection[str]]) -> tuple[object, object]:
    """Machines on one router stay together; one on a router of its own stands by its name."""
    router = min(neighbors[name], key=natural, default=name)
    return natural(name if router == f"@{name}" else router), natural(name)


def _means(
    free: Sequence[str], neighbors: Mapping[str, Collection[str]], fixed: Mapping[str, Point]
) -> list[Point]:
    """Every free node at the weighted mean of its neighbors."""
    number = {name: index for index, name in enumerate(free)}
    matrix, side = np.eye(len(free)), np.zeros((len(free), 2))
    for name, index in number.items():
        weights = {other: _PULL if other in fixed else 1.0 for other in sorted(neighbors[name])}
        total = sum(weights.values())
        for other, weight in weights.items():
            if other in fixed:
                side[index] += weight / total * np.asarray(fixed[other])
            else:
                matrix[index, number[other]] -= weight / total
    solved = np.linalg.lstsq(matrix, side, rcond=None)[0]  # singular where nothing holds a part
    return [(float(x), float(y)) for x, y in solved]

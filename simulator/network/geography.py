"""Distances on Earth, and how long light takes for them in fiber."""

from collections.abc import Sequence

import numpy as np

from simulator.scenario.topologies import Coordinates, Position

EARTH_RADIUS_KM = 6371.0088
"""Mean radius (2a + b) / 3 of the ellipsoid GRS 80 (Moritz, "Geodetic Reference System 1980", Journal of
Geodesy 74, 2000); a sphere is off by up to 0.6 %.
"""


def distances_km(positions: Sequence[Position]) -> np.ndarray:
    """Return great-circle distances in kilometers, (n, n), by the haversine formula."""
    lat = np.radians([position.lat for position in positions])
    lon = np.radians([position.lon for position in positions])
    across = np.sin((lat[:, None] - lat[None]) / 2) ** 2
    along = np.cos(lat[:, None]) * np.cos(lat[None]) * np.sin((lon[:, None] - lon[None]) / 2) ** 2
    chord = np.clip(across + along, 0.0, 1.0)
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(chord)))


def latency_s(distance_km: float, kind: Coordinates) -> float:
    """Return the time that light takes one way, in seconds."""
    return distance_km * kind.stretch / kind.fiber_km_per_s


def nearest(distance: np.ndarray, num_neighbors: int | None) -> list[tuple[int, int]]:
    """Return which points are linked, each pair once, sorted.

    Args:
        distance: (n, n), symmetric.
        num_neighbors: everyone is linked with that many nearest, and by the minimum spanning tree, so
            that all are connected; None: everyone with everyone.
    """
    num = len(distance)
    if num_neighbors is None:
        return [(a, b) for a in range(num) for b in range(a + 1, num)]
    pairs = set(_spanning_tree(distance))
    for point in range(num):
        by_distance = np.argsort(distance[point], kind="stable")
        others = [int(other) for other in by_distance if other != point][:num_neighbors]
        pairs |= {(min(point, other), max(point, other)) for other in others}
    return sorted(pairs)


def _spanning_tree(distance: np.ndarray) -> list[tuple[int, int]]:
    """The minimum spanning tree by Prim's algorithm, from point 0."""
    num = len(distance)
    to_tree, link = distance[0].copy(), np.zeros(num, dtype=int)
    outside = np.arange(num) != 0
    found = []
    while outside.any():
        fresh = int(np.flatnonzero(outside)[np.argmin(to_tree[outside])])
        found.append((min(fresh, int(link[fresh])), max(fresh, int(link[fresh]))))
        outside[fresh] = False
        nearer = distance[fresh] < to_tree
        to_tree[nearer], link[nearer] = distance[fresh][nearer], fresh
    return found

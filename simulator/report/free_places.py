"""Where a text hides least: the first place of those given that covers least of what is there already."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from matplotlib.axes import Axes

Point = tuple[float, float]
_OVER_TEXT = 100.0  # as bad as covering so many points of lines
_OUT_OF_THE_WAY = 8.0  # likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in the coordinates of the drawing."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def around(cls, at: Point, width: float, height: float) -> "Box":
        """The box of these edges with its middle at a point."""
        x, y = at
        return cls(left=x - width / 2, bottom=y - height / 2, right=x + width / 2, top=y + height / 2)

    def overlap(self, other: "Box") -> float:
        """The part of the smaller one that both have in common, from 0 to 1."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        if width <= 0 or height <= 0:
            return 0.0
        return width * height / min(self.area, other.area)

    @property
    def middle(self) -> Point:
        """Its middle."""
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2

    @property
    def area(self) -> float:
        """Its area."""
        return (self.right - self.left) * (self.top - self.bottom)

    def num_inside(self, points: np.ndarray) -> int:
        """How many of ``points`` (points, 2) it covers."""
        x, y = points.T
        inside = (self.left < x) & (x < self.right) & (self.bottom < y) & (y < self.top)
        return int(inside.sum())


@dataclass(slots=True, kw_only=True)
class FreePlaces:
    """A drawing that is filled: ``lines`` are points (points, 2) on all of its lines and marks, ``texts`` the
    boxes of what was written. Everything is in the coordinates of the axes' data, whose limits are set.
    """

    axes: Axes
    lines: np.ndarray
    texts: list[Box] = field(default_factory=list)

    def size_of(self, text: str, font_size: float) -> tuple[float, float]:
        """Width and height of a text."""
        probe = self.axes.text(0, 0, text, fontsize=font_size)
        extent = probe.get_window_extent().transformed(self.axes.transData.inverted())
        probe.remove()
        return float(extent.width), float(extent.height)

    def take(self, middles: Sequence[Point], width: float, height: float, *, corners: bool = False) -> Point:
        """Return the one of ``middles`` where a text of this size hides least, the first of equals, and
        keep it free of what comes later. With ``corners`` those of the drawing will do, too, nearest first,
        if the text would else hide much.
        """
        boxes = [Box.around(at, width, height) for at in middles]
        costs = [self._cost(box) for box in boxes]
        if corners:
            further = [Box.around(at, width, height) for at in self._corners(middles, width, height)]
            boxes += further
            costs += [self._cost(box) + _OUT_OF_THE_WAY for box in further]
        best = boxes[costs.index(min(costs))]
        self.texts.append(best)
        return best.middle

    def _corners(self, near: Sequence[Point], width: float, height: float) -> list[Point]:
        """Middles of a text in the corners of the drawing, the nearest to these points first."""
        x, y = np.mean(near, axis=0)
        (left, right), (bottom, top) = self.axes.get_xlim(), self.axes.get_ylim()
        xs, ys = (left + width / 2, right - width / 2), (bottom + height / 2, top - height / 2)
        return sorted(product(xs, ys), key=lambda at: (at[0] - x) ** 2 + (at[1] - y) ** 2)

    def _cost(self, box: Box) -> float:
        over_texts = sum(box.overlap(other) for other in self.texts)
        return _OVER_TEXT * over_texts + box.num_inside(self.lines)


def bow(src: Point, dst: Point, bend: float, num_points: int = 40) -> np.ndarray:
    """Points (points, 2) on the line that matplotlib's ``arc3`` draws with ``rad=bend``."""
    (x0, y0), (x1, y1) = src, dst
    across, along = x1 - x0, y1 - y0
    control = np.array([(x0 + x1) / 2 + bend * along, (y0 + y1) / 2 - bend * across])
    t = np.linspace(0.0, 1.0, num_points)[:, None]
    points: np.ndarray = (1 - t) ** 2 * np.array(src) + 2 * t * (1 - t) * control + t**2 * np.array(dst)
    return points


def beside_node(at: Point, width: float, height: float, gap: float) -> list[Point]:
    """Middles of a text near a mark: away from the origin first, then all around and a row further."""
    x, y = at
    right, up = (1 if x >= 0 else -1), (1 if y >= 0 else -1)
    side = [(x + s * (gap + width / 2), y + gap * y) for s in (right, -right)]
    rows = [(x, y + s * (gap + (row + 0.5) * height)) for row in (0, 1, 2) for s in (up, -up)]
    corners = [(px, py) for (px, _), (_, py) in product(side, rows[:2])]
    inside = float(np.hypot(x, y)) < 0.9
    if inside:
        return [*rows[1::-1], *side, *corners] if up > 0 else [*rows[:2], *side, *corners]
    return [rows[0], *side, *corners, rows[2]] if abs(x) < 0.3 else [*side[:1], *corners, *rows[::2]]


def beside_line(points: np.ndarray, width: float, height: float, gap: float) -> list[Point]:
    """Middles of a text near the middle of a line (points, 2): on either side, nearest first."""
    found = []
    for away, part in product((0.0, 0.12, 0.25, 0.4), (0.5, 0.35, 0.65)):
        here = points[round(part * (len(points) - 1))]
        along = points[-1] - points[0]
        normal = np.array([along[1], -along[0]]) / max(float(np.hypot(*along)), 1e-9)
        reach = gap + abs(normal[0]) * width / 2 + abs(normal[1]) * height / 2 + away
        found += [tuple(map(float, here + sign * reach * normal)) for sign in (1, -1)]
    return [(x, y) for x, y in found]

"""Names and loads on the map of a network: where they hide least."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.patches import ConnectionStyle

from simulator.report.free_places import Box, FreePlaces, beside_line, beside_node, bow
from simulator.report.style import COLUMN_IN, new_figure, styled

NOTHING = np.empty((0, 2))


@pytest.fixture
def axes():
    with styled():
        axes = new_figure(COLUMN_IN, COLUMN_IN).subplots()
        axes.set_xlim(-1.45, 1.45)
        axes.set_ylim(-1.25, 1.25)
        yield axes


def test_a_bow_is_the_line_that_is_drawn():
    src, dst = (0.1, -0.2), (0.9, 0.6)
    path = ConnectionStyle.Arc3(rad=0.12)(src, dst)
    (start, control, end), t = path.vertices, np.linspace(0, 1, 40)[:, None]
    drawn = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    np.testing.assert_allclose(bow(src, dst, 0.12), drawn, atol=1e-12)


def test_the_first_free_place_is_taken_and_kept_free(axes):
    free = FreePlaces(axes=axes, lines=np.array([[0.0, 0.0], [0.05, 0.0]]))
    middles = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
    assert [free.take(middles, 0.4, 0.2) for _ in range(2)] == [(1.0, 0.0), (0.0, 1.0)]
    assert free.take(middles, 0.4, 0.2) == (0.0, 0.0), "lines are hidden rather than texts"


def test_a_text_that_would_hide_much_goes_to_the_nearest_corner(axes):
    grid = np.array([(x, y) for x in np.linspace(-1, 1, 60) for y in np.linspace(-1, 1, 60)])
    free = FreePlaces(axes=axes, lines=grid)
    assert free.take([(0.3, 0.2)], 0.4, 0.2) == pytest.approx((0.3, 0.2))
    assert free.take([(0.3, 0.2)], 0.4, 0.2, corners=True) == pytest.approx((1.25, 1.15))


@pytest.mark.parametrize("num_sites", [3, 8, 20, 24])
def test_names_on_the_ring_cover_neither_each_other_nor_lines(axes, num_sites):
    angles = np.pi / 2 + 2 * np.pi * np.arange(num_sites) / num_sites
    places = [(float(np.cos(a)), float(np.sin(a))) for a in angles]
    lines = [bow(at, (0.0, 0.0), 0.12) for at in places] + [bow((0.0, 0.0), at, 0.12) for at in places]
    free = FreePlaces(axes=axes, lines=np.concatenate(lines))
    for number, at in enumerate(places):
        width, height = free.size_of(f"hospital-{number}", 7)
        free.take(beside_node(at, width, height, 0.06), width, height)
    assert all(one.overlap(other) == 0 for one, other in combinations(free.texts, 2))
    assert sum(box.num_inside(free.lines) for box in free.texts) == 0
    width, height = free.size_of("32 MB\nat 1 MB/s", 7)
    load = Box.around(
        free.take(beside_line(lines[0], width, height, 0.06), width, height, corners=True), width, height
    )
    assert all(load.overlap(other) == 0 for other in free.texts[:-1])
    assert load.num_inside(lines[0]) == 0

"""Panels with a row per site, and tiles over two conditions."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from simulator.record.measures_estimates import estimate, range_of
from simulator.report.panels import Part
from simulator.report.quantities import axis_of
from simulator.report.style import BLACK, Look, room_of_tick, ticks
from simulator.report.text import natural
from simulator.statistics.intervals import Interval, interval

_FEET = {
    "dice": (("mean over sites", "dice_mean"), ("worst site", "dice_worst")),
    "over_local": (("mean over sites", "over_local"),),
    "over_pooled": (("mean over sites", "over_pooled"),),
}

_SCALE = 14  # characters that the scale of colors beside tiles takes


def site_rows(part: Part, score: str) -> tuple[list[str], int]:
    """Return the words of the rows, and how many of them are sites."""
    table = part.whole.sites
    counts = dict(table.group_by("site").agg(pl.col("num_cases").max()).iter_rows())
    names = sorted(counts, key=natural)
    return [*(f"{name} ({counts[name]})" for name in names), *(foot for foot, _ in _FEET[score])], len(names)


def sites_panel(axes: Axes, part: Part, _: str, score: str) -> None:
    """Dots with intervals, a row per site and for their mean; single test cases pale behind them."""
    rows, num_sites = site_rows(part, score)
    names = [row.rsplit(" (", 1)[0] for row in rows[:num_sites]]
    present = [value for value in part.looks if _has(part, value, score)]
    for place, value in enumerate(present):
        look, chosen = part.looks[value], pl.col(part.hue) == value
        y = np.arange(len(rows)) + 0.62 * ((place + 0.5) / len(present) - 0.5)
        y[num_sites:] += 0.25
        if score == "dice":
            _cases(axes, part, chosen, dict(zip(names, y, strict=False)), look)
        found = [part.note(_of_site(part, chosen, name, score)) for name in names]
        found += [part.note(estimate(part.frames, chosen, column)) for _, column in _FEET[score]]
        _dots(axes, found, y, look, value)
    axes.set_yticks([i + 0.25 * (i >= num_sites) for i in range(len(rows))], rows)
    axes.set_ylim(len(rows) - 0.2, -0.6)
    axes.axhline(num_sites - 0.38, color=BLACK, linewidth=0.6)
    lines = np.arange(num_sites - 1) + 0.5
    axes.hlines(lines, 0, 1, transform=axes.get_yaxis_transform(), color="#dddddd", linewidth=0.4)
    if score != "dice":
        axes.axvline(0, color=BLACK, linewidth=0.6)
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0)
    # few, as numbers may be long
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
    axes.set_xlabel(axis_of(score, 1.0)[1])


def _has(part: Part, value: str, score: str) -> bool:
    rows = part.frames.sites
    return not rows.is_empty() and not rows.filter(pl.col(part.hue) == value)[score].drop_nulls().is_empty()


def _of_site(part: Part, chosen: pl.Expr, site: str, score: str) -> Interval | None:
    rows = part.frames.sites.filter(chosen & (pl.col("site") == site)).drop_nulls(score)
    means = rows.group_by("unit").agg(pl.col(score).mean()).sort("unit")[score].to_list()
    return interval(means, range_of(score))


def _cases(axes: Axes, part: Part, chosen: pl.Expr, place: dict[str, float], look: Look) -> None:
    """A small pale dot per test case, its mean over the runs that had it."""
    rows = part.frames.cases.filter(chosen).group_by("site", "case").agg(pl.col("dice").mean())
    rows = rows.sort("site", "case")
    y = [place[site] for site in rows["site"]]
    axes.plot(
        rows["dice"], y, "o", color=look.color, alpha=0.3, markersize=1.8, markeredgewidth=0, zorder=1.5
    )


def _dots(axes: Axes, cells: list[Interval | None], y: np.ndarray, look: Look, label: str) -> None:
    found = [(place, cell) for place, cell in zip(y, cells, strict=True) if cell is not None]
    axes.plot(
        [cell.mean for _, cell in found],
        [place for place, _ in found],
        look.marker,
        color=look.color,
        markerfacecolor=look.fill,
        markersize=4,
        label=label,
    )
    for place, cell in found:
        if cell.low is not None and cell.high is not None:
            axes.hlines(place, cell.low, cell.high, color=look.color, linewidth=0.9)


def heat_panel(
    axes: Axes, part: Part, axes_of: tuple[str, str], color: str, limits: tuple[float, float, float]
) -> AxesImage:
    """A tile per pair of values with its mean, lighter for larger numbers (cividis, safe for all eyes).

    ``limits``: smallest and largest value of the scale, in its unit, and the divisor to that unit.
    """
    x, y = axes_of
    across, up = (list(dict.fromkeys(part.whole.runs[name])) for name in axes_of)
    grid = np.full((len(up), len(across)), np.nan)
    for row, one in enumerate(up):
        for column, other in enumerate(across):
            found = estimate(part.frames, (pl.col(x) == other) & (pl.col(y) == one), color)
            grid[row, column] = np.nan if found is None else found.mean / limits[2]
    low, high, _ = limits
    digits = _digits(max(abs(low), abs(high)))
    image = axes.imshow(grid, cmap="cividis", vmin=low, vmax=high, aspect="auto", origin="lower")

    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            ink = "white" if value < (low + high) / 2 else "black"
            axes.text(column, row, f"{value:.{digits}f}", color=ink, ha="center", va="center")
    room = room_of_tick(axes, len(across), max(map(len, up)) + _SCALE)
    for name, values, axis in ((x, across, axes.xaxis), (y, up, axes.yaxis)):
        words, title = ticks(values, part.titles.get(name, name), *([room] if axis is axes.xaxis else []))
        axis.set_ticks(range(len(values)), up if (name, axis) == ("method", axes.yaxis) else words)
        axis.set_label_text(title)
    axes.tick_params(length=0)
    return image


def _digits(largest: float) -> int:
    """Decimals that give the largest value of the scale three digits; the same in all tiles of all panels."""
    return 3 if largest < 1 else max(0, 2 - int(np.log10(largest)))

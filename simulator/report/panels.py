"""Panels of figures: curves, fronts, ways to a target, and lines over a swept condition."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from simulator.record.measures_conditions import magnitude
from simulator.record.measures_curves import band
from simulator.record.measures_estimates import BY_SITE, Over, estimate
from simulator.record.measures_frames import Frames
from simulator.report.quantities import HIGHER_IS_BETTER, axis_of
from simulator.report.style import BLACK, Look, room_of_tick, ticks, tidy
from simulator.statistics.intervals import Interval
from simulator.statistics.pareto import front
from simulator.statistics.survival import kaplan_meier

LOG_FROM = 4.0
"""An axis of bytes is logarithmic from this ratio of its largest to its smallest total."""
SPREAD_FROM = 20.0
"""The axis of a condition is logarithmic from this ratio of its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one panel shows.

    Attributes:
        frames: the tables, down to the runs of this panel.
        whole: the tables of all panels, from which scales follow.
        looks: by value of ``hue``, in the order of the legend.
        apart: conditions that no axis, panel or color shows and that marks are drawn apart for.
        notes: what intervals were drawn, to be said in the caption; panels add to it.

    """

    frames: Frames
    whole: Frames
    hue: str
    looks: Mapping[str, Look]
    over: Over
    apart: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    notes: set[tuple[str, int]] = field(default_factory=set)

    def note(self, found: Interval | None) -> Interval | None:
        """Remember what an interval is, and return it."""
        if found is not None and found.kind is not None:
            self.notes.add((found.kind, found.count))
        return found


def curve_panel(axes: Axes, part: Part, x: str, y: str) -> None:
    """Dice against what was spent until then; a method that spends nothing is a level."""
    table = part.whole.curves
    divisor, words = axis_of(x, float(table[x].max() or 0))  # type: ignore[arg-type]
    for value, look, rows in _by_hue(part, part.frames.curves):
        one = band(rows, cost=x, score=y)  # type: ignore[arg-type]
        if one is None:
            continue
        if one.kind is not None:
            part.notes.add((one.kind, one.count))
        if one.x[-1] == 0:
            axes.axhline(one.mean[-1], color=look.color, linestyle=(0, (4, 2)), linewidth=0.9, label=value)
            continue
        paid = one.x > 0 if x.endswith("nbytes") else one.x >= 0
        at = one.x[paid] / divisor
        spread = np.linspace(0, len(at) - 1, min(len(at), 6)).round().astype(int)
        marks: dict[str, Any] = {"marker": look.marker, "markevery": list(spread)}
        axes.plot(at, one.mean[paid], **look.curve(), **marks, drawstyle="steps-post", label=value)
        axes.fill_between(
            at, one.low[paid], one.high[paid], step="post", color=look.color, alpha=0.15, linewidth=0
        )
    totals = _totals(part, table, x)
    if x.endswith("nbytes") and totals and max(totals) / min(totals) >= LOG_FROM:
        _logarithmic(axes)
    else:
        axes.set_xlim(0, 1.04 * float(table[x].max() or 1) / divisor)  # type: ignore[arg-type]
    axes.set_xlabel(words)
    axes.set_ylabel(axis_of(y, 1.0)[1])
    tidy(axes)


def front_panel(axes: Axes, part: Part, x: str, y: str) -> None:
    """A mark per method and condition with both intervals, and the line of those that nobody beats."""
    largest = [float(part.whole.runs[name].max() or 0) for name in (x, y)]  # type: ignore[arg-type]
    (wide, xwords), (high, ywords) = (axis_of(name, top) for name, top in zip((x, y), largest, strict=True))
    points: list[tuple[float, float]] = []
    for value, look, rows in _by_hue(part, part.frames.runs):
        if _is_free_reference(rows, x):
            _level(axes, part, rows, y, high, look, value)
            continue
        for place, chosen in enumerate(_apart(rows, part.apart)):
            across = part.note(estimate(part.frames, chosen, x, _over(part, x)))
            up = part.note(estimate(part.frames, chosen, y, _over(part, y)))
            if across is None or up is None:
                continue
            points.append((across.mean / wide, up.mean / high))
            label = value if place == 0 else None
            _cross(axes, (across, up), (wide, high), look, label)
    best = front(
        [-p[0] if x in HIGHER_IS_BETTER else p[0] for p in points],
        [p[1] if y in HIGHER_IS_BETTER else -p[1] for p in points],
    )
    line = np.array([points[i] for i in best])
    if len(line) > 1:
        axes.plot(
            line[:, 0], line[:, 1], color=BLACK, linewidth=0.8, linestyle=(0, (1, 1.2)),
            drawstyle="steps-post", zorder=1, label="Pareto front",
        )  # fmt: skip
    paid = _totals(part, part.whole.runs, x)
    if x.endswith("nbytes") and paid and max(paid) / min(paid) >= LOG_FROM:
        free = part.whole.runs[x].min() == 0
        _logarithmic(axes, free=min(paid) / wide if free else None)
    axes.set_xlabel(xwords)
    axes.set_ylabel(ywords)
    tidy(axes)


def _is_free_reference(rows: pl.DataFrame, cost: str) -> bool:
    """Whether these are runs of pooled training, which moves all cases before anything is counted."""
    return set(rows["algorithm"]) == {"pooled"} and not rows[cost].max()


def _level(
    axes: Axes, part: Part, rows: pl.DataFrame, y: str, divisor: float, look: Look, label: str
) -> None:
    """A reference that sends no model but moves all cases has no cost to be compared."""
    found = part.note(estimate(part.frames, pl.col("run").is_in(rows["run"].to_list()), y, _over(part, y)))
    if found is None:
        return
    axes.axhline(found.mean / divisor, color=look.color, linestyle=(0, (4, 2)), linewidth=0.9, label=label)
    if found.low is not None and found.high is not None:
        axes.axhspan(found.low / divisor, found.high / divisor, color=look.color, alpha=0.1, linewidth=0)


def _whisker(found: Interval) -> tuple[float, float] | None:
    return None if found.low is None or found.high is None else (found.low, found.high)


def _cross(
    axes: Axes,
    found: tuple[Interval, Interval],
    units: tuple[float, float],
    look: Look,
    label: str | None,
) -> None:
    """A mark with whiskers both ways."""
    x, y = (one.mean / unit for one, unit in zip(found, units, strict=True))
    across, up = map(_whisker, found)
    line: dict[str, Any] = {"color": look.color, "linewidth": 0.8, "alpha": 0.7}
    if up is not None:
        axes.plot([x, x], [end / units[1] for end in up], **line)
    if across is not None:
        axes.plot([end / units[0] for end in across], [y, y], **line)
    axes.plot(x, y, look.marker, color=look.color, markerfacecolor=look.fill, markersize=4.5, label=label)


def reach_panel(axes: Axes, part: Part, x: str, _: str) -> None:
    """Share of runs that have the target, against a cost; a bar marks where runs ended without it."""
    column = f"{x}_to_target"
    horizon = float(part.whole.runs[column].max() or 0)  # type: ignore[arg-type]
    divisor, words = axis_of(x, horizon)
    for value, look, rows in _by_hue(part, part.frames.runs.drop_nulls(column)):
        if _is_free_reference(rows, column):
            continue
        kept = pl.when("reached").then(column).otherwise(horizon)
        found = kaplan_meier(rows.select(kept).to_series().to_list(), rows["reached"].to_list())
        at = np.concatenate([[0.0], found.at, [found.last]]) / divisor
        share = 1 - np.concatenate([[1.0], found.share, found.share[-1:] if len(found.share) else [1.0]])
        axes.plot(at, share, **look.curve(), drawstyle="steps-post", label=value)
        some = np.linspace(1, len(at) - 2, min(len(at) - 2, 6)).round().astype(int)
        if len(some):  # a mark that is nowhere, yet not clipped, would leave the layout no room
            axes.plot(at[some], share[some], look.marker, color=look.color, clip_on=False, zorder=3)
        without = rows.filter(~pl.col("reached"))[column].to_numpy()
        known = np.searchsorted(found.at, without, side="right")
        heights = (1 - np.concatenate([[1.0], found.share]))[known]
        axes.plot(without / divisor, heights, "|", color=look.color, markersize=6, markeredgewidth=1.1)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlim(left=0)
    axes.set_xlabel(words)
    axes.set_ylabel("Share of runs with the target")
    tidy(axes)


def line_panel(axes: Axes, part: Part, x: str, y: str) -> None:
    """A number of runs over a condition; its values are placed by size where they are numbers."""
    values = list(dict.fromkeys(part.whole.runs[x]))
    places, numeric = _places(values)
    step = 0.06 * (max(places) - min(places)) / max(1, len(values) - 1)
    if numeric and min(places) > 0 and max(places) / min(places) >= SPREAD_FROM:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        step = 0.0
    divisor, words = axis_of(y, float(part.whole.runs[y].max() or 0))  # type: ignore[arg-type]
    for number, (value, look, rows) in enumerate(_by_hue(part, part.frames.runs)):
        if _is_free_reference(rows, y):
            continue
        dodge = (number - (len(part.looks) - 1) / 2) * step
        points = []
        for place, at in zip(places, values, strict=True):
            chosen = (pl.col(part.hue) == value) & (pl.col(x) == at)
            found = part.note(estimate(part.frames, chosen, y, _over(part, y)))
            if found is not None:
                points.append((place + dodge, found))
        axes.plot(
            [at for at, _ in points],
            [found.mean / divisor for _, found in points],
            **look.curve(),
            marker=look.marker,
            markerfacecolor=look.fill,
            label=value,
        )
        for at, found in points:
            if (ends := _whisker(found)) is not None:
                axes.vlines(at, ends[0] / divisor, ends[1] / divisor, color=look.color, linewidth=0.8)
    words_of_ticks, title = ticks(values, part.titles.get(x, x), room_of_tick(axes, len(values)))
    axes.set_xticks(places, words_of_ticks)
    axes.set_xlabel(title)
    axes.set_ylabel(words)
    tidy(axes)


def _over(part: Part, column: str) -> Over:
    """Intervals over sites or cases where the number has them, over seeds elsewhere."""
    known = column == "dice_mean" or (column in BY_SITE and part.over == "sites")
    return part.over if known else "seeds"


def _by_hue(part: Part, table: pl.DataFrame) -> Iterator[tuple[str, Look, pl.DataFrame]]:
    """The rows of each value of ``hue`` that has any, in the order of the legend."""
    if table.is_empty():
        return
    for value, look in part.looks.items():
        rows = table.filter(pl.col(part.hue) == value)
        if not rows.is_empty():
            yield value, look, rows


def _apart(rows: pl.DataFrame, names: tuple[str, ...]) -> list[pl.Expr]:
    """One choice of runs per combination of conditions that is drawn apart."""
    chosen = []
    for some in rows.select("run", *names).partition_by(list(names)) if names else [rows]:
        chosen.append(pl.col("run").is_in(some["run"].to_list()))
    return chosen


def _places(values: list[str]) -> tuple[list[float], bool]:
    sizes = [magnitude(value) for value in values]
    known = [size for size in sizes if size is not None]
    if len(known) == len(values) and np.isfinite(known).all():
        return known, True
    return [float(place) for place in range(len(values))], False


def _totals(part: Part, table: pl.DataFrame, x: str) -> list[float]:
    """What each method came to at most in any panel, without those that it cost nothing."""
    tops = table.group_by(part.hue).agg(pl.col(x).max())[x].drop_nulls().to_list()
    return [float(top) for top in tops if top > 0]


def _logarithmic(axes: Axes, free: float | None = None) -> None:
    """A logarithmic axis of bytes; with ``free``, what costs nothing stands at its left, before a linear
    piece that ends at that cost.
    """
    if free is None:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        axes.set_xscale("symlog", linthresh=free / 2, linscale=0.4)
        top = axes.get_xlim()[1]
        decades = np.arange(np.floor(np.log10(free)), np.ceil(np.log10(top)) + 1)
        marks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        axes.set_xticks([0.0, *(mark for mark in marks if free * 0.8 <= mark <= top)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


PANELS: Mapping[str, Callable[[Axes, Part, str, str], None]] = {
    "curve": curve_panel,
    "front": front_panel,
    "reach": reach_panel,
    "line": line_panel,
}

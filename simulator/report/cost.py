"""Figure: communication cost against Dice, in bytes altogether and on the busiest link."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from simulator.record.measures_curves import Band, Cost, Score, band, curves_of
from simulator.record.measures_run import Run
from simulator.report.style import PAGE_IN, Look, Picture, new_figure, save, styled, tidy
from simulator.report.text import size_unit

_COSTS: tuple[tuple[Cost, str], ...] = (
    ("carried_nbytes", "Model bytes sent"),
    ("busiest_nbytes", "Model bytes on busiest link"),
)
_SCORES: tuple[tuple[Score, str], ...] = (
    ("dice_mean", "Test Dice, mean over sites"),
    ("dice_worst", "Test Dice, worst site"),
)
LOG_FROM = 4.0
"""The axis is logarithmic from this ratio of the dearest to the cheapest method's total."""


def draw(groups: Mapping[str, Sequence[Run]], looks: Mapping[str, Look], folder: Path) -> Picture | None:
    """Draw all labels that have test scores; None if none has."""
    curves = curves_of(groups)
    if not curves:
        return None
    with styled():
        figure = new_figure(PAGE_IN, 4.7)
        grid = figure.subplots(2, 2, sharex="col", sharey="row")
        for row, (score, ylabel) in enumerate(_SCORES):
            for column, (cost, xlabel) in enumerate(_COSTS):
                bands = {label: _band(found, cost, score) for label, found in curves.items()}
                unit = _panel(grid[row, column], bands, looks)
                grid[row, column].tick_params(labelbottom=row == 1, labelleft=column == 0)
                if row == 1:
                    grid[row, column].set_xlabel(f"{xlabel} ({unit})")
            grid[row, 0].set_ylabel(ylabel)
        for letter, axes in zip("abcd", grid.flat, strict=True):
            axes.set_title(letter, loc="left", fontweight="bold")
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=min(5, len(names)))
        logs = [name for axes, (_, name) in zip(grid[1], _COSTS, strict=True) if axes.get_xscale() == "log"]
        save(figure, folder, "cost-dice")
    free = [label for label, found in curves.items() if not any(c["carried_nbytes"][-1] for c in found)]
    return Picture(
        width_in=figure.get_figwidth(),
        name="cost-dice",
        title="Communication cost against Dice",
        caption="Test Dice of the models that sites had, against the model bytes sent until then (parts of "
        "broken transfers included, control messages not): mean over sites (a, b) and worst site (c, d), by "
        "all bytes (a, c) and by those on the busiest link (b, d). "
        + (f"Logarithmic axis: {' and '.join(logs).lower()}. " if logs else "")
        + "A curve ends where its run ends. "
        + (f"{', '.join(free)}: no model is sent, drawn as a level. " if free else "")
        + band_note(groups),
    )


def _band(curves: Sequence[pl.DataFrame], cost: Cost, score: Score) -> Band:
    found = band(curves, cost=cost, score=score)
    assert found is not None
    return found


def band_note(groups: Mapping[str, Sequence[Run]]) -> str:
    """Say what lines and bands are, for a caption."""
    if all(len(runs) == 1 for runs in groups.values()):
        return "One run per method: differences may be chance."
    return "Lines are means over seeds, bands 95 % confidence intervals (Student's t)."


def _panel(axes: Axes, bands: Mapping[str, Band], looks: Mapping[str, Look]) -> str:
    """Draw one cost against one score; return the unit of the cost."""
    tops = [float(b.x[-1]) for b in bands.values() if b.x[-1] > 0]
    divisor, unit = size_unit(max(tops, default=1.0))
    if tops and max(tops) / min(tops) >= LOG_FROM:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_xlim(0, 1.04 * max(tops, default=1.0) / divisor)
    for label, one in bands.items():
        look = looks[label]
        if one.x[-1] == 0:
            axes.axhline(
                float(one.mean[-1]), color=look.color, linestyle=(0, (4, 2)), linewidth=0.9, label=label
            )
            axes.axhspan(float(one.low[-1]), float(one.high[-1]), color=look.color, alpha=0.1, linewidth=0)
            continue
        paid = one.x > 0
        x = one.x[paid] / divisor
        spread = np.linspace(0, len(x) - 1, min(len(x), 6)).round().astype(int)
        marks: dict[str, Any] = {"marker": look.marker, "markevery": list(spread)}
        axes.plot(x, one.mean[paid], **look.curve(), **marks, drawstyle="steps-post", label=label)
        axes.fill_between(
            x, one.low[paid], one.high[paid], step="post", color=look.color, alpha=0.15, linewidth=0
        )
    tidy(axes)
    return unit

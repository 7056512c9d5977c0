"""Figure: Dice of the selected models, site by site and method by method."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from simulator.record.measures_dice import case_scores
from simulator.record.measures_run import Run
from simulator.record.measures_sites import Cell, SiteTable
from simulator.report.style import COLUMN_IN, PAGE_IN, Look, Picture, new_figure, save, styled
from simulator.report.text import natural

MAX_LABELS = 10
"""More labels than this would not be told apart within one row."""


def draw(
    groups: Mapping[str, Sequence[Run]], table: SiteTable, looks: Mapping[str, Look], folder: Path
) -> Picture | None:
    """Draw one row per site and one for their mean; None without selected models."""
    if not table.sites:
        return None
    labels = table.labels[:MAX_LABELS]
    names = sorted(table.sites, key=natural)
    rows = [f"{name} ({table.num_cases[name]})" for name in names] + ["mean over sites", "worst site"]
    step = max(0.2, 0.052 * len(labels) + 0.08)
    with styled():
        width = COLUMN_IN if len(labels) <= 6 else PAGE_IN
        figure = new_figure(width, step * len(rows) + 0.95)
        axes = figure.subplots()
        for place, label in enumerate(labels):
            cells = [table.cells[name, label] for name in names] + [table.mean[label], table.worst[label]]
            y = np.arange(len(rows)) + 0.62 * ((place + 0.5) / len(labels) - 0.5)
            y[len(names) :] += 0.25
            _cases(axes, groups[label], dict(zip(names, y, strict=False)), looks[label])
            _dots(axes, cells, y, looks[label], label)
        axes.set_yticks([i + 0.25 * (i >= len(names)) for i in range(len(rows))], rows)
        axes.set_ylim(len(rows) - 0.2, -0.6)
        axes.axhline(len(names) - 0.38, color="black", linewidth=0.6)
        lines = np.arange(len(names) - 1) + 0.5
        axes.hlines(lines, 0, 1, transform=axes.get_yaxis_transform(), color="#dddddd", linewidth=0.4)
        axes.grid(visible=True, axis="x")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("Test Dice of the selected model")
        columns = min(3 if width == COLUMN_IN else 5, len(labels))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=columns)
        save(figure, folder, "sites-dice")
    left_out = len(table.labels) - len(labels)
    return Picture(
        width_in=figure.get_figwidth(),
        name="sites-dice",
        title="Dice by site",
        caption="Each site's model with the best validation loss, on that site's own test cases (their "
        "number in parentheses). Small pale dots are single test cases. "
        "Whiskers: 95 % confidence interval of the mean over seeds (Student's t), "
        "where there are several."
        + (f" The last {left_out} of the labels are only in the table." if left_out else ""),
    )


def _cases(axes: Axes, runs: Sequence[Run], place: Mapping[str, float], look: Look) -> None:
    """A small pale dot per test case, behind the mean of its site."""
    for run in runs:
        rows = case_scores(run, selection="selected", split="test").filter(pl.col("site").is_in(list(place)))
        y = [place[site] for site in rows["site"]]
        axes.plot(
            rows["dice"], y, "o", color=look.color, alpha=0.3, markersize=1.8, markeredgewidth=0, zorder=1.5
        )


def _dots(axes: Axes, cells: Sequence[Cell], y: np.ndarray, look: Look, label: str) -> None:
    found = [(place, cell.dice) for place, cell in zip(y, cells, strict=True) if cell.dice is not None]
    x = [interval.mean for _, interval in found]
    filled = look.color if look.line == "-" else "white"
    axes.plot(
        x,
        [p for p, _ in found],
        look.marker,
        color=look.color,
        markerfacecolor=filled,
        markersize=4,
        label=label,
    )
    for place, interval in found:
        if interval.low is not None and interval.high is not None:
            axes.hlines(place, interval.low, interval.high, color=look.color, linewidth=0.9)

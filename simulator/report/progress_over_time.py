"""Figure: Dice against virtual time, with the faults that struck marked where they did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simulator.record.measures_curves import Score, band, curves_of
from simulator.record.measures_run import Run
from simulator.report.cost import band_note
from simulator.report.style import GRAY, PAGE_IN, Look, Picture, new_figure, save, styled, tidy
from simulator.report.text import time_unit

_SCORES: tuple[tuple[Score, str], ...] = (("dice_mean", "mean over sites"), ("dice_worst", "worst site"))
_VERBS = {
    "crash": "{} crashes",
    "leave": "{} leaves",
    "disconnect": "{} cut off",
    "recover": "{} recovers",
    "join": "{} joins",
    "reconnect": "{} is back",
}
MAX_LABELS = 6
"""So many faults are written out; the others are ticks at the foot of the figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A fault that fired, in words."""

    time_s: float
    text: str
    important: bool


def marks(runs: Sequence[Run]) -> list[Mark]:
    """Return the faults that fired in any of the runs, each instant and node once, in order of time."""
    found: dict[tuple[float, str, str], Mark] = {}
    for run in runs:
        servers = set(run.tables["sites"].filter(pl.col("role") == "server")["site"]) | {"server"}
        for row in run.tables["faults"].filter(pl.col("status") == "fired").iter_rows(named=True):
            verb, node = row["verb"], row["node"]
            important = node in servers or verb in {"crash", "leave", "join"}
            mark = Mark(time_s=row["time_s"], text=_VERBS[verb].format(node), important=important)
            found.setdefault((row["time_s"], verb, node), mark)
    return [found[key] for key in sorted(found)]


def draw(groups: Mapping[str, Sequence[Run]], looks: Mapping[str, Look], folder: Path) -> Picture | None:
    """Draw all labels that have test scores; None if none has."""
    curves = curves_of(groups)
    if not curves:
        return None
    runs = [run for label in curves for run in groups[label]]
    horizon = max(run.virtual_time_s or 0.0 for run in runs)
    divisor, unit = time_unit(horizon)
    struck = marks(runs)
    with styled():
        figure = new_figure(PAGE_IN, 3.0)
        both = figure.subplots(1, 2)
        for axes, (score, name) in zip(both, _SCORES, strict=True):
            _panel(axes, curves, groups, looks, score, divisor)
            axes.set_xlabel(f"Virtual time ({unit})")
            axes.set_ylabel(f"Test Dice, {name}")
            axes.set_xlim(0, 1.02 * horizon / divisor)
        handles, names = both[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(5, len(names)))
        written = mark_faults(figure, list(both), struck, divisor)
        save(figure, folder, "time-dice")
    rest = len(struck) - written
    return Picture(
        width_in=figure.get_figwidth(),
        name="time-dice",
        title="Dice against virtual time",
        caption="Test Dice of the models that sites had at each instant; a site that has stopped keeps its "
        "last model, and a thin line carries a run that ended earlier on to the end of the longest. "
        "Vertical lines: faults of any of the runs. "
        + (f"{rest} further faults are ticks at the foot. " if rest else "")
        + band_note(groups),
    )


def _panel(
    axes: Axes,
    curves: Mapping[str, Sequence[pl.DataFrame]],
    groups: Mapping[str, Sequence[Run]],
    looks: Mapping[str, Look],
    score: Score,
    divisor: float,
) -> None:
    horizon = max(run.virtual_time_s or 0.0 for label in curves for run in groups[label]) / divisor
    for label, found in curves.items():
        one, look = band(found, cost="time_s", score=score), looks[label]
        if one is None:
            continue
        x = one.x / divisor
        every = max(1, len(x) // 6)
        axes.plot(
            x,
            one.mean,
            **look.curve(),
            drawstyle="steps-post",
            marker=look.marker,
            markevery=every,
            label=label,
        )
        axes.fill_between(x, one.low, one.high, step="post", color=look.color, alpha=0.15, linewidth=0)
        axes.plot([x[-1], horizon], [one.mean[-1]] * 2, color=look.color, linewidth=0.6, alpha=0.7)
    tidy(axes)


def mark_faults(figure: Figure, all_axes: Sequence[Axes], struck: Sequence[Mark], divisor: float) -> int:
    """Draw a vertical line per fault, with its words above the axes where none overlap; return how many."""
    ranked = sorted(struck, key=lambda mark: (not mark.important, mark.time_s))
    named = sorted(ranked[:MAX_LABELS], key=lambda mark: mark.time_s)
    for axes in all_axes:
        for mark in struck:
            if mark in named:
                axes.axvline(
                    mark.time_s / divisor, color=GRAY, linewidth=0.7, linestyle=(0, (2, 1.5)), zorder=1
                )
            else:
                axes.axvline(mark.time_s / divisor, ymax=0.03, color=GRAY, linewidth=0.7)
    figure.draw_without_rendering()  # fixes the layout, so that widths of texts are known
    for axes in all_axes:
        _place_words(figure, axes, named, divisor)
    return len(named)


def _place_words(figure: Figure, axes: Axes, named: Sequence[Mark], divisor: float) -> None:
    """Stack the words in levels above the axes; each sits on the lowest level that is free."""
    right_ends: list[float] = []
    limit = axes.get_window_extent().x1
    for mark in named:
        x = float(axes.transData.transform((mark.time_s / divisor, 0))[0])
        text = axes.annotate(
            mark.text,
            xy=(mark.time_s / divisor, 1.0),
            xytext=(0, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=7,
            color="#333333",
            annotation_clip=False,
        )
        width = text.get_window_extent().width
        left = min(x - 2, limit - width)
        level = next((i for i, end in enumerate(right_ends) if left > end + 4), len(right_ends))
        right_ends[level : level + 1] = [left + width]
        text.set_position(((left - x) * 72 / figure.dpi, 2 + 8.5 * level))

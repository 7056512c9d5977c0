"""The faults that struck, as marks on figures over virtual time."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simulator.record.measures_faults import fail_overs
from simulator.record.measures_run import Run
from simulator.report.style import GRAY

_VERBS = {
    "crash": "{} crashes",
    "leave": "{} leaves",
    "disconnect": "{} cut off",
    "recover": "{} recovers",
    "join": "{} joins",
    "reconnect": "{} is back",
    "straggle": "{} slows down",
    "catch_up": "{} catches up",
    "corrupt": "{} damages payloads",
    "clean": "{} is clean",
    "partition": "parted: {}",
    "heal": "joined: {}",
    "set": "{} set otherwise",
    "restore": "{} as before",
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
            verb, node = row["verb"], row["node"] or ""
            if verb == "fail_over":  # it is among the events, as those are that no fault asked for
                continue
            important = node in servers or verb in {"crash", "leave", "join"}
            mark = Mark(
                time_s=row["time_s"],
                text=_VERBS.get(verb, f"{verb} {{}}").format(node).strip(),
                important=important,
            )
            found.setdefault((row["time_s"], verb, node), mark)
        for one in fail_overs(run):
            mark = Mark(time_s=one.time_s, text=f"server at {one.machine}", important=True)
            found.setdefault((one.time_s, "fail_over", one.node), mark)
    return [found[key] for key in sorted(found)]


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

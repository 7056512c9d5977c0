"""Figure: the timeline of one run, what every node did and how full its busiest link was."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch

from simulator.record.measures import busiest_link
from simulator.record.measures_faults import impairments
from simulator.record.measures_run import WORKED_S, Run
from simulator.report.fault_marks import mark_faults, marks
from simulator.report.mishaps import first_outage
from simulator.report.style import (
    BLUE,
    GREEN,
    ORANGE,
    PAGE_IN,
    PURPLE,
    SKY,
    VERMILION,
    Picture,
    new_figure,
    save,
    styled,
)
from simulator.report.text import file_name, natural, size_unit, time_unit

_COMPUTE = {"train": BLUE, "mutual": ORANGE, "other": GREEN}
_NAMES = {"train": "training", "mutual": "mutual learning", "other": "other work"}
_FLOWS = {"out": SKY, "in": PURPLE}
_OUT = "#b9b9b9"
_IMPAIRED = "#fbd9b5"
ZOOM_SHARE = 0.25
"""The enlarged part is this share of the run at most; no part is enlarged above 12 nodes."""

VISIBLE_SHARE = 0.001
"""A kind of work is in the legend if a bar of it is so wide at least, about half a point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of virtual time in seconds."""

    begin: float
    end: float


def draw(run: Run, folder: Path) -> Picture | None:
    """Draw a run's timeline; None if it has neither work nor transfers."""
    nodes = _nodes(run)
    horizon = run.virtual_time_s
    if not nodes or not horizon:
        return None
    link, _ = busiest_link(run)
    zoom = _zoom(run, horizon) if len(nodes) <= 12 else None
    windows = [Window(begin=0.0, end=horizon), *([] if zoom is None else [zoom])]
    row_in = 0.27 if len(nodes) <= 12 else 0.15
    heights = [row_in * len(nodes), *([] if link is None else [0.5])]
    with styled():
        figure = new_figure(PAGE_IN, (sum(heights) + 0.75) * len(windows) + 0.3)
        panels = figure.subplots(
            len(heights) * len(windows), 1, height_ratios=heights * len(windows), squeeze=False
        )
        groups = panels.reshape(len(windows), len(heights))
        legends = [
            _window(list(group), run, nodes, link, window)
            for group, window in zip(groups, windows, strict=True)
        ]
        if zoom is not None:
            divisor, _ = time_unit(horizon)
            groups[0, 0].axvspan(
                zoom.begin / divisor, zoom.end / divisor, color="#fbf9e6", zorder=0, linewidth=0
            )
            groups[1, -1].set_xlabel(groups[1, -1].get_xlabel() + ", enlarged")
        figure.legend(handles=legends[0], loc="outside upper center", ncols=min(7, len(legends[0])))
        for group, window in zip(groups, windows, strict=True):
            inside = [mark for mark in marks([run]) if window.begin <= mark.time_s <= window.end]
            mark_faults(figure, [group[0]], inside, time_unit(window.end)[0])
        name = f"timeline-{file_name(run.label)}"
        save(figure, folder, name)
    return Picture(
        name=name,
        title=f"Timeline: {run.label}",
        caption=_caption(run, link, enlarged=zoom is not None),
        width_in=PAGE_IN,
    )


def _window(
    panels: Sequence[Axes], run: Run, nodes: Sequence[str], link: str | None, window: Window
) -> list[Patch]:
    """Draw one span of time: the rows and, if anything moved, the strip; return the legend's entries."""
    divisor, unit = time_unit(window.end)
    legend = _rows(panels[0], run, nodes, window, divisor)
    if link is not None:
        _strip(panels[1], run, link, window, divisor)
        panels[0].tick_params(labelbottom=False)
    for axes in panels:
        axes.set_xlim(window.begin / divisor, window.end / divisor)
    panels[-1].set_xlabel(f"Virtual time ({unit})")
    return legend


def _caption(run: Run, link: str | None, *, enlarged: bool) -> str:
    lost = not run.tables["work"].filter(pl.col("status") == "lost").is_empty()
    text = "Upper half of a row: computing" + (", hatched where a crash destroyed it. " if lost else ". ")
    text += "Lower half: models sent and received. "
    if not run.tables["outages"].is_empty():
        text += "Gray: the node was down, cut off or not available. "
    if impairments(run):
        text += "Orange ground: it was slow or set otherwise, parted, or its line damaged payloads. "
    text += "White: idle. "
    text += (
        f"Strip: load of the busiest link, {link}, mean over each 400th of the span shown. "
        if link
        else "No model crossed a link. "
    )
    return text + ("The part on yellow ground is enlarged below." if enlarged else "")


def _nodes(run: Run) -> list[str]:
    """Nodes that did anything and relays that failed, in order of name, then the server."""
    transfers, sites = run.tables["transfers"], run.tables["sites"]
    columns = (run.tables["work"]["node"], transfers["src"], transfers["dst"], sites["site"])
    gone = run.tables["outages"].filter(pl.col("what") != "partition")["node"]
    seen = set(gone).union(*columns)
    servers = set(sites.filter(pl.col("role") == "server")["site"]) | ({"server"} & seen)
    servers |= {node for node in seen if node.startswith("server@")}
    return [*sorted(seen - servers, key=natural), *sorted(servers)]


def _zoom(run: Run, horizon: float) -> Window | None:
    """A few rounds around the first fault that struck or planned outage, else from the first model sent."""
    models = run.tables["transfers"].filter(~pl.col("control"))
    if models.is_empty() or models["round"].n_unique() < 8:
        return None
    width = min(ZOOM_SHARE * horizon, 5 * horizon / models["round"].n_unique())
    struck = sorted(marks([run]), key=lambda mark: (not mark.important, mark.time_s))
    hits = [mark.time_s for mark in struck] + [
        time_s for time_s in (first_outage(run),) if time_s is not None
    ]
    inside = [time_s for time_s in hits if 0 < time_s < horizon]
    middle = inside[0] if inside else float(models["start_s"].min()) + width / 2  # type: ignore[arg-type]
    begin = min(max(0.0, middle - width / 2), horizon - width)
    return Window(begin=begin, end=begin + width)


def _rows(axes: Axes, run: Run, nodes: Sequence[str], window: Window, divisor: float) -> list[Patch]:
    """Draw compute, transfers and outages; return what the legend has to say."""
    place = {node: row for row, node in enumerate(nodes)}
    bars = partial(_bars, axes, place=place, divisor=divisor, window=window)
    legend = []
    slow = _within(_impaired(run, nodes), window)
    if bars(slow, "node", span=(-0.48, 0.48), facecolor=_IMPAIRED, zorder=0.8):
        legend.append(Patch(facecolor=_IMPAIRED, label="slow, parted or damaged"))
    outages = _within(_outages(run, nodes), window)
    if bars(outages, "node", span=(-0.48, 0.48), facecolor=_OUT, zorder=1):
        legend.append(Patch(facecolor=_OUT, label="down, cut off or away"))
    legend += _worked(bars, run, window)
    moved = ~pl.col("control") & (pl.col("carried_nbytes") > 0)
    models = _within(run.tables["transfers"].filter(moved), window)
    for column, what, span in (("src", "out", (0.06, 0.23)), ("dst", "in", (0.25, 0.42))):
        if bars(models, column, span=span, facecolor=_FLOWS[what], zorder=2):
            legend.append(Patch(facecolor=_FLOWS[what], label={"out": "sending", "in": "receiving"}[what]))
    axes.set_yticks(range(len(nodes)), nodes)
    axes.set_ylim(len(nodes) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.hlines(
        np.arange(len(nodes) - 1) + 0.5, 0, 1, transform=axes.get_yaxis_transform(), color="#e4e4e4", lw=0.4
    )
    return legend


def _worked(bars: Callable[..., bool], run: Run, window: Window) -> list[Patch]:
    """Draw what nodes computed, by kind, and what of it was lost; ``bars`` knows where."""
    legend = []
    work = _within(run.tables["work"], window).filter(WORKED_S > 1e-9)  # not what only waited
    kinds = work.with_columns(
        pl.when(pl.col("extra_flop") > 0)
        .then(pl.lit("mutual"))
        .when(pl.col("task").str.starts_with("train"))
        .then(pl.lit("train"))
        .otherwise(pl.lit("other"))
        .alias("what")
    )
    for what, color in _COMPUTE.items():
        done = kinds.filter((pl.col("what") == what) & (pl.col("status") != "lost"))
        drawn = bars(done, "node", span=(-0.42, 0.02), facecolor=color, zorder=2)
        longest = (done["end_s"] - done["start_s"]).max()
        if drawn and float(longest) >= VISIBLE_SHARE * (window.end - window.begin):  # type: ignore[arg-type]
            legend.append(Patch(facecolor=color, label=_NAMES[what]))
    lost = kinds.filter(pl.col("status") == "lost")
    style: dict[str, Any] = {
        "facecolor": "white",
        "edgecolor": VERMILION,
        "hatch": "////////",
        "linewidth": 0.6,
    }
    if bars(lost, "node", span=(-0.42, 0.02), zorder=3, **style):
        legend.append(Patch(label="work lost", **style))
    return legend


def _outages(run: Run, nodes: Sequence[str]) -> pl.DataFrame:
    """Spans in which nodes were not there; a server at a site shares the fate of the site."""
    known = run.tables["outages"].filter(pl.col("what") != "partition")
    second = [
        known.filter(pl.col("node") == node.removeprefix("server@")).with_columns(pl.lit(node).alias("node"))
        for node in nodes
        if node.startswith("server@")
    ]
    return pl.concat([known, *second])


def _impaired(run: Run, nodes: Sequence[str]) -> pl.DataFrame:
    """Spans in which nodes were there, but slow, parted from others or on a line that damages."""
    found = [(one.node, one.start_s, one.end_s) for one in impairments(run) if one.node in nodes]
    schema = {"node": pl.String, "start_s": pl.Float64, "end_s": pl.Float64}
    return pl.DataFrame(found, schema=schema, orient="row")


def _within(rows: pl.DataFrame, window: Window) -> pl.DataFrame:
    return rows.filter((pl.col("end_s") >= window.begin) & (pl.col("start_s") <= window.end))


def _bars(
    axes: Axes,
    rows: pl.DataFrame,
    column: str,
    place: dict[str, int],
    divisor: float,
    window: Window,
    span: tuple[float, float],
    **style: object,
) -> bool:
    """Draw one bar per row; return whether there is any. Thousands of bars become pixels."""
    if rows.is_empty():
        return False
    y = rows[column].replace_strict(place, return_dtype=pl.Float64).to_numpy()
    # nothing is drawn far outside the axes: vector formats would keep it
    x0 = rows["start_s"].clip(window.begin, window.end).to_numpy() / divisor
    x1 = rows["end_s"].clip(window.begin, window.end).to_numpy() / divisor
    low, high = y + span[0], y + span[1]
    corners = np.stack([np.stack([x0, x1, x1, x0], 1), np.stack([low, low, high, high], 1)], axis=2)
    # a hairline of its own color keeps short bars visible and parts those that touch
    edge = "white" if span[0] < 0 and len(y) < 600 else style.get("facecolor")
    style = {"linewidth": 0.3, "edgecolor": edge, "rasterized": len(y) > 2000, **style}
    axes.add_collection(PolyCollection(list(corners), **style), autolim=False)  # type: ignore[arg-type]
    return True


def _strip(axes: Axes, run: Run, link: str, window: Window, divisor: float) -> None:
    """Draw the busiest link's load over the window, as a share of its capacity where it has one."""
    edges = np.linspace(window.begin, window.end, 401)
    rates = _rates(run, link, edges)
    capacity = run.tables["links"].filter(pl.col("link") == link)["bytes_per_s"].to_list()
    if capacity and capacity[0]:
        values, label = 100 * rates / capacity[0], "mean load (%)"
    else:
        scale, unit = size_unit(float(rates.max()) if rates.size else 1.0)
        values, label = rates / scale, f"mean {unit}/s"
    axes.stairs(values, edges / divisor, fill=True, color="#8a8a8a", linewidth=0)
    axes.set_ylim(0, 100 if capacity and capacity[0] else 1.1 * float(values.max()) or 1.0)
    axes.set_ylabel(f"{link}\n{label}", fontsize=7)


def _rates(run: Run, link: str, edges: np.ndarray) -> np.ndarray:
    """Mean rate on a link in each bin, in bytes per second, each transfer spread evenly over its time."""
    rows = run.tables["transfers"].filter(pl.col("route").str.split(" ").list.contains(link))
    rows = rows.filter(pl.col("end_s") > pl.col("start_s"))
    rates = np.zeros(len(edges) - 1)
    for start, end, nbytes in rows.select("start_s", "end_s", "carried_nbytes").iter_rows():
        first, last = np.searchsorted(edges, [start, end], side="right") - 1
        inside = slice(max(first, 0), min(last + 1, len(rates)))
        overlap = np.minimum(edges[1:][inside], end) - np.maximum(edges[:-1][inside], start)
        rates[inside] += np.clip(overlap, 0, None) * nbytes / (end - start)
    mean: np.ndarray = rates / np.diff(edges)
    return mean

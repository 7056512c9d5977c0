"""Figure: the network of a run as a map, links as wide as what they carried."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from simulator.record.measures_run import Run
from simulator.report.free_places import FreePlaces, beside_line, beside_node, bow
from simulator.report.layout import Point, places
from simulator.report.style import BLUE, COLUMN_IN, GRAY, VERMILION, Picture, new_figure, save, styled
from simulator.report.text import file_name, natural, size

MAX_MACHINES = 24
MAX_NODES = 72
_BEND = 0.12
_GAP = 0.06  # between a mark or line and its text
_FONT = 7.0


def draw(run: Run, folder: Path) -> Picture | None:
    """Draw machines on a circle, routers inside; None without links or with too many nodes."""
    links = run.tables["links"]
    nodes = sorted(set(links["src"]) | set(links["dst"]), key=natural)
    machines = _machines(run) & set(nodes)
    if links.is_empty() or len(machines) > MAX_MACHINES or len(nodes) > MAX_NODES:
        return None
    outside = {node for node in nodes if not node.startswith("@")}
    place = places(outside, list(links.select("src", "dst").iter_rows()))
    widest = links.sort(["carried_nbytes", "link"], descending=[True, False], nulls_last=True).row(
        0, named=True
    )
    busiest = widest["link"]
    most = max(1, *links["carried_nbytes"].fill_null(0).to_list())
    with styled():
        figure = new_figure(COLUMN_IN, COLUMN_IN)
        axes = figure.subplots()
        axes.set_xlim(-1.45, 1.45)
        axes.set_ylim(-1.25, 1.25)
        axes.set_aspect("equal")
        axes.set_axis_off()
        for link, src, dst, nbytes in links.select("link", "src", "dst", "carried_nbytes").iter_rows():
            color = VERMILION if link == busiest and nbytes else BLUE if nbytes else "#cccccc"
            width = 0.4 + 3.0 * (nbytes or 0) / most
            axes.add_patch(_arrow(place[src], place[dst], color, width))
        figure.draw_without_rendering()  # an equal aspect moves the axes
        ends = links.select("src", "dst").iter_rows()
        lines = [bow(place[src], place[dst], _BEND) for src, dst in ends]
        free = FreePlaces(axes=axes, lines=np.concatenate(lines))
        for node in sorted(nodes, key=lambda node: node not in machines):
            _node(free, node, place[node], machines)
        if widest["carried_nbytes"]:
            _say_load(free, bow(place[widest["src"]], place[widest["dst"]], _BEND), widest)
        name = f"topology-{file_name(run.label)}"
        save(figure, folder, name)
    return Picture(
        width_in=figure.get_figwidth(),
        name=name,
        title=f"Links: {run.label}",
        caption=f"Width: bytes carried, most on {busiest} (orange, with its bytes and its rate "
        "where it has one). Circles are sites and the server, diamonds relays, squares routers (without a "
        "name: a machine's own); gray links carried nothing. Positions are not geographic.",
    )


def _arrow(src: Point, dst: Point, color: str, width: float) -> FancyArrowPatch:
    """One direction of a line; bent, so that both directions are seen."""
    bend = f"arc3,rad={_BEND}"
    head: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 5, "shrinkA": 5, "shrinkB": 5}
    return FancyArrowPatch(src, dst, connectionstyle=bend, linewidth=width, color=color, **head)


def _say_load(free: FreePlaces, line: np.ndarray, link: dict[str, Any]) -> None:
    """Write a link's bytes and rate beside it."""
    rate = link["bytes_per_s"]
    text = size(link["carried_nbytes"]) + (f"\nat {size(rate)}/s" if rate else "")
    width, height = free.size_of(text, _FONT)
    x, y = free.take(beside_line(line, width, height, _GAP), width, height, corners=True)
    _write(free.axes, x, y, text, color=VERMILION, zorder=7)


def _node(free: FreePlaces, name: str, at: Point, machines: set[str]) -> None:
    """A mark with its name beside it, outside the ring if it lies on it."""
    marker, color = ("o", "black") if name in machines else ("D", "black")
    if name.startswith("@"):
        marker, color = "s", GRAY
    own = name.removeprefix("@") in machines and name not in machines
    free.axes.plot(*at, marker, color=color, markersize=2.5 if own else 4, zorder=5)
    if own:
        return
    text = name.removeprefix("@")
    width, height = free.size_of(text, _FONT)
    x, y = free.take(beside_node(at, width, height, _GAP), width, height)
    _write(free.axes, x, y, text, zorder=6)


def _write(axes: Axes, x: float, y: float, text: str, **how: Any) -> None:
    box = {"facecolor": "white", "alpha": 0.8, "pad": 0.8, "linewidth": 0}
    axes.text(x, y, text, fontsize=_FONT, ha="center", va="center", bbox=box, **how)


def _machines(run: Run) -> set[str]:
    """Nodes that compute, with the server even where a method leaves its line idle."""
    return set(run.tables["sites"]["site"]) | {"server"}

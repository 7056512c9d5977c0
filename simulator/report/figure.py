"""From a declared figure to its files: panels, axes, one legend, and a caption that says what was drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simulator.record.measures_frames import Frames
from simulator.record.measures_run import Run
from simulator.report.fault_marks import mark_faults, marks
from simulator.report.figure_spec import FigureSpec
from simulator.report.figure_words import caption, title_of
from simulator.report.panels import PANELS, Part
from simulator.report.panels_sites import heat_panel, site_rows, sites_panel
from simulator.report.quantities import axis_of
from simulator.report.style import COLUMN_IN, PAGE_IN, Look, Picture, looks, new_figure, palette, save, styled
from simulator.report.text import time_unit

MAX_WIDE = 3
"""So many panels stand side by side before a single row of them is broken."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ROW_IN = {"curve": 2.0, "front": 2.3, "reach": 2.0, "line": 1.9, "heat": 1.9, "sites": 0.0}
_LEGEND_ROWS, _LEGEND_ROW_IN = 2, 0.14  # for which panels leave room, and what each further one takes
_LINES, _LINE_IN = 2, 0.12  # the same of ticks
_ALL = pl.lit(value=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What figures are drawn from.

    Attributes:
        runs: the runs, for the faults that struck them.
        target: the Dice that runs had to reach, None if there was none.
        titles: words for conditions on axes and panels, by their names.
        order: methods (or labels) in the order of legends; others follow.

    """

    frames: Frames
    runs: Sequence[Run] = ()
    target: float | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """One panel: where it stands and what it shows."""

    row: int
    column: int
    x: str
    y: str
    chosen: pl.Expr
    title: str


def draw(spec: FigureSpec, study: Drawn, folder: Path) -> Picture | None:
    """Draw a figure; None where no run has what it shows."""
    whole = only(study.frames, _kept(spec.where))
    if not has_what_it_shows(spec, whole):
        return None
    part = Part(
        frames=whole, whole=whole, hue=spec.hue, looks=_looks(spec, study, whole), over=spec.over,
        apart=_apart(spec, whole), titles=study.titles,
    )  # fmt: skip
    cells = _cells(spec, study, whole)
    num_rows, num_columns = (1 + max(getattr(cell, along) for cell in cells) for along in ("row", "column"))
    width = PAGE_IN if (spec.width or ("page" if num_columns > 1 else "column")) == "page" else COLUMN_IN
    with styled():
        figure = new_figure(width, _height(spec, part, num_rows))
        grid = figure.subplots(num_rows, num_columns, squeeze=False, **_shared(spec))
        _fill(spec, part, cells, grid, study)
        for place in np.ndindex(grid.shape):
            if place not in {(cell.row, cell.column) for cell in cells}:
                grid[place].remove()
        _legend(figure, grid, width)
        _room_for_ticks(figure)
        for letter, cell in zip(_LETTERS, cells if len(cells) > 1 else [], strict=False):
            text = f"{letter}  {cell.title}" if cell.title else letter
            grid[cell.row, cell.column].set_title(text, loc="left")
        remark = _mark(spec, figure, grid, study)
        save(figure, folder, spec.name)
    return Picture(
        width_in=width,
        name=spec.name,
        title=spec.title or title_of(spec),
        caption=caption(spec, part, study.target, remark),
    )


def only(frames: Frames, chosen: pl.Expr) -> Frames:
    """Return the tables down to some runs."""
    tables = {
        name: table if table.is_empty() else table.filter(chosen)
        for name in ("runs", "sites", "cases", "curves")
        for table in [getattr(frames, name)]
    }
    return replace(frames, **tables)


def has_what_it_shows(spec: FigureSpec, frames: Frames) -> bool:
    """Whether any run has the numbers of a figure."""
    table = {"curve": frames.curves, "sites": frames.sites}.get(spec.kind, frames.runs)
    if table.is_empty():
        return False
    names = [f"{x}_to_target" for x in spec.x] if spec.kind == "reach" else [*spec.x, *spec.y]
    names += [spec.color] if spec.color else []
    return all(table[name].null_count() < table.height for name in names)


def _kept(where: Mapping[str, Sequence[str]]) -> pl.Expr:
    kept = _ALL
    for name, values in where.items():
        kept = kept & pl.col(name).is_in(list(values))
    return kept


def _looks(spec: FigureSpec, study: Drawn, frames: Frames) -> dict[str, Look]:
    """A look per value of ``hue``: by algorithm where it names methods, else by place."""
    found = dict.fromkeys(frames.runs[spec.hue])
    names = [name for name in study.order if name in found] + [n for n in found if n not in study.order]
    if spec.hue not in {"method", "label", "algorithm"}:
        return palette(names)
    of_study = dict(study.frames.runs.select(spec.hue, "algorithm").iter_rows())
    every = looks({name: of_study[name] for name in [*names, *(n for n in of_study if n not in names)]})
    return {name: every[name] for name in names}


def _cells(spec: FigureSpec, study: Drawn, frames: Frames) -> list[_Cell]:
    """Panels by rows: several numbers, or the values of conditions."""
    across, down = _along(spec.columns, spec.x, study, frames), _along(spec.rows, spec.y, study, frames)
    wrap = MAX_WIDE if len(down) == 1 and len(across) > MAX_WIDE else len(across)
    return [
        _Cell(
            row=row + column // wrap,
            column=column % wrap,
            x=x,
            y=y,
            chosen=wide & high,
            title="\n".join(filter(None, (one, two))),
        )
        for row, (y, high, two) in enumerate(down)
        for column, (x, wide, one) in enumerate(across)
    ]


def _along(
    condition: str | None, names: Sequence[str], study: Drawn, frames: Frames
) -> list[tuple[str, pl.Expr, str]]:
    if condition is None:
        return [(name, _ALL, "") for name in names or ("",)]
    title = "" if condition in {"method", "label"} else f"{study.titles.get(condition, condition)}: "
    found = list(dict.fromkeys(frames.runs[condition]))
    ordered = [one for one in study.order if one in found] + [one for one in found if one not in study.order]
    only_name = names[0] if names else ""
    return [(only_name, pl.col(condition) == value, f"{title}{value}") for value in ordered]


def _apart(spec: FigureSpec, frames: Frames) -> tuple[str, ...]:
    """Conditions of which a front draws each value as a mark of its own."""
    if spec.kind != "front":
        return ()
    shown = {spec.columns, spec.rows, spec.hue, *spec.where}
    return tuple(one.name for one in frames.conditions if one.name not in shown)


def _height(spec: FigureSpec, part: Part, num_rows: int) -> float:
    if spec.kind == "heat":  # tiles as high as their numbers at least
        return 0.45 + max(_ROW_IN["heat"], 0.15 * part.whole.runs[spec.y[0]].n_unique())
    if spec.kind != "sites":
        return 0.45 + _ROW_IN[spec.kind] * num_rows
    rows = len(site_rows(part, spec.y[0])[0])
    return max(0.2, 0.052 * len(part.looks) + 0.08) * rows * num_rows + 0.95


def _shared(spec: FigureSpec) -> dict[str, Any]:
    """Panels of a column share x, those of a row y, unless each is a number of its own."""
    if spec.kind in {"heat", "sites"}:
        return {"sharey": "row", "sharex": "row" if spec.kind == "sites" else "none"}
    return {"sharex": "all" if spec.columns else "col", "sharey": "all" if spec.rows else "row"}


def _fill(spec: FigureSpec, part: Part, cells: Sequence[_Cell], grid: np.ndarray, study: Drawn) -> None:
    limits = _limits(spec, part) if spec.kind == "heat" else (0.0, 1.0, 1.0)
    taken = {(cell.row, cell.column) for cell in cells}
    image = None
    for cell in cells:
        axes: Axes = grid[cell.row, cell.column]
        own = replace(part, frames=only(part.frames, cell.chosen))
        if spec.kind == "heat":
            image = heat_panel(axes, own, (cell.x, cell.y), str(spec.color), limits)
        elif spec.kind == "sites":
            sites_panel(axes, own, cell.x, cell.y)
        else:
            PANELS[spec.kind](axes, own, cell.x, cell.y)
            if (cell.row + 1, cell.column) in taken:
                axes.set_xlabel("")
            else:
                axes.tick_params(labelbottom=True)
        if cell.column:
            axes.set_ylabel("")
    if image is not None:
        figure: Any = grid[0, 0].figure
        _, words = axis_of(str(spec.color), limits[1] * limits[2])
        figure.colorbar(image, ax=grid.ravel().tolist(), label=words)


def _limits(spec: FigureSpec, part: Part) -> tuple[float, float, float]:
    """The smallest and the largest tile of all panels in the unit of the scale, and its divisor."""
    names = [name for name in (*spec.x, *spec.y, spec.columns) if name]
    tiles = part.whole.runs.group_by(names).agg(pl.col(str(spec.color)).mean())[str(spec.color)].drop_nulls()
    low, high = float(tiles.min()), float(tiles.max())  # type: ignore[arg-type]
    divisor, _ = axis_of(str(spec.color), high)
    return low / divisor, high / divisor, divisor


def _legend(figure: Figure, grid: np.ndarray, width: float) -> None:
    """One legend above all panels, in as many columns as the figure has room for."""
    found: dict[str, Any] = {}
    for axes in grid.flat:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    rows = -(-len(found) // (3 if width == COLUMN_IN else 6))
    while found:
        columns = -(-len(found) // rows)
        legend = figure.legend(list(found.values()), list(found), loc="outside upper center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
        rows += 1
    figure.set_figheight(figure.get_figheight() + _LEGEND_ROW_IN * max(rows - _LEGEND_ROWS, 0))


def _room_for_ticks(figure: Figure) -> None:
    """Ticks of many lines make a figure higher, not its panels flatter."""
    words = [label.get_text() for axes in figure.axes for label in axes.get_xticklabels()]
    lines = max((text.count("\n") + 1 for text in words), default=1)
    figure.set_figheight(figure.get_figheight() + _LINE_IN * max(lines - _LINES, 0))


def _mark(spec: FigureSpec, figure: Figure, grid: np.ndarray, study: Drawn) -> str:
    """Mark the faults that struck, in the unit of the axes."""
    struck = marks(study.runs) if spec.faults else []
    if not struck:
        return ""
    divisor, _ = time_unit(float(study.frames.curves["time_s"].max()))  # type: ignore[arg-type]
    left_out = len(struck) - mark_faults(figure, list(grid.flat), struck, divisor)
    rest = f" {left_out} further faults are ticks at the foot." if left_out else ""
    return f"Vertical lines: faults of any of the runs.{rest}"

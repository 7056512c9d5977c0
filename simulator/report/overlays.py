"""Figure: a few test cases per site with the truth and what each method made of them."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from simulator.record.measures_dice import case_scores
from simulator.record.measures_run import Run
from simulator.report.style import (
    BLUE,
    ORANGE,
    PAGE_IN,
    SKY,
    VERMILION,
    YELLOW,
    Picture,
    new_figure,
    save,
    styled,
)
from simulator.report.text import natural

Key = tuple[str, str]
"""A picture's site and case."""

_STRUCTURE_COLORS = (VERMILION, SKY, YELLOW, ORANGE, BLUE)
_DOTS = (0, (1.5, 1.0))
MAX_ROWS = 8
MAX_COLUMNS = 6
_CHARACTERS_PER_IN = 17
"""So many fit above a picture, in 7 pt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A picture of one case: ``image`` (H, W), ``truth`` and ``prediction`` (structures, H, W) of 0/1."""

    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def read(folder: Path) -> dict[Key, Slice]:
    """Return a run's pictures by site and case; none if the run kept none."""
    path = folder / "overlays.npz"
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as archive:
        names = sorted({name.rsplit("/", 1)[0] for name in archive.files})
        parts = ("image", "truth", "prediction")
        return {
            (name.split("/", 1)[0], name.split("/", 1)[1]): Slice(
                **{p: archive[f"{name}/{p}"] for p in parts}
            )
            for name in names
            if all(f"{name}/{part}" in archive.files for part in parts)
        }


def draw(groups: Mapping[str, Sequence[Run]], folder: Path) -> Picture | None:
    """Draw the first run of each label on cases that all of them pictured; None without pictures."""
    firsts = {label: run for label, runs in groups.items() for run in runs[:1]}
    pictures = {label: found for label, run in firsts.items() if (found := read(run.folder))}
    labels = list(pictures)[:MAX_COLUMNS]
    if not labels:
        return None
    shared = set.intersection(*(set(pictures[label]) for label in labels))
    rows = _choose(sorted(shared, key=lambda key: (natural(key[0]), natural(key[1]))))
    if not rows:
        return None
    scores = {label: _scores(firsts[label]) for label in labels}
    shown = {label: pictures[label] for label in labels}
    structures = list(firsts[labels[0]].manifest.get("structures", ()))
    with styled():
        figure = _figure(shown, rows, scores)
        figure.legend(handles=_key(structures), loc="outside lower center", ncols=6)
        save(figure, folder, "overlays")
    return Picture(
        width_in=figure.get_figwidth(),
        name="overlays",
        title="What the models see",
        caption=_channel(firsts[labels[0]])
        + "Solid lines are predictions of each site's selected model, dotted lines the "
        "truth, which is solid in its own column. The number is the Dice of the whole case, "
        "not of the slice shown (that with the most truth, "
        "cut to the frame in the first column). "
        "Cases are the first of each site, not chosen by result.",
    )


def _figure(
    pictures: Mapping[str, Mapping[Key, Slice]],
    rows: Sequence[Key],
    scores: Mapping[str, Mapping[Key, float]],
) -> Figure:
    """A row per case, by site and name: the whole slice, the truth, and what each label's model sees."""
    columns = len(pictures) + 2
    side = min(1.2, (PAGE_IN - 0.4) / columns)
    figure = new_figure((side + 0.02) * columns + 0.4, (side + 0.03) * len(rows) + 0.45)
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(w_pad=0.01, h_pad=0.015, wspace=0, hspace=0)  # type: ignore[call-arg]
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes_row, key in zip(grid, rows, strict=True):
        slices = [found[key] for found in pictures.values()]
        view = _view(slices)
        _show_whole(axes_row[0], slices[0], view)
        _show(axes_row[1], slices[0], view, only_truth=True)
        axes_row[0].set_ylabel(f"{key[0]}\n{_short(key[1])}", fontsize=7)
        for axes, one, label in zip(axes_row[2:], slices, pictures, strict=True):
            _show(axes, one, view, dice=scores[label].get(key))
    for axes, text in zip(grid[0], ["image", "truth", *pictures], strict=True):
        axes.set_title(textwrap.fill(text, int(_CHARACTERS_PER_IN * side)), fontsize=7)
    return figure


def _scores(run: Run) -> dict[Key, float]:
    rows = case_scores(run, selection="selected", split="test")
    return {(site, case): dice for site, case, dice in rows.select("site", "case", "dice").iter_rows()}


def _channel(run: Run) -> str:
    """Say which channel the pictures show: FLAIR where the scenario names one, else the first."""
    dataset = (run.scenario.get("task") or {}).get("dataset") or {}
    channels = [str(name) for name in dataset.get("channels") or dataset.get("modalities") or ()]
    flair = next((name for name in channels if "flair" in name.lower()), None)
    shown = flair or (channels[0] if channels else "FLAIR where the data set has one, else the first channel")
    return f"Test cases, shown: {shown}. "


def _choose(keys: Sequence[Key]) -> list[Key]:
    """Two cases of each site if that fits, else one of each of the first sites."""
    for per_site in (2, 1):
        taken: list[Key] = []
        for key in keys:
            if sum(site == key[0] for site, _ in taken) < per_site:
                taken.append(key)
        if len(taken) <= MAX_ROWS:
            break
    return taken[:MAX_ROWS]


def _view(pictures: Sequence[Slice]) -> tuple[float, float, float]:
    """A square that holds truth and predictions with a margin: center x, center y, half its side."""
    height, width = pictures[0].image.shape
    y, x = np.nonzero(np.any([p.truth.any(axis=0) | p.prediction.any(axis=0) for p in pictures], axis=0))
    if not y.size:
        return (width - 1) / 2, (height - 1) / 2, max(width, height) / 2
    half = max(0.8 * np.ptp(x), 0.8 * np.ptp(y), 0.25 * max(width, height))
    half = min(float(half), min(width, height) / 2)

    def middle(values: np.ndarray, size: int) -> float:
        return float(np.clip((values.min() + values.max()) / 2, half - 0.5, size - 0.5 - half))

    return middle(x, width), middle(y, height), half


def _gray(axes: Axes, image: np.ndarray) -> None:
    bottom, top = np.percentile(image, [0.5, 99.5])
    axes.imshow(image, cmap="gray", vmin=bottom, vmax=max(top, bottom + 1e-6), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _show_whole(axes: Axes, picture: Slice, view: tuple[float, float, float]) -> None:
    """The whole slice, with a frame around what the other columns show."""
    _gray(axes, picture.image)
    x, y, half = view
    axes.add_patch(
        Rectangle((x - half, y - half), 2 * half, 2 * half, fill=False, edgecolor="white", linewidth=0.7)
    )


def _show(
    axes: Axes,
    picture: Slice,
    view: tuple[float, float, float],
    *,
    dice: float | None = None,
    only_truth: bool = False,
) -> None:
    """The marked part with contours: the truth alone where ``only_truth``, else both."""
    _gray(axes, picture.image)
    for number, (truth, prediction) in enumerate(zip(picture.truth, picture.prediction, strict=True)):
        color = _STRUCTURE_COLORS[number % len(_STRUCTURE_COLORS)]
        if truth.any():
            axes.contour(
                truth, [0.5], colors=color, linewidths=1.0, linestyles="-" if only_truth else [_DOTS]
            )
        if prediction.any() and not only_truth:
            axes.contour(prediction, [0.5], colors=color, linewidths=0.9)
    if dice is not None:
        box = {"facecolor": "black", "alpha": 0.6, "pad": 1.0, "linewidth": 0}
        axes.text(0.97, 0.03, f"{dice:.2f}", transform=axes.transAxes, ha="right", va="bottom", color="white",
                  fontsize=7, bbox=box)  # fmt: skip
    x, y, half = view
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y + half, y - half)


def _short(case: str) -> str:
    return case if len(case) <= 14 else f"…{case[-13:]}"


def _key(structures: Sequence[str]) -> list[Line2D]:
    """Legend entries: one per structure, then what dotted means."""
    lines = [
        Line2D([], [], color=_STRUCTURE_COLORS[i % len(_STRUCTURE_COLORS)], label=name)
        for i, name in enumerate(structures)
    ]
    return [*lines, Line2D([], [], color="black", linestyle=_DOTS, label="truth (dotted)")]

"""How figures look: one color and marker per algorithm everywhere, sizes of a journal column.

Colors are those of Okabe and Ito ("Color universal design", 2008), told apart by color-blind
readers; variants of one algorithm differ by line style, so that no figure depends on color alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMN_IN = 85 / 25.4
PAGE_IN = 178 / 25.4
FONT_PT = 7.5
DPI = 200
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GRAY = "#6b6b6b"

_KNOWN = {
    "gcml": (VERMILION, "o"),
    "gossip-averaging": (GREEN, "s"),
    "fedavg": (BLUE, "^"),
    "fedprox": (SKY, "v"),
    "gml": (ORANGE, "D"),
    "pooled": (PURPLE, "P"),
    "local": (GRAY, "X"),
}
_LEAST_ROOM = 10  # characters
_CHARACTER_IN, _Y_AXIS_IN = 0.062, 0.6
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?: ([A-Za-z/%]+))?")
_SPARE_COLORS = (BLACK, "#8c6d1f", "#4b3a8f", "#7a1f3d", "#2f6f4f")
_SPARE_MARKERS = "*h<>p"
_DASHES: list[Any] = ["-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.2, 1.2, 1.2)), (0, (8, 2, 2, 2, 2, 2))]
_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": FONT_PT,
    "axes.labelsize": FONT_PT,
    "axes.titlesize": FONT_PT,
    "xtick.labelsize": FONT_PT - 0.5,
    "ytick.labelsize": FONT_PT - 0.5,
    "legend.fontsize": FONT_PT - 0.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.2,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "medgossip",
    "figure.constrained_layout.use": True,
    "figure.max_open_warning": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Color, marker and line style of a label."""

    color: str
    marker: str
    line: Any

    @property
    def fill(self) -> str:
        """Color inside of a mark: variants of a method are hollow."""
        return self.color if self.line == "-" else "white"

    def curve(self) -> dict[str, Any]:
        """Keyword arguments for a line without markers."""
        return {"color": self.color, "linestyle": self.line}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure that was written: name of its files without ending, what it shows, what to know of it,
    and its width in inches.
    """

    name: str
    title: str
    caption: str
    width_in: float


def looks(algorithms: Mapping[str, str]) -> dict[str, Look]:
    """Give every name a look: color and marker from its algorithm, line style by variant."""
    unknown = sorted(set(algorithms.values()) - _KNOWN.keys())
    table = _KNOWN | {name: _spare(place) for place, name in enumerate(unknown)}
    variants: dict[str, int] = {}
    chosen = {}
    for label, algorithm in algorithms.items():
        variant = variants[algorithm] = variants.get(algorithm, -1) + 1
        color, marker = table[algorithm]
        chosen[label] = Look(color=color, marker=marker, line=_DASHES[variant % len(_DASHES)])
    return chosen


def _spare(place: int) -> tuple[str, str]:
    """Another pair for every place below 25: colors and markers go round at a different pace."""
    turn, color = divmod(place, len(_SPARE_COLORS))
    return _SPARE_COLORS[color], _SPARE_MARKERS[(color + turn) % len(_SPARE_MARKERS)]


def palette(names: Sequence[str]) -> dict[str, Look]:
    """Give values of a condition looks by their place."""
    colors = [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK]
    return {
        name: Look(
            color=colors[place % len(colors)], marker="os^DvPX"[place % 7], line=_DASHES[place % len(_DASHES)]
        )
        for place, name in enumerate(names)
    }


@contextmanager
def styled() -> Iterator[None]:
    """Draw with this module's settings and leave the user's alone."""
    with mpl.rc_context(_RC):
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure with a tight layout; it needs no display."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name`` as PNG, PDF and SVG, the same bytes for the same figure."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is found once, for all formats
    figure.savefig(folder / f"{name}.png", dpi=DPI, metadata={"Software": None})
    figure.savefig(folder / f"{name}.pdf", dpi=DPI, metadata={"CreationDate": None})
    figure.savefig(folder / f"{name}.svg", dpi=DPI, metadata={"Date": None})


def ticks(values: Sequence[str], title: str, room: int = _LEAST_ROOM) -> tuple[list[str], str]:
    """Return the words of a condition's ticks and of its axis, so that ticks do not overlap.

    Of amounts in one unit the unit stands once, beside the title, and numbers have three digits if these
    tell them apart. Other words are broken into lines of ``room`` characters.
    """
    amounts = [found for value in values if (found := _AMOUNT.fullmatch(value))]
    units = {found[2] for found in amounts}
    if len(amounts) < len(values) or len(units) != 1:
        return [fill(value, room, break_long_words=False) for value in values], title
    (unit,), exact = units, [found[1] for found in amounts]
    short = [min(number, f"{float(f'{float(number):.3g}'):g}", key=len) for number in exact]
    return short if len(set(short)) == len(set(exact)) else exact, f"{title} ({unit})" if unit else title


def room_of_tick(axes: Axes, number_of: int, beside: int = 0) -> int:
    """Characters for each of so many ticks along the x axis of a panel, beside which others stand that are so
    many characters wide.
    """
    place = axes.get_subplotspec()
    width_in = axes.figure.get_figwidth() / (place.get_gridspec().ncols if place else 1)  # type: ignore[union-attr]
    return max(_LEAST_ROOM, int(((width_in - _Y_AXIS_IN) / _CHARACTER_IN - beside) / number_of))


def tidy(axes: Axes) -> None:
    """Put a light grid behind the data."""
    axes.grid(visible=True)

"""Which figures a report draws of a study, by what was varied and measured."""

from collections.abc import Iterator

import polars as pl

from simulator.record.measures_frames import Frames
from simulator.report.figure_spec import FigureSpec
from simulator.report.text import file_name

MAX_COLUMNS, MAX_ROWS = 4, 3
"""A condition with more values is averaged rather than spread over so many panels."""


def default_figures(frames: Frames, target: float | None) -> list[FigureSpec]:
    """Return the figures of a report; those for which a study has no numbers draw themselves out."""
    names = [condition.name for condition in frames.conditions]
    num_methods = frames.runs["method"].n_unique() if not frames.runs.is_empty() else 0
    hue = "method" if num_methods > 1 or not names else names[0]
    spread = [one for one in frames.conditions if one.name != hue]
    across = next((one.name for one in spread if len(one.values) <= MAX_COLUMNS), None)
    down = next((one.name for one in spread if one.name != across and len(one.values) <= MAX_ROWS), None)
    return [
        *_costs(hue, across, down),
        *_progress(hue, across),
        *_sites(hue),
        *_targets(frames, hue, target),
        *_conditions(frames, names, hue),
    ]


def _costs(hue: str, across: str | None, down: str | None) -> Iterator[FigureSpec]:
    title = "Communication cost against Dice"
    if across is None:
        x, y = ("carried_nbytes", "busiest_nbytes"), ("dice_mean", "dice_worst")
        yield FigureSpec(name="cost-dice", kind="curve", x=x, y=y, hue=hue, title=title)
    else:
        yield FigureSpec(
            name="cost-dice", kind="curve", x=("carried_nbytes",), y=("dice_mean",), hue=hue,
            columns=across, rows=down, title=title,
        )  # fmt: skip
    yield FigureSpec(
        name="cost-accuracy", kind="front", x=("carried_nbytes",), y=("dice_mean",), hue=hue, columns=across,
        title="Cost and Dice of whole runs",
    )  # fmt: skip


def _progress(hue: str, across: str | None) -> Iterator[FigureSpec]:
    y = ("dice_mean", "dice_worst")
    yield FigureSpec(
        name="time-dice", kind="curve", x=("time_s",), y=y, hue=hue, columns=across, faults=across is None,
        title="Dice against virtual time", width="page",
    )  # fmt: skip
    yield FigureSpec(
        name="rounds-dice", kind="curve", x=("round",), y=("dice_mean",), hue=hue, columns=across,
        title="Dice against rounds",
    )  # fmt: skip


def _sites(hue: str) -> Iterator[FigureSpec]:
    for name, score, title in (
        ("sites-dice", "dice", "Dice by site"),
        ("sites-gain", "over_local", "Gain over local training by site"),
        ("sites-pooled", "over_pooled", "Loss against pooled training by site"),
    ):
        yield FigureSpec(name=name, kind="sites", y=(score,), hue=hue, title=title)


def _targets(frames: Frames, hue: str, target: float | None) -> Iterator[FigureSpec]:
    repeated = not frames.runs.is_empty() and frames.runs["unit"].n_unique() > 1
    if target is not None and repeated:
        x = ("time_s", "carried_nbytes")
        yield FigureSpec(
            name="target", kind="reach", x=x, hue=hue, title=f"Time and bytes to Dice {target:g}"
        )


def _conditions(frames: Frames, names: list[str], hue: str) -> Iterator[FigureSpec]:
    """Lines over each condition, then tiles over the first two, of the methods that have them all."""
    if hue == "method":
        for name in names:
            yield FigureSpec(
                name=f"over-{_slug(name)}", kind="line", x=(name,), y=("dice_mean", "virtual_time_s"),
                hue=hue, title=f"Dice and virtual time over {name}",
            )  # fmt: skip
    if len(names) < 2:
        return
    x, y = names[:2]
    had = frames.runs.group_by("method", maintain_order=True).agg(pl.struct(x, y).n_unique().alias("num"))
    whole = had.filter(pl.col("num") == pl.col("num").max())["method"].to_list()
    for color, short in (("dice_mean", "dice"), ("virtual_time_s", "time")):
        yield FigureSpec(
            name=f"tiles-{short}", kind="heat", x=(x,), y=(y,), color=color, columns="method",
            where={"method": tuple(whole)},
            title=f"{'Dice' if short == 'dice' else 'Virtual time'} over {x} and {y}",
        )  # fmt: skip


def _slug(name: str) -> str:
    return file_name(name.lower().replace("_", "-").replace(".", "-"))

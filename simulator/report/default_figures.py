"""Which figures a report draws of a study, by what was varied and measured."""

from collections.abc import Iterator

import polars as pl

from simulator.record.measures_frames import Frames
from simulator.report.figure_spec import FigureSpec
from simulator.report.text import file_name

MAX_COLUMNS, MAX_ROWS = 4, 3
"""A condition with more values is averaged rather than spread over so many panels."""
MAX_METHODS = 10
"""Of more, the best are drawn, so that they can be told apart."""
_REFERENCES = ("local", "pooled", "fedavg", "gcml")
"""Algorithms of which the best variant is drawn in any case."""


def default_figures(frames: Frames, target: float | None) -> list[FigureSpec]:
    """Return the figures of a report; those for which a study has no numbers draw themselves out."""
    names = [condition.name for condition in frames.conditions]
    num_methods = frames.runs["method"].n_unique() if not frames.runs.is_empty() else 0
    hue = "method" if num_methods > 1 or not names else names[0]
    spread = [one for one in frames.conditions if one.name != hue]
    across = next((one.name for one in spread if len(one.values) <= MAX_COLUMNS), None)
    down = next((one.name for one in spread if one.name != across and len(one.values) <= MAX_ROWS), None)
    figures = [
        *_costs(hue, across, down),
        *_progress(
            hue, across, faults=across is None and not any(name.startswith("faults") for name in names)
        ),
        *_sites(hue),
        *_targets(frames, hue, target),
        *_conditions(frames, names, hue),
    ]
    if hue != "method" or num_methods <= MAX_METHODS:
        return figures
    return [*(_of_the_best(spec, frames) for spec in figures), *_all_methods(names)]


def _of_the_best(spec: FigureSpec, frames: Frames) -> FigureSpec:
    """The same figure of the methods with the highest Dice, mean over runs, and of the references."""
    every = frames.runs["method"].n_unique()
    scores = frames.runs.group_by("method", "algorithm", maintain_order=True).agg(pl.col("dice_mean").mean())
    within = scores.filter(pl.col("method").is_in(spec.where.get("method", scores["method"].to_list())))
    ranked = within.sort("dice_mean", descending=True, nulls_last=True, maintain_order=True)
    references = ranked.filter(pl.col("algorithm").is_in(_REFERENCES)).unique(
        "algorithm", keep="first", maintain_order=True
    )
    best = dict.fromkeys([*references["method"], *ranked["method"]])
    chosen = tuple(name for name in within["method"] if name in list(best)[:MAX_METHODS])
    said = f"{spec.title}, {len(chosen)} of {every} methods"
    return spec.model_copy(update={"where": {**spec.where, "method": chosen}, "title": said})


def _all_methods(names: list[str]) -> Iterator[FigureSpec]:
    """Tiles of all methods over each condition."""
    for name in names:
        yield FigureSpec(
            name=f"methods-{_slug(name)}", kind="heat", x=(name,), y=("method",), color="dice_mean",
            title=f"Dice of all methods over {name}", width="page",
        )  # fmt: skip


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


def _progress(hue: str, across: str | None, *, faults: bool) -> Iterator[FigureSpec]:
    """Marks of faults help where all runs have the same."""
    y = ("dice_mean", "dice_worst")
    yield FigureSpec(
        name="time-dice", kind="curve", x=("time_s",), y=y, hue=hue, columns=across, faults=faults,
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
        for one in frames.conditions:
            yield FigureSpec(
                name=f"over-{_slug(one.name)}", kind="line", x=(one.name,), y=("dice_mean", "virtual_time_s"),
                hue=hue, title=f"Dice and virtual time over {one.name}",
                width="page" if len(one.values) > MAX_COLUMNS else None,
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

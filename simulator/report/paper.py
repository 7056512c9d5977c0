"""``medgossip compare``: figures, tables and a page for a paper, of one study or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from simulator.errors import ScenarioError
from simulator.record.measures_frames import Frames, frames
from simulator.record.measures_run import Run, Study, load_study
from simulator.record.measures_standing import Standings, standings
from simulator.report import incidents, statistics_tables, tables
from simulator.report.default_figures import default_figures
from simulator.report.figure import Drawn, draw, only
from simulator.report.figure_spec import FigureSpec
from simulator.report.mixture import refuse_mixture
from simulator.report.page import PaperPage, render_paper
from simulator.report.paper_spec import PaperSpec, check_spec, read_spec
from simulator.report.style import Picture
from simulator.report.table_files import latex, methods_frame, pairs_frame, write_frame, write_frames
from simulator.report.tables import Table

Words = Mapping[str, Mapping[str, str]]
"""What the paper calls the study's values, by column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """What a paper shows: the study's tables under the paper's names."""

    spec: PaperSpec
    study: Study
    runs: tuple[Run, ...]
    frames: Frames
    words: Words
    target: float | None
    standing: Standings | None


def write_paper(folders: Sequence[Path], out: Path, spec_file: Path | None) -> Path:
    """See :func:`simulator.report.compare`."""
    chosen = _choose(folders, spec_file)
    figures, files = out / "figures", out / "tables"
    drawn = Drawn(
        frames=chosen.frames,
        runs=chosen.runs,
        target=chosen.target,
        titles={name: words.title for name, words in chosen.spec.conditions.items() if words.title},
        order=tuple(_label(chosen.spec, name) for name in chosen.spec.order),
    )
    pictures = _pictures(chosen, drawn, figures)
    write_frames(files, chosen.frames)
    shown = _tables(chosen, files)
    page = PaperPage(
        title=chosen.spec.title or chosen.study.name,
        study=chosen.study,
        runs=chosen.runs,
        problems=tuple(incidents.problems(chosen.study, {run.folder for run in chosen.runs})),
        pictures=pictures,
        tables=shown,
    )
    path = out / "compare.html"
    path.write_text(render_paper(page, figures), encoding="utf-8")
    return path


def _choose(folders: Sequence[Path], spec_file: Path | None) -> _Chosen:
    spec, tree = (PaperSpec(), None) if spec_file is None else read_spec(spec_file)
    study = load_study(folders)
    if len(folders) > 1:
        refuse_mixture(study.runs)
    runs = tuple(run for run in study.runs if run.has_ended)
    if not runs:
        raise ScenarioError(f"{folders[0]}: no run has ended well; finish them with medgossip resume")
    targets = {run.manifest.get("target_dice") for run in runs}
    target = spec.target or (targets.pop() if len(targets) == 1 else None)
    found = frames(runs, target)
    if tree is not None:
        check_spec(spec, tree, found)
    kept = [
        place
        for place, row in enumerate(found.runs.iter_rows(named=True))
        if all(row[name] in values for name, values in spec.where.items())
    ]
    if not kept:
        raise ScenarioError(f"{spec_file}: where: no run is left; keep some")
    if len(kept) < len(runs):
        runs = tuple(runs[place] for place in kept)
        found = only(found, pl.col("run").is_in(found.runs["run"][kept].to_list()))
    words = {"method": spec.labels} | _values(found, spec)
    named = _renamed(found, words)
    reference = _label(spec, spec.reference) if spec.reference else None
    scored = named.runs.drop_nulls("dice_mean")["method"].to_list()
    if scored and reference is not None and reference not in scored:
        raise ScenarioError(
            f'{spec_file}: reference: no run of "{spec.reference}" with a Dice is left; widen where, or '
            "name another method"
        )
    return _Chosen(
        spec=spec,
        study=study,
        runs=runs,
        frames=named,
        words=words,
        target=target,
        standing=standings(_ordered(named, spec), reference=reference),
    )


def _label(spec: PaperSpec, method: str) -> str:
    return spec.labels.get(method, method)


def _renamed(found: Frames, words: Words) -> Frames:
    """The tables with methods and values as the paper calls them."""
    conditions = tuple(
        replace(
            one,
            values=tuple(words.get(one.name, {}).get(value, value) for value in one.values),
            of_run=tuple(words.get(one.name, {}).get(value, value) for value in one.of_run),
        )
        for one in found.conditions
    )
    renamed = {
        name: table if table.is_empty() else table.with_columns(
            *(pl.col(column).replace(mapping) for column, mapping in words.items())
        )
        for name in ("runs", "sites", "cases", "curves")
        for table in [getattr(found, name)]
    }  # fmt: skip
    return replace(found, conditions=conditions, **renamed)


def _values(found: Frames, spec: PaperSpec) -> dict[str, Mapping[str, str]]:
    """What each value of each condition is called, where the paper says it."""
    return {
        one.name: dict(zip(one.values, words.values, strict=True))
        for one in found.conditions
        if (words := spec.conditions.get(one.name)) is not None and words.values
    }


def _ordered(found: Frames, spec: PaperSpec) -> Frames:
    """Runs in the paper's order of methods, which tables follow."""
    order = {_label(spec, name): place for place, name in enumerate(spec.order)}
    rank = pl.col("method").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    return replace(found, runs=found.runs.sort(rank, maintain_order=True))


def _pictures(chosen: _Chosen, drawn: Drawn, folder: Path) -> tuple[Picture, ...]:
    """The figures of the paper, or those of a report where it names none.

    Raises:
        ScenarioError: no run has what a figure of the paper shows.
    """
    if not chosen.spec.figures:
        found = [draw(one, drawn, folder) for one in default_figures(chosen.frames, chosen.target)]
        return tuple(picture for picture in found if picture is not None)
    made = []
    for figure in chosen.spec.figures:
        picture = draw(_in_words(figure, chosen.words), drawn, folder)
        if picture is None:
            remedy = "give a target" if figure.kind == "reach" else "widen where, or draw something else"
            raise ScenarioError(f"figures: {figure.name}: no run has what it shows; {remedy}")
        made.append(picture)
    return tuple(made)


def _in_words(figure: FigureSpec, words: Words) -> FigureSpec:
    """A figure whose ``where`` names methods and values as the renamed tables do."""
    where = {
        name: tuple(words.get(name, {}).get(value, value) for value in values)
        for name, values in figure.where.items()
    }
    return figure.model_copy(update={"where": where})


def _tables(chosen: _Chosen, folder: Path) -> tuple[Table, ...]:
    """Write the tables of statistics in every format, and return them as text."""
    found: list[Table] = []
    if chosen.standing is not None:
        write_frame(folder, "methods", methods_frame(chosen.standing))
        found.append(statistics_tables.methods(chosen.standing))
        (folder / "methods.tex").write_text(latex(found[-1], "methods"), encoding="utf-8")
        pairs = statistics_tables.pairs(chosen.standing)
        if pairs is not None:
            write_frame(folder, "pairs", pairs_frame(chosen.standing))
            (folder / "pairs.tex").write_text(latex(pairs, "pairs"), encoding="utf-8")
            found.append(pairs)
    reached = tables.to_target(_by_method(chosen), chosen.target)
    return (*found, *([reached] if reached is not None else []))


def _by_method(chosen: _Chosen) -> dict[str, list[Run]]:
    """Runs by method, in the paper's order."""
    methods = chosen.frames.runs["method"].to_list()
    found: dict[str, list[Run]] = {_label(chosen.spec, name): [] for name in chosen.spec.order}
    for run, method in zip(chosen.runs, methods, strict=True):
        found.setdefault(method, []).append(run)
    return {method: runs for method, runs in found.items() if runs}

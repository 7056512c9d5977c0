"""A report from its runs: measure, draw, say, render."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from simulator.record.measures import Summary, summarize
from simulator.record.measures_run import Run, Study, by_label, load_study
from simulator.record.measures_sites import SiteTable, site_table
from simulator.report import cost, gantt, overlays, progress_over_time, sites, tables, topology
from simulator.report.findings import findings
from simulator.report.mixture import refuse_mixture
from simulator.report.page import Page, render
from simulator.report.style import Picture, looks
from simulator.report.text import MISSING

MAX_TIMELINES = 8
"""So many timelines are drawn at most: one per label, of its first run."""


def write_report(folders: Sequence[Path], out: Path) -> Path:
    """See :func:`simulator.report.build`."""
    study = load_study(folders)
    if len(folders) > 1:  # within one study a sweep may differ in these on purpose, and its labels say so
        refuse_mixture(study.runs)
    ended = by_label(run for run in study.runs if run.has_ended)
    summaries = {label: [summarize(run) for run in runs] for label, runs in ended.items()}
    scores = site_table(ended)
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    target = _target(study.runs)
    page = Page(
        study=study,
        groups=ended,
        findings=findings(ended, summaries, scores, target),
        problems=tuple(tables.problems(study)),
        results=_tables(ended, summaries, scores, target),
        faults=tuple(tables.faults(study.runs)),
        events=tables.events(summaries),
        skipped=tables.skipped(study.runs),
        pictures=_draw(ended, scores, figures),
        timelines=_timelines(study, figures),
        left_out=_left_out(study),
    )
    path = out / "report.html"
    path.write_text(render(page, figures), encoding="utf-8")
    return path


def _target(runs: Sequence[Run]) -> float | None:
    """The target Dice that all runs share; several targets would be compared with nothing."""
    targets = {run.manifest.get("target_dice") for run in runs}
    return targets.pop() if len(targets) == 1 else None


def _tables(
    groups: Mapping[str, Sequence[Run]],
    summaries: Mapping[str, Sequence[Summary]],
    scores: SiteTable,
    target: float | None,
) -> tuple[tables.Table, ...]:
    if not groups:
        return ()
    found = [
        tables.reached(summaries),
        tables.cost(summaries),
        tables.to_target(groups, target),
        *tables.by_site(scores),
        tables.by_structure(groups),
        tables.unseen(groups),
    ]
    return tuple(table for table in found if table is not None)


def _draw(groups: Mapping[str, Sequence[Run]], scores: SiteTable, folder: Path) -> tuple[Picture, ...]:
    look = looks(groups)
    found = [
        cost.draw(groups, look, folder),
        progress_over_time.draw(groups, look, folder),
        sites.draw(groups, scores, look, folder),
        overlays.draw(groups, folder),
    ]
    return tuple(picture for picture in found if picture is not None)


def _timelines(study: Study, folder: Path) -> tuple[Picture, ...]:
    """Timeline of the first run of each label, then the map of the run among them that moved most."""
    firsts = _firsts(study)[:MAX_TIMELINES]
    found = [gantt.draw(run, folder) for run in firsts]
    moving = [run for run in firsts if not run.tables["transfers"].is_empty()]
    busiest = sorted(moving, key=lambda run: -run.tables["transfers"]["carried_nbytes"].sum())
    found += [topology.draw(run, folder) for run in busiest[:1]]
    return tuple(picture for picture in found if picture is not None)


def _firsts(study: Study) -> list[Run]:
    return [runs[0] for runs in by_label(study.runs).values()]


def _left_out(study: Study) -> str:
    drawn = min(MAX_TIMELINES, len(_firsts(study)))
    if drawn == len(study.runs):
        return ""
    return (
        f"Timelines are drawn for {drawn} of {len(study.runs)} runs, the first of each method {MISSING} "
        "for another one: medgossip report and its folder."
    )

"""A report from its runs: measure, draw, say, render."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from simulator.record.measures import Summary, summarize
from simulator.record.measures_frames import Frames, frames
from simulator.record.measures_run import Run, by_label, load_study
from simulator.record.measures_sites import SiteTable, site_table
from simulator.record.measures_standing import Standings, standings
from simulator.report import gantt, incidents, overlays, statistics_tables, tables, topology
from simulator.report.default_figures import default_figures
from simulator.report.figure import Drawn, draw
from simulator.report.findings import findings
from simulator.report.lines import assumptions
from simulator.report.mixture import refuse_mixture
from simulator.report.page import Page, render
from simulator.report.planners import side_by_side, stories
from simulator.report.style import Picture
from simulator.report.text import MISSING, listing

MAX_LABELS = 10
"""With more labels, tables by method are of one combination of conditions."""
MAX_TIMELINES = 8
"""So many timelines are drawn at most: one per label, of its first run."""


def write_report(folders: Sequence[Path], out: Path) -> Path:
    """See :func:`simulator.report.build`."""
    study = load_study(folders)
    if len(folders) > 1:  # within one study a sweep may differ in these on purpose, and its labels say so
        refuse_mixture(study.runs)
    target = _target(study.runs)
    runs = [run for run in study.runs if run.has_ended]
    everything = frames(runs, target)
    ended, remark = _looked_at_closely(runs, everything)
    firsts = _firsts(ended or by_label(study.runs))
    summaries = {label: [summarize(run) for run in some] for label, some in ended.items()}
    scores = site_table(ended)
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    page = Page(
        study=study,
        groups=ended,
        findings=findings(ended, summaries, scores, target, _over_conditions(everything, remark)),
        remark=remark,
        problems=tuple(incidents.problems(study)),
        statistics=_statistics(everything),
        results=_tables(ended, summaries, scores, target),
        faults=tuple(incidents.faults(study.runs)),
        events=incidents.events(summaries),
        skipped=incidents.skipped(study.runs),
        pictures=_draw(Drawn(frames=everything, runs=runs, target=target), ended, figures),
        timelines=_timelines(firsts, figures),
        left_out=_left_out(study.runs, firsts),
        stories=stories(ended),
        side_by_side=side_by_side(ended),
        assumptions=assumptions([run for some in ended.values() for run in some]),
    )
    path = out / "report.html"
    path.write_text(render(page, figures), encoding="utf-8")
    return path


def _looked_at_closely(runs: Sequence[Run], found: Frames) -> tuple[dict[str, list[Run]], str]:
    """The runs that findings and tables tell of one by one, by label, and a remark if these are not all.

    More labels than a table holds are cut down to the conditions that most methods have, the first of them.
    """
    if len(by_label(runs)) <= MAX_LABELS or not found.conditions:
        return by_label(runs), ""
    had: dict[tuple[str, ...], set[str]] = {}
    of_run = list(zip(*(condition.of_run for condition in found.conditions), strict=True))
    for run, values in zip(runs, of_run, strict=True):
        had.setdefault(values, set()).add(run.algorithm)
    chosen = max(had, key=lambda values: len(had[values]))
    said = [f"{one.name} {value}" for one, value in zip(found.conditions, chosen, strict=True)]
    groups: dict[str, list[Run]] = {}
    for run, method, values in zip(runs, found.runs["method"], of_run, strict=True):
        if values == chosen:
            groups.setdefault(method, []).append(run)
    return groups, (
        f"The findings and the tables by method are those with {listing(said)}, of {len(had)} combinations "
        "of conditions; the statistics and the figures show all of them."
    )


def _over_conditions(found: Frames, remark: str) -> Standings | None:
    """Methods over conditions; None where none were swept, or the findings are of one combination."""
    if remark or not found.conditions or found.runs["unit"].n_unique() < 2:
        return None
    standing = standings(found)
    return standing if standing is not None and standing.num_conditions > 1 else None


def _statistics(found: Frames) -> tuple[tables.Table, ...]:
    """Methods and pairs; nothing where a single run of each leaves nothing to say."""
    if found.runs.is_empty() or found.runs["unit"].n_unique() < 2:
        return ()
    standing = standings(found)
    if standing is None:
        return ()
    pairs = statistics_tables.pairs(standing)
    return (statistics_tables.methods(standing), *([pairs] if pairs is not None else []))


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


def _draw(study: Drawn, groups: Mapping[str, Sequence[Run]], folder: Path) -> tuple[Picture, ...]:
    found = [draw(spec, study, folder) for spec in default_figures(study.frames, study.target)]
    found.append(overlays.draw(groups, folder))
    return tuple(picture for picture in found if picture is not None)


def _timelines(firsts: Sequence[Run], folder: Path) -> tuple[Picture, ...]:
    """Timeline of the first run of each label, then the map of the run among them that moved most."""
    found = [gantt.draw(run, folder) for run in firsts]
    moving = [run for run in firsts if not run.tables["transfers"].is_empty()]
    busiest = sorted(moving, key=lambda run: -run.tables["transfers"]["carried_nbytes"].sum())
    found += [topology.draw(run, folder) for run in busiest[:1]]
    return tuple(picture for picture in found if picture is not None)


def _firsts(groups: Mapping[str, Sequence[Run]]) -> list[Run]:
    return [some[0] for some in groups.values()][:MAX_TIMELINES]


def _left_out(runs: Sequence[Run], firsts: Sequence[Run]) -> str:
    if len(firsts) == len(runs):
        return ""
    return (
        f"Timelines are drawn for {len(firsts)} of {len(runs)} runs, the first of each method {MISSING} "
        "for another one: medgossip report and its folder."
    )

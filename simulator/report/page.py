"""The HTML report: everything in one file, readable without JavaScript, network or this program."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import polars as pl

from simulator.record.measures_run import Run, Study
from simulator.report.findings import Findings
from simulator.report.planners import Story
from simulator.report.style import Picture
from simulator.report.tables import Table
from simulator.report.text import MISSING, count, duration, listing, natural, plural, size

SVG_LIMIT_NBYTES = 400_000
"""Figures whose SVG is larger are shown as PNG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a report shows, in the order in which it does."""

    study: Study
    groups: Mapping[str, Sequence[Run]]
    findings: Findings
    remark: str
    problems: tuple[str, ...]
    statistics: tuple[Table, ...]
    results: tuple[Table, ...]
    faults: tuple[Table, ...]
    events: Table | None
    skipped: Table | None
    pictures: tuple[Picture, ...]
    timelines: tuple[Picture, ...]
    left_out: str
    stories: tuple[Story, ...]
    side_by_side: Table | None
    assumptions: Table | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperPage:
    """What a comparison for a paper shows."""

    title: str
    study: Study
    runs: tuple[Run, ...]
    problems: tuple[str, ...]
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]


def render(page: Page, figures: Path) -> str:
    """Return the report as HTML; ``figures`` holds the files of the page's pictures."""
    runs = page.study.runs
    return template("report.html.j2").render(
        page=page,
        sources=_sources((*page.pictures, *page.timelines), figures),
        what=_what_was_run(runs),
        simulated=any(run.manifest.get("simulated_data") for run in runs),
        plan=all(run.manifest["plan"] for run in runs),
        runs=_runs_table(runs),
        circumstances=_circumstances(runs),
        commands=_commands(page.study),
    )


def render_paper(page: PaperPage, figures: Path) -> str:
    """Return a comparison as HTML."""
    return template("compare.html.j2").render(
        page=page,
        sources=_sources(page.pictures, figures),
        what=_what_was_run(page.runs),
        simulated=any(run.manifest.get("simulated_data") for run in page.runs),
        circumstances=_circumstances(page.runs),
        commands=_commands(page.study),
    )


def template(name: str) -> jinja2.Template:
    """Return a page's template; what it is given is escaped, and what it lacks is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("simulator.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _sources(pictures: Sequence[Picture], figures: Path) -> dict[str, str]:
    return {picture.name: _source(figures, picture) for picture in pictures}


def _source(figures: Path, picture: Picture) -> str:
    """The figure as a data URI: SVG where it is not too large, else PNG."""
    vector, pixels = figures / f"{picture.name}.svg", figures / f"{picture.name}.png"
    use_vector = vector.stat().st_size <= SVG_LIMIT_NBYTES and picture.name != "overlays"
    chosen, kind = (vector, "svg+xml") if use_vector else (pixels, "png")
    return f"data:image/{kind};base64,{base64.b64encode(chosen.read_bytes()).decode()}"


def _what_was_run(runs: Sequence[Run]) -> list[str]:
    """Sentences in plain words."""
    algorithms = list(dict.fromkeys(run.algorithm for run in runs))
    learning, network = ({run.seeds[i] for run in runs} for i in (0, 1))
    kind = "plan" if all(run.manifest["plan"] for run in runs) else "run"
    said = [
        f"{plural(len(runs), kind)} of {listing(algorithms)}, with "
        f"{plural(len(learning), 'learning seed')} and {plural(len(network), 'network seed')}."
    ]
    said += _site_words(runs)
    said += _model_words(runs[0].manifest)
    ends = [run.virtual_time_s for run in runs if run.virtual_time_s is not None]
    if ends:
        span = (
            duration(min(ends))
            if min(ends) == max(ends)
            else f"{duration(min(ends))} to {duration(max(ends))}"
        )
        said.append(f"The runs took {span} of virtual time.")
    return said + _reuse(runs)


def _site_words(runs: Sequence[Run]) -> list[str]:
    """On the sites, the same in all runs, and their cases, which runs may divide differently."""
    tables = [run.tables["sites"].filter(pl.col("role") != "server") for run in runs]
    if tables[0].is_empty():
        return []
    names = sorted(tables[0]["site"], key=natural)
    cases = [number for table in tables for number in table["num_train"].drop_nulls()]
    held = f" with {_span(cases)} training cases each" if cases else ""
    return [f"{plural(len(names), 'site')} ({listing(names, 8)}){held}."]


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _model_words(manifest: Mapping[str, Any]) -> list[str]:
    said = []
    if manifest.get("dataset"):
        structures = listing([str(name) for name in manifest.get("structures", ())] or [MISSING])
        said.append(f"Data set {manifest['dataset']}; what is segmented: {structures}.")
    model = manifest.get("model") or {}
    if model.get("num_parameters") is not None:
        payload = size(model.get("payload_nbytes"))
        said.append(
            f"The model has {count(model['num_parameters'])} parameters; one transmission is {payload}."
        )
    return said


def _reuse(runs: Sequence[Run]) -> list[str]:
    """A sentence on what was computed and what that saved which was known; none for plans."""
    tasks = [run.manifest.get("tasks") or {} for run in runs]
    if not all("needed" in one for one in tasks):
        return []
    needed, executed, reused = (sum(one[name] for one in tasks) for name in ("needed", "executed", "reused"))
    known = [one["saved_s"] for one in tasks]
    saved = "" if None in known else f", which saved {duration(math.fsum(known))} of one core"
    return [
        f"Together they needed {count(needed)} results of tasks: {count(executed)} were computed for them, "
        f"{count(reused)} reused{saved}."
    ]


def _runs_table(runs: Sequence[Run]) -> Table:
    rows = []
    for run in runs:
        manifest, (learning, network) = run.manifest, run.seeds
        tasks = manifest.get("tasks") or {}
        rows.append(
            (
                str(manifest["run_id"]),
                run.algorithm,
                f"{learning}, {network}",
                str(manifest["status"]),
                duration(run.virtual_time_s),
                str(manifest.get("end_reason") or MISSING),
                f"{count(tasks.get('executed'))} / {count(tasks.get('reused'))}",
                duration(tasks.get("saved_s")),
            )
        )
    head = ("run", "algorithm", "seeds: learning, network", "status", "virtual time", "why it ended")
    return Table(
        title="Runs",
        head=(*head, "tasks executed / reused", "saved"),
        rows=tuple(rows),
        note="A task that several runs need was executed for the first of them and reused by the others, "
        "as was what lay in the store. What that saved is time of one core, by what such tasks took.",
    )


def _circumstances(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Versions and hardware, each once with the runs' values joined where they differ."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for group in ("versions", "hardware"):
            for name, value in (run.manifest.get(group) or {}).items():
                found.setdefault(str(name), {})[str(value)] = None
    return [(name, "; ".join(values)) for name, values in found.items()]


def _commands(study: Study) -> list[str]:
    given = [str(run.manifest["command"]) for run in study.runs if run.manifest.get("command")]
    return list(dict.fromkeys(study.commands or given))

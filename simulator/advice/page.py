"""Advice in a folder: a page for people, tables and JSON for programs."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simulator import study_folder
from simulator.advice.advice import Advice
from simulator.advice.words import MEANING, assumed, sentences, tables
from simulator.record.manifest import command
from simulator.report.page import template
from simulator.scenario import Study
from simulator.scenario.dump import dump


def as_json(advice: Advice) -> dict[str, Any]:
    """Return everything that is told of a scenario as plain data."""
    plain = asdict(advice) | {"assumed": advice.assumed.model_dump(mode="json", by_alias=True)}
    best = advice.best
    return plain | {"change": None if best is None else best.setting}


def write(study: Study, found: Sequence[Advice], out: Path) -> Path:
    """Write ``advice.json``, a CSV file per table, the scenarios and ``report.html``; return the page."""
    folder = out / f"advice-{study_folder.name_of(study)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with study_folder.replacing(folder) as partial:
        texts = json.dumps([as_json(one) for one in found], indent=1)
        (partial / "advice.json").write_text(texts, encoding="utf-8")
        for point, one in zip(study.points, found, strict=True):
            home = partial / point.label
            home.mkdir()
            (home / "scenario.yaml").write_text(dump(point.scenario), encoding="utf-8")
            for table in tables(one):
                name = table.title.lower().replace(" ", "-")
                with (home / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                    csv.writer(file).writerows([table.head, *table.rows])
        page = template("advice.html.j2").render(
            name=study.name,
            description=study.description,
            parts=[{"label": one.label, "sentences": sentences(one), "tables": tables(one)} for one in found],
            assumed=assumed(study.advise),
            meaning=MEANING,
            command=command(),
        )  # fmt: skip
        (partial / "report.html").write_text(page, encoding="utf-8")
    return folder / "report.html"

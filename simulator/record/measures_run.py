"""A finished run as measures and figures read it, and the groups of runs that differ only by seed."""

import json
import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import polars as pl
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from simulator.errors import ScenarioError
from simulator.record.measures_conditions import conditions, method_names
from simulator.record.tables import TABLES
from simulator.record.tables_io import empty_table, read_tables

_NEEDED = ("run_id", "label", "scenario", "algorithm", "seed", "status", "plan", "virtual_time_s")
_SECTION = re.compile(r"^[^\s#-].*\n?(?:(?:[\s#-].*)?\n)*", re.MULTILINE)
_SEED_WORD = re.compile(
    r"(?:^|[-_ ])(?:seed(?:[._-](?:learning|network))?|learning|network)[-=_ ]?\d+(?=$|[-_ ])"
)

WORKED_S = pl.col("end_s") - pl.col("start_s") - pl.col("paused_s").fill_null(0.0)
"""Seconds of a row of the table ``work`` in which the machine computed."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run folder: its manifest and tables.

    Attributes:
        label: short text that tells runs apart in figures; the same for runs that differ by seed.
        tables: every table of :data:`~simulator.record.tables.TABLES`; empty where ``missing``.
        missing: names of the tables that the folder lacks.
        scenario: its resolved scenario; empty where the folder has none.

    """

    folder: Path
    manifest: Mapping[str, Any]
    label: str
    tables: Mapping[str, pl.DataFrame]
    missing: tuple[str, ...] = ()
    scenario: Mapping[str, Any] = field(default_factory=dict)
    _measured: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def algorithm(self) -> str:
        """The name of its algorithm."""
        return str(self.manifest["algorithm"])

    @property
    def seeds(self) -> tuple[int, int]:
        """Its learning seed and its network seed."""
        seed = self.manifest["seed"]
        return int(seed["learning"]), int(seed["network"])

    @property
    def has_ended(self) -> bool:
        """Whether it ran to its end; what a broken run left behind is not measured against others."""
        return str(self.manifest["status"]) == "ok"

    @property
    def virtual_time_s(self) -> float | None:
        """Virtual time at its end, None where it has none."""
        value = self.manifest["virtual_time_s"]
        return None if value is None else float(value)


def remembered(measure: Callable[Concatenate[Run, P], T]) -> Callable[Concatenate[Run, P], T]:
    """Measure a run once, whoever asks; results are shared and not to be changed."""

    @wraps(measure)
    def once(run: Run, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (measure, args, tuple(sorted(kwargs.items())))
        if key not in run._measured:
            run._measured[key] = measure(run, *args, **kwargs)
        found: T = run._measured[key]
        return found

    return once


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What a report is made from: runs in the order given, and the studies they came from."""

    name: str
    description: str
    commands: tuple[str, ...]
    runs: tuple[Run, ...]
    problems: tuple[str, ...] = field(default=())


def load_study(folders: Sequence[Path]) -> Study:
    """Read any mix of study folders and run folders.

    Raises:
        ScenarioError: no folder given, a folder is neither, or a manifest cannot be read.
    """
    if not folders:
        raise ScenarioError("no folder given; name a study folder or run folders, as in runs/<name>-<digest>")
    names, descriptions, commands, places = [], [], [], []
    problems: list[str] = []
    seen: set[Path] = set()
    for folder in folders:
        points, about = _points(folder, problems)
        names.append(about.get("name", folder.name))
        descriptions.append(about.get("description", ""))
        commands.append(about.get("command", ""))
        for point in points:
            if point.resolve() not in seen:
                seen.add(point.resolve())
                places.append(point)
    if not places:
        raise ScenarioError(f"{folders[0]}: the study holds no run folder; run its scenario again")
    return Study(
        name=" + ".join(dict.fromkeys(names)),
        description="\n".join(text for text in dict.fromkeys(descriptions) if text),
        commands=tuple(text for text in dict.fromkeys(commands) if text),
        runs=_distinct(_named(load_runs(places))),
        problems=tuple(problems),
    )


def load_run(folder: Path) -> Run:
    """Read one run folder; tables that are not there are listed, not invented.

    Raises:
        ScenarioError: it is none, or a file in it cannot be read.
    """
    return load_runs([folder])[0]


def load_runs(folders: Sequence[Path]) -> list[Run]:
    """Read run folders as :func:`load_run` does, each table of all of them in one pass."""
    manifests = [_manifest(folder) for folder in folders]
    tables: list[dict[str, pl.DataFrame]] = [{} for _ in folders]
    for name in TABLES:
        there = [place for place, folder in enumerate(folders) if (folder / f"{name}.parquet").is_file()]
        found = dict(zip(there, read_tables([folders[place] for place in there], name), strict=True))
        for place, own in enumerate(tables):
            own[name] = found.get(place, empty_table(name))
    return [
        Run(
            folder=folder,
            manifest=manifest,
            label=_SEED_WORD.sub("", str(manifest["label"])).strip("-_ ") or str(manifest["algorithm"]),
            tables=own | {"metrics": own["metrics"].with_columns(pl.col("value").fill_nan(None))},
            missing=tuple(name for name in TABLES if not (folder / f"{name}.parquet").is_file()),
            scenario=_scenario(folder / "scenario.yaml"),
        )
        for folder, manifest, own in zip(folders, manifests, tables, strict=True)
    ]


def _manifest(folder: Path) -> dict[str, Any]:
    manifest = _json(folder / "manifest.json")
    absent = [name for name in _NEEDED if name not in manifest]
    if absent:
        raise ScenarioError(
            f"{folder / 'manifest.json'}: {', '.join(absent)} missing; run the scenario again"
        )
    return manifest


def by_label(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Group runs that differ only by seed, in order of first appearance."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    return groups


def by_unit(values: Iterable[tuple[Run, float]]) -> list[float]:
    """Return one value per independent repetition: runs with the same learning seed are averaged.

    Where all have the same one, only the network's chance was repeated, and each run is a repetition.
    """
    found: dict[int, list[float]] = {}
    for run, value in values:
        found.setdefault(run.seeds[0], []).append(value)
    if len(found) == 1:
        return next(iter(found.values()))
    return [math.fsum(several) / len(several) for several in found.values()]


def _points(folder: Path, problems: list[str]) -> tuple[list[Path], dict[str, Any]]:
    """The run folders in ``folder`` and what its ``study.json`` says."""
    if (folder / "manifest.json").is_file():
        return [folder], {}
    if not (folder / "study.json").is_file():
        raise ScenarioError(
            f"{folder}: neither study.json nor manifest.json; name a study folder or a run folder"
        )
    about = _json(folder / "study.json")
    points = []
    for name in about.get("points", []):
        if (folder / name / "manifest.json").is_file():
            points.append(folder / name)
        else:
            problems.append(f"run {name} has no manifest.json: it has not ended, and is left out")
    return points, about


def _scenario(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        sections = _SECTION.findall(path.read_text(encoding="utf-8"))
        return {key: value for section in sections for key, value in _section(section).items()}
    except (OSError, ValueError, YAMLError) as error:
        raise ScenarioError(f"{path}: cannot be read as YAML ({error}); run the scenario again") from error


@cache
def _section(text: str) -> dict[str, Any]:
    """A top-level key with what it holds: read once for all the runs of a study that share it."""
    found = YAML(typ="safe", pure=True).load(text)
    return found if isinstance(found, dict) else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: cannot be read as JSON ({error}); run the scenario again") from error
    if not isinstance(content, dict):
        raise ScenarioError(
            f"{path}: expected a mapping, found {type(content).__name__}; run the scenario again"
        )
    return content


def _named(runs: list[Run]) -> list[Run]:
    """Name the runs of sweeps by what their study says it varied, rather than by their folders."""
    swept = [run for run in runs if run.manifest.get("swept")]
    if len(swept) < 2:
        return runs
    parts = [[method] for method in method_names(swept)]
    for condition in conditions(swept):
        for own, value in zip(parts, condition.of_run, strict=True):
            own.append(f"{condition.name} {value}")
    labels = {run.folder: ", ".join(own) for run, own in zip(swept, parts, strict=True)}
    return [replace(run, label=labels.get(run.folder, run.label)) for run in runs]


def _distinct(runs: list[Run]) -> tuple[Run, ...]:
    """Give another label to runs that share label and seeds although they are not the same run."""
    tells: tuple[Callable[[Run], str], ...] = (
        lambda run: str(run.manifest["scenario"]),
        lambda run: run.folder.parent.name,
        lambda run: run.folder.name,
    )
    for tell in tells:
        keys = [(run.label, run.seeds) for run in runs]
        clashing = {key[0] for key in keys if keys.count(key) > 1}
        told = {label: {tell(run) for run in runs if run.label == label} for label in clashing}
        runs = [
            replace(run, label=f"{run.label} ({tell(run)})") if len(told.get(run.label, ())) > 1 else run
            for run in runs
        ]
    return tuple(runs)

"""From a file to typed scenarios: read, change, sweep, generate sites, validate, check.

All errors of all points are collected and told at once, one per line, each with its place.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator import registry
from simulator.errors import ScenarioError
from simulator.registry import Dataset
from simulator.scenario import checks, messages
from simulator.scenario.advise import SECTION, Advise, read_advise
from simulator.scenario.availability import embed_presences
from simulator.scenario.expand_graphs import expand_graphs
from simulator.scenario.files import find_file, read_scenario
from simulator.scenario.generate import expand_sites
from simulator.scenario.locate import (
    Finding,
    KeyPath,
    Located,
    find,
    plain,
    scalar_like,
    show,
    with_entry,
    without_entry,
)
from simulator.scenario.overrides import Change, apply, is_late, parse_option
from simulator.scenario.run_ids import places
from simulator.scenario.schema import ScenarioBase, scenario_model
from simulator.scenario.sweep import Combination, combine, slug, unique
from simulator.scenario.sweep_axes import Axis, read_axes
from simulator.scenario.sweep_where import read_rules
from simulator.scenario.traces import embed

Line = tuple[tuple[str, int, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One complete scenario of a study.

    ``label`` differs from those of all other points and is safe as a folder's name; ``swept`` holds
    the swept values by dotted key.
    """

    label: str
    swept: Mapping[str, Any]
    scenario: ScenarioBase
    tree: Located = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A scenario file with all of its points, and its section ``advise``; ``overrides`` are the ``--set``
    options as given.
    """

    name: str
    description: str
    source: Path
    overrides: tuple[str, ...]
    points: tuple[Point, ...]
    advise: Advise = field(default_factory=Advise)

    def only(self, names: Sequence[str]) -> "Study":
        """Return the study with the points of these labels or ids only; with all of them if there are none.

        Raises:
            ScenarioError: no point has such a name, or several have.
        """
        if not names:
            return self
        chosen = places(names, [one.label for one in self.points], [one.scenario for one in self.points])
        return replace(self, points=tuple(self.points[place] for place in sorted(chosen)))

    def locate(self, message: str, point: Point | None = None) -> str:
        """Put the place in the file before a message that begins with a dotted key; the place in
        ``point``, by default the first.
        """
        path, colon, rest = message.partition(": ")
        if not colon or " " in path:
            return message
        parts: KeyPath = tuple(int(part) if part.isdigit() else part for part in path.split("."))
        tree = (point or self.points[0]).tree
        if parts[0] not in ScenarioBase.model_fields:
            return message
        return show(tree, Finding(path=parts, message=rest))[1]


def load_study(name_or_path: str, overrides: Sequence[str] = ()) -> Study:
    """Read a scenario with its sweep.

    Args:
        name_or_path: a file, or the name of a bundled scenario.
        overrides: ``dotted.key=value``; they win over the file and over swept values, and a swept
            key that one of them sets is no longer swept.

    Raises:
        ScenarioError: every error found, one per line.
    """
    path, shown = find_file(name_or_path)
    root = read_scenario(path, shown)
    options = [parse_option(text) for text in overrides]
    for option in options:
        if option.path[0] in {"sweep", "include"}:
            remedy = "set the key itself, it is then no longer swept"
            raise ScenarioError(f"{option.value.place}: {option.path[0]} cannot be set; {remedy}")
    about_advice = [option for option in options if option.path[0] == SECTION]
    advise = read_advise(root.keys.get(SECTION), about_advice, root)
    options = [option for option in options if option not in about_advice]
    swept = read_axes(root.keys.get("sweep"))
    axes = [axis for axis in swept if not _pinned(axis, options)]
    # a rule on a key that an option sets has lost its meaning with the axis
    rules = [rule for rule in read_rules(root.keys.get("sweep"), swept) if rule.is_about(axes)]
    base = without_entry(without_entry(root, "sweep"), SECTION)
    place = root.keys["sweep"].place if "sweep" in root.keys else root.place
    combinations = combine(axes, rules, _default_label(base, options), place)
    points = _points(base, combinations, options)
    first = points[0].scenario
    return Study(
        name=first.name,
        description=first.description,
        source=path,
        overrides=tuple(overrides),
        points=tuple(points),
        advise=advise,
    )


def reload_study(folder: Path) -> Study:
    """Read back the study whose run folders lie in ``folder``, or the run that ``folder`` is.

    Raises:
        ScenarioError: not a folder that a run has written.
    """
    about, names, name, description = folder / "study.json", [folder], "", ""
    swept: dict[str, Any] = {}
    if about.is_file():
        try:
            study = json.loads(about.read_text(encoding="utf-8"))
            names = [folder / label for label in study["points"]]
            name, description, swept = study["name"], study["description"], dict(study.get("swept", {}))
        except (ValueError, KeyError, TypeError) as error:
            raise ScenarioError(f"{about}: damaged ({error}); run the scenario itself again") from None
    points = [_reload_point(run, swept.get(run.name)) for run in names]
    return Study(
        name=name or points[0].scenario.name,
        description=description or points[0].scenario.description,
        source=folder / "study.yaml" if about.is_file() else folder / "scenario.yaml",
        overrides=(),
        points=tuple(points),
    )


def _reload_point(run: Path, swept: Mapping[str, Any] | None) -> Point:
    path, manifest = run / "scenario.yaml", run / "manifest.json"
    if not path.is_file():
        raise ScenarioError(f"{run}: no scenario.yaml in it; name a folder that medgossip run has written")
    if swept is None:
        about = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
        swept = about.get("swept", {})
    return replace(load_study(str(path)).points[0], label=run.resolve().name, swept=swept)


def _pinned(axis: Axis, options: Sequence[Change]) -> bool:
    """Whether an option sets the swept key or all that holds it."""
    return any(axis.path[: len(option.path)] == option.path for option in options)


def _default_label(base: Located, options: Sequence[Change]) -> str:
    """The algorithm's name: the label of a scenario without a sweep."""
    for option in options:
        if option.path[0] == "algorithm":
            base = apply(base, option)
    name, found = find(base, ("algorithm", "name"))
    return unique([slug(str(name.value)) if found else "run"])[0]


def _points(base: Located, combinations: Sequence[Combination], options: Sequence[Change]) -> list[Point]:
    points: list[Point] = []
    lines: dict[Line, list[str]] = {}
    for combination in combinations:
        tree, found = _resolved(base, [*combination.changes, *options])
        scenario = None
        if not found:
            scenario, found = _typed(tree)
        for line in found:
            lines.setdefault(line, []).append(combination.label)
        if scenario is not None:
            points.append(
                Point(label=combination.label, swept=combination.swept, scenario=scenario, tree=tree)
            )
    if lines:
        raise ScenarioError("\n".join(_told(lines, len(combinations))))
    return points


def _told(lines: Mapping[Line, Sequence[str]], num_points: int) -> list[str]:
    """Errors in the order of their places; one that not all points have names a point that has it."""
    told = []
    for line, labels in sorted(lines.items()):
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        told.append(line[1] if len(labels) == num_points else f"{line[1]} (sweep point {labels[0]}{more})")
    return told


def _resolved(base: Located, changes: Sequence[Change]) -> tuple[Located, list[Line]]:
    """Apply the changes and run the site generators."""
    try:
        early = [change for change in changes if not is_late(base, change)]
        tree = base
        for change in early:
            tree = apply(tree, change)
        tree = expand_graphs(expand_sites(tree))
        for change in changes:
            if change not in early:
                tree = apply(tree, change)
        tree = embed_presences(embed(tree))
    except ScenarioError as error:
        return base, [(base.place.order, str(error))]
    return _absolute_paths(tree), []


def _absolute_paths(tree: Located) -> Located:
    """Resolve the paths of the data set against the folder of the file, or of the command."""
    path: KeyPath = ("task", "dataset")
    node, found = find(tree, path)
    name = node.keys.get("name")
    entry = registry.registry("datasets").get(name.value) if name and isinstance(name.value, str) else None
    if not found or entry is None:
        return tree
    fields = {
        key
        for key, info in entry.settings.model_fields.items()
        if key == "root" or "Path" in str(info.annotation)
    }
    for key in sorted(fields & node.keys.keys()):
        text = node.keys[key]
        if isinstance(text.value, str):
            joined = text.place.folder / Path(text.value).expanduser()
            node = with_entry(node, key, scalar_like(text, os.path.normpath(joined)))
    task = with_entry(tree.keys["task"], "dataset", node)
    return with_entry(tree, "task", task)


def _typed(tree: Located) -> tuple[ScenarioBase | None, list[Line]]:
    """Validate one point: types first, then what types cannot say."""
    bare = plain(tree)
    model = scenario_model()
    found: list[Finding] = []
    scenario: ScenarioBase | None = None
    try:
        scenario = messages.validate(model, bare)
    except ValidationError as error:
        found = messages.findings(error, bare, model)
    data = _site_data(bare)
    dataset = _dataset_of(bare)
    if dataset is not None and data is not None:
        typed, wrong = checks.type_site_data(data, dataset)
        found += wrong
        if scenario is not None:
            sites = zip(scenario.sites, typed, strict=True)
            with_data = tuple(site.model_copy(update={"data": one}) for site, one in sites)
            scenario = scenario.model_copy(update={"sites": with_data})
    if scenario is not None:
        found += checks.check(scenario)
    return (None if found else scenario), _lines(tree, found)


def _lines(tree: Located, found: Sequence[Finding]) -> list[Line]:
    """Show the findings; what generated or aliased values share is told once."""
    lines: dict[tuple[object, ...], Line] = {}
    for finding in found:
        order, text = show(tree, finding)
        lines.setdefault((order, finding.message, finding.path[-1:]), (order, text))
    return list(lines.values())


def _dataset_of(bare: Any) -> Dataset | None:
    try:
        entry: Dataset | None = registry.registry("datasets").get(bare["task"]["dataset"]["name"])
    except (KeyError, TypeError):
        return None
    return entry


def _site_data(bare: Any) -> list[Any] | None:
    sites = bare.get("sites")
    if not isinstance(sites, list) or not all(isinstance(site, dict) for site in sites):
        return None
    return [site.get("data") for site in sites]

"""A paper's own selection of a study: a small YAML file, strict, with the place of every error."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from simulator.errors import ScenarioError
from simulator.record.measures_frames import Frames
from simulator.registry import Settings, suggest
from simulator.report.figure_spec import FigureSpec, Names
from simulator.scenario import messages
from simulator.scenario.locate import Finding, KeyPath, Located, plain, show
from simulator.scenario.reading import read_file

_OF_METHODS = ("method", "algorithm")


class ConditionWords(Settings):
    """How a swept condition is called: on axes, and its values in their order in the study."""

    title: str = ""
    values: tuple[str, ...] = ()


class PaperSpec(Settings):
    """What is compared and drawn; names and values are those of the study.

    ``where`` keeps runs with these values of conditions, ``method`` or ``algorithm``; ``order`` is that of
    methods in legends and tables, ``labels`` what they are called there. ``reference``: tests compare every
    other method with this one only, which takes fewer seeds than all pairs. ``target``: mean
    validation Dice, by default that of the scenario.
    """

    title: str = ""
    target: Annotated[float, Field(gt=0, lt=1)] | None = None
    where: dict[str, Names] = Field(default_factory=dict)
    order: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    reference: str | None = None
    conditions: dict[str, ConditionWords] = Field(default_factory=dict)
    figures: tuple[FigureSpec, ...] = ()


def read_spec(path: Path) -> tuple[PaperSpec, Located]:
    """Read a selection, with the place of everything in it.

    Raises:
        ScenarioError: no such file, not YAML, or not a selection; a line per error.
    """
    tree = read_file(path, str(path), path.parent)
    bare = plain(tree)
    try:
        spec = messages.validate(PaperSpec, {} if bare is None else bare)
    except ValidationError as error:
        raise _error(tree, messages.findings(error, bare, PaperSpec)) from None
    names = [figure.name for figure in spec.figures]
    twice = [
        Finding(
            path=("figures", place, "name"), message=f'"{name}" again; give each figure a name of its own'
        )
        for place, name in enumerate(names)
        if name in names[:place]
    ]
    if twice:
        raise _error(tree, twice)
    return spec, tree


def check_spec(spec: PaperSpec, tree: Located, frames: Frames) -> None:
    """Refuse names and values that the study does not have.

    Raises:
        ScenarioError: a line per error, with its place.
    """
    known = {condition.name: list(condition.values) for condition in frames.conditions}
    known |= {name: list(dict.fromkeys(frames.runs[name])) for name in _OF_METHODS}
    found = [
        *_among(spec.order, known["method"], ("order",), "method"),
        *_among(tuple(spec.labels), known["method"], ("labels",), "method", keys=True),
        *_twice(spec.order, ("order",)),
        *_twice([spec.labels.get(name, name) for name in known["method"]], ("labels",)),
        *_among((spec.reference,) if spec.reference else (), known["method"], ("reference",), "method"),
        *_where(spec.where, known, ("where",)),
        *_conditions(spec, known),
    ]
    for place, figure in enumerate(spec.figures):
        path: KeyPath = ("figures", place)
        found += _where(figure.where, known, (*path, "where"))
        swept = [*((name, "x") for name in figure.x if figure.kind in {"line", "heat"})]
        swept += [(name, "y") for name in figure.y if figure.kind == "heat"]
        swept += [(getattr(figure, key) or "method", key) for key in ("hue", "columns", "rows")]
        for name, key in swept:
            found += _among((name,), list(known), (*path, key), "condition")
    if found:
        raise _error(tree, found)


def _conditions(spec: PaperSpec, known: Mapping[str, list[str]]) -> Iterator[Finding]:
    names = [name for name in known if name not in _OF_METHODS]
    yield from _among(tuple(spec.conditions), names, ("conditions",), "condition", keys=True)
    for name, words in spec.conditions.items():
        yield from _twice(words.values, ("conditions", name, "values"))
        if name in names and words.values and len(words.values) != len(known[name]):
            listed = ", ".join(known[name])
            message = f"{len(words.values)} values for the {len(known[name])} of the study: {listed}"
            yield Finding(path=("conditions", name, "values"), message=message)


def _where(
    where: Mapping[str, Sequence[str]], known: Mapping[str, list[str]], path: KeyPath
) -> Iterator[Finding]:
    yield from _among(tuple(where), list(known), path, "condition", keys=True)
    for name, values in where.items():
        if name in known:
            yield from _among(tuple(values), known[name], (*path, name), "value")


def _twice(names: Sequence[str], path: KeyPath) -> Iterator[Finding]:
    """Names that would make one of two, or that nobody can read."""
    for place, name in enumerate(names):
        if not name.strip():
            yield Finding(path=path, message="an empty name; write how it is called")
        elif name in names[:place]:
            yield Finding(path=path, message=f'"{name}" twice; each needs a name of its own')


def _among(
    names: Sequence[str], known: list[str], path: KeyPath, what: str, *, keys: bool = False
) -> Iterator[Finding]:
    for name in names:
        if name not in known:
            here = (*path, name) if keys else path
            remedy = suggest(name, known) if known else "; the study has none"
            yield Finding(path=here, message=f'no {what} "{name}" in this study{remedy}', of_key=keys)


def _error(tree: Located, found: Sequence[Finding]) -> ScenarioError:
    lines = sorted(show(tree, finding) for finding in found)
    return ScenarioError("\n".join(dict.fromkeys(text for _, text in lines)))

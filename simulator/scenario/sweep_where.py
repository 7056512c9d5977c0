"""Which points of a sweep are wanted: ``where: [{if: {key: value}, only: {key: [values]}}]``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.scenario.locate import Located, Place, describe, plain
from simulator.scenario.overrides import Change
from simulator.scenario.sweep_axes import WHERE, Axis

_ABSENT = object()
_Wanted = Mapping[tuple[str, ...], Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Points that are all ``when`` says are kept only if they are all ``only`` says too."""

    place: Place
    where: str
    when: _Wanted
    only: _Wanted

    def is_about(self, axes: Sequence[Axis]) -> bool:
        """Whether all its keys are varied by these axes."""
        paths = [axis.path for axis in axes]
        return all(any(key[: len(path)] == path for path in paths) for key in (*self.when, *self.only))

    def leaves_out(self, changes: Sequence[Change]) -> bool:
        """Whether a point is not wanted."""
        return _fits(self.when, changes) and not _fits(self.only, changes)


def read_rules(sweep: Located | None, axes: Sequence[Axis]) -> tuple[Rule, ...]:
    """Read the section's conditions.

    Raises:
        ScenarioError: not a list of rules, a key that is not swept, a value that no point has.
    """
    node = sweep.keys.get(WHERE) if sweep is not None else None
    if node is None:
        return ()
    if not isinstance(node.value, tuple) or not node.items:
        raise ScenarioError(
            f"{node.place}: sweep.{WHERE}: expected a list of rules such as "
            f"{{if: {{algorithm.name: local}}, only: {{seed.network: 1}}}}, found {describe(plain(node))}"
        )
    return tuple(_rule(item, f"sweep.{WHERE}.{number}", axes) for number, item in enumerate(node.items))


def _rule(node: Located, where: str, axes: Sequence[Axis]) -> Rule:
    if not isinstance(node.value, dict) or "only" not in node.keys or not node.keys.keys() <= {"if", "only"}:
        raise ScenarioError(f"{node.place}: {where}: a rule has only, and if where it is not for all points")
    parts = {key: _wanted(one, f"{where}.{key}", axes) for key, one in node.keys.items()}
    return Rule(place=node.place, where=where, when=parts.get("if", {}), only=parts["only"])


def _wanted(node: Located, where: str, axes: Sequence[Axis]) -> _Wanted:
    if not isinstance(node.value, dict) or not node.keys:
        raise ScenarioError(f"{node.place}: {where}: expected a mapping of swept keys to values")
    wanted = {}
    for key, one in node.keys.items():
        path = tuple(key.split("."))
        known = [found for axis in axes for value in axis.values for found in _found(axis.path, value, path)]
        if not known:
            swept = [axis.key for axis in axes]
            raise ScenarioError(f"{one.key}: {where}.{key}: is not swept{suggest(key, swept)}")
        values = [plain(item) for item in one.items] if isinstance(one.value, tuple) else [plain(one)]
        for value in values:
            if value not in known:
                told = ", ".join(dict.fromkeys(describe(each) for each in known))
                raise ScenarioError(
                    f"{one.place}: {where}.{key}: no point has {describe(value)}; there are {told}"
                )
        wanted[path] = values
    return wanted


def which(rules: Sequence[Rule], points: Sequence[Sequence[Change]]) -> list[bool]:
    """Say of each point whether all rules keep it.

    Raises:
        ScenarioError: a rule that leaves no point out, or rules that leave none.
    """
    for rule in rules:
        if not any(rule.leaves_out(changes) for changes in points):
            raise ScenarioError(f"{rule.place}: {rule.where}: leaves no point out; remove it")
    kept = [not any(rule.leaves_out(changes) for rule in rules) for changes in points]
    if not any(kept):
        raise ScenarioError(f"{rules[0].place}: sweep.{WHERE}: leaves no point; loosen a rule")
    return kept


def _fits(wanted: _Wanted, changes: Sequence[Change]) -> bool:
    return all(_value(path, changes) in values for path, values in wanted.items())


def _value(path: tuple[str, ...], changes: Sequence[Change]) -> Any:
    found = [value for change in changes for value in _found(change.path, change.value, path)]
    return found[-1] if found else _ABSENT


def _found(path: tuple[str, ...], value: Located, wanted: tuple[str, ...]) -> Iterable[Any]:
    """The value of ``wanted``, where setting ``path`` to ``value`` gives it one."""
    if wanted[: len(path)] != path:
        return
    for part in wanted[len(path) :]:
        if not isinstance(value.value, dict) or part not in value.keys:
            return
        value = value.keys[part]
    yield plain(value)

"""What pydantic finds, in our words: a path into the scenario, the finding and the remedy."""

import json
import types
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from simulator.registry import Group, suggest, unusable
from simulator.scenario.locate import Finding, KeyPath, describe
from simulator.scenario.times import call

_MISSING = "missing; add it"

_FILE_KEYS = ["include", "sweep", "advise"]
"""What a file may say besides what the model knows."""

_DISTRIBUTIONS = {"choice", "integers", "exp", "uniform", "lognormal"}

M = TypeVar("M", bound=BaseModel)

_TAGGED: dict[KeyPath, tuple[str, str]] = {
    ("algorithm",): ("name", "algorithm"),
    ("task", "dataset"): ("name", "data set"),
    ("task", "network"): ("name", "network"),
    ("network", "topology"): ("kind", "topology"),
    ("network", "overlay"): ("kind", "overlay"),
}
"""Where a key picks one of several settings, and what those are."""

_WORDS = {path: key for path, (key, _) in _TAGGED.items()} | {("network", "codec"): "kind"}
"""Where a word alone may be meant as a mapping that begins with this key."""

_GROUPS: dict[str, Group] = {"algorithm": "algorithms", "data set": "datasets", "network": "networks"}
"""Registries of what is named."""

_TAGS = ("name", "kind")

_TYPES = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "path": "a path",
}
_LIMITS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9_-]*$": "is not a name; use letters, digits, - and _, a letter or digit first",
    r"^[a-z0-9][a-z0-9-]*$": "is not a name of files; use a to z, digits and -, no - first",
    r"^(tag:)?[A-Za-z0-9][A-Za-z0-9_-]*$": "is not a name; use letters, digits, - and _, or tag:NAME",
    r"^\d\d:\d\d-\d\d:\d\d$": 'is not a window of the day; write for example "18:00-06:00"',
    r"^\d\d:\d\d$": 'is not a time of day; write for example "08:30"',
}


def findings(
    error: ValidationError, data: Any, model: type[BaseModel], prefix: KeyPath = ()
) -> list[Finding]:
    """Return every error of a validation, branches of unions joined.

    Args:
        error: what pydantic raised for ``data`` validated as ``model``.
        data: the bare data.
        model: the model.
        prefix: where ``data`` lies in the scenario.
    """
    by_path: dict[KeyPath, list[dict[str, Any]]] = {}
    branched: set[KeyPath] = set()
    for item in error.errors(include_url=False):
        details: dict[str, Any] = dict(item)
        if _is_artifact(details):
            continue
        path, branch = _strip(details["loc"], details["type"], data, prefix)
        path += _named(details)
        by_path.setdefault(path, []).append(details)
        if branch is not None:
            branched.add(branch)
    found = []
    for path, several in by_path.items():
        deeper = any(len(other) > len(path) and other[: len(path)] == path for other in by_path)
        if path in branched and deeper:
            continue  # the branch that got further says more
        found.append(_finding(path, several, data, model, prefix))
    return [one for one in found if not _is_misspelt(one, found)]


def _is_misspelt(missing: Finding, found: Sequence[Finding]) -> bool:
    """Whether a key is missing only because another line of the findings takes a slip for it."""
    slip = f"unknown key; did you mean {missing.path[-1] if missing.path else ''}?"
    return missing.message == _MISSING and any(
        one.message == slip and one.path[:-1] == missing.path[:-1] for one in found
    )


def _strip(loc: Sequence[str | int], kind: str, data: Any, prefix: KeyPath) -> tuple[KeyPath, KeyPath | None]:
    """Return the path without the names of union branches, and where the last branch began."""
    path: KeyPath = ()
    branch, here, was_tag = None, data, False
    for number, part in enumerate(loc):
        is_tag = (*prefix, *path) in _TAGGED and not was_tag and isinstance(here, dict)
        is_tag = is_tag and part == here.get(_TAGGED[*prefix, *path][0])
        was_tag = is_tag
        if is_tag:
            continue
        if _has(here, part):
            here = here[part]
        elif not (kind in {"missing", "extra_forbidden"} and number == len(loc) - 1):
            branch = path
            continue
        path = (*path, part)
    return path, branch


def _named(error: Mapping[str, Any]) -> KeyPath:
    """The key that the finding of a whole mapping begins with, if that is one of its keys."""
    if error["type"] != "value_error" or not isinstance(error["input"], dict):
        return ()
    name = str(error["ctx"]["error"]).partition(": ")[0]
    return (name,) if name in error["input"] else ()


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


def _finding(
    path: KeyPath, several: Sequence[dict[str, Any]], data: Any, model: type[BaseModel], prefix: KeyPath
) -> Finding:
    """Join the errors of one path; a wrong type says less than a wrong value."""
    telling = [one for one in several if not one["type"].endswith("_type")] or several
    kind, full = telling[0]["type"], (*prefix, *path)
    if full[:1] == ("sites",) and _is_distribution(telling[0]["input"]):
        found = describe(telling[0]["input"])
        return Finding(path=full, message=f"{found}: distributions work under generate only; write a value")
    if kind == "extra_forbidden":
        known = _keys_at(model, path[:-1], data)
        known += _FILE_KEYS if len(full) == 1 else []
        return Finding(path=full, message=f"unknown key{suggest(str(path[-1]), known)}", of_key=True)
    if kind == "missing":
        return Finding(path=full, message=_MISSING)
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _unknown_name(full, telling[0], is_word=isinstance(_at(data, path), str))
    expected = [_TYPES.get(one["type"].removesuffix("_type"), "") for one in telling]
    if len(telling) > 1 and all(expected):
        found = describe(telling[0]["input"])
        return Finding(path=full, message=f"expected {' or '.join(expected)}, found {found}")
    texts = list(dict.fromkeys(_words(one) for one in telling))
    word = telling[0]["input"]
    if isinstance(word, str) and full in _WORDS and texts[0].startswith("expected a mapping"):
        texts[0] += f"; write {{{_WORDS[full]}: {word}}}"
    return Finding(path=full, message="; or ".join(texts))


def _is_distribution(value: Any) -> bool:
    parts = call(value) if isinstance(value, str) else None
    return parts is not None and parts[0] in _DISTRIBUTIONS


def _at(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data[part]
    return data


def _unknown_name(path: KeyPath, error: dict[str, Any], *, is_word: bool) -> Finding:
    key, what = _TAGGED.get(path, ("name", "entry"))
    if error["type"] == "union_tag_not_found":
        return Finding(path=(*path, key), message=f"missing; name the {what}")
    known = [tag.strip().strip("'") for tag in error["ctx"]["expected_tags"].split(",")]
    tag = str(error["ctx"]["tag"])
    where = path if is_word else (*path, key)
    broken = unusable(_GROUPS[what]).get(tag) if what in _GROUPS else None
    if broken is not None:
        return Finding(path=where, message=f'{what} "{tag}" cannot be used: {broken}')
    return Finding(path=where, message=f'no {what} "{tag}"{suggest(tag, known)}')


def _words(error: dict[str, Any]) -> str:
    """One pydantic error as a finding with its remedy."""
    kind, ctx = error["type"], error.get("ctx", {})
    found = describe(error["input"])
    if kind == "value_error":
        return str(ctx["error"]).removeprefix(f"{_named(error)[0]}: " if _named(error) else "")
    if kind == "literal_error":
        return _not_one_of(error["input"], ctx["expected"])
    if kind in _LIMITS:
        bound, words = _LIMITS[kind]
        return f"{found} must be {words} {ctx[bound]}"
    if kind == "string_pattern_mismatch":
        return f"{found} {_PATTERNS.get(ctx['pattern'], 'does not match ' + ctx['pattern'])}"
    if kind == "finite_number":
        return f"{found} is not finite; write a finite number"
    if kind in {"too_short", "too_long"}:
        few = kind == "too_short"
        limit = f"at least {ctx['min_length']}" if few else f"at most {ctx['max_length']}"
        return f"{ctx['actual_length']} entries, expected {limit}"
    if kind == "string_too_long":
        return f"{found} is longer than {ctx['max_length']} characters"
    if kind.removesuffix("_type") in _TYPES:
        return f"expected {_TYPES[kind.removesuffix('_type')]}, found {found}{_as_number(error)}"
    message = str(error["msg"])
    return f"{message[0].lower()}{message[1:]}, found {found}"


def _as_number(error: dict[str, Any]) -> str:
    """How to write a text as the number that it means."""
    text, kind = error["input"], error["type"]
    if kind in {"int_type", "float_type"} and isinstance(text, str):
        bare = text.removesuffix("%")
        try:
            number = float(bare)
        except ValueError:
            return ""
        return "; remove the quotes" if bare == text else f"; write {number / 100:.6g}"
    return ""


def _not_one_of(value: Any, expected: str) -> str:
    known = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
    if isinstance(value, str) and len(known) > 1:
        return f'"{value}" is unknown{suggest(value, known)}'
    choices = known[0] if len(known) == 1 else f"one of {', '.join(known)}"
    return f"expected {choices}, found {describe(value)}"


def _keys_at(annotation: Any, path: KeyPath, data: Any) -> list[str]:
    """Return the keys that the mapping at ``path`` may have."""
    keys: list[str] = []
    for member in _members(annotation, data):
        if isinstance(member, type) and issubclass(member, BaseModel):
            fields = {field.alias or name: field for name, field in member.model_fields.items()}
            if not path:
                keys += fields
            elif path[0] in fields and isinstance(data, dict) and path[0] in data:
                keys += _keys_at(fields[str(path[0])].annotation, path[1:], data[path[0]])
        elif path and isinstance(path[0], int) and isinstance(data, list) and path[0] < len(data):
            for argument in get_args(member):
                if argument is not Ellipsis:
                    keys += _keys_at(argument, path[1:], data[path[0]])
    return list(dict.fromkeys(keys))


def _members(annotation: Any, data: Any) -> list[Any]:
    """Return the alternatives of a type, only the named one where ``name`` or ``kind`` picks it."""
    if get_origin(annotation) in {Union, types.UnionType}:
        members = [one for argument in get_args(annotation) for one in _members(argument, data)]
        tags = [(key, data[key]) for key in _TAGS if key in data] if isinstance(data, dict) else []
        named = [one for one in members if any(tag in _choices(one, key) for key, tag in tags)]
        return named or members
    if hasattr(annotation, "__metadata__"):
        return _members(get_args(annotation)[0], data)
    return [annotation]


def _choices(member: Any, key: str) -> tuple[Any, ...]:
    """The values that the field ``key`` of a settings class may have."""
    if isinstance(member, type) and issubclass(member, BaseModel) and key in member.model_fields:
        return get_args(member.model_fields[key].annotation)
    return ()


def validate(model: type[M], data: Any) -> M:
    """Validate bare data strictly: lists become tuples, but no text becomes a number.

    Raises:
        pydantic.ValidationError: as usual; see :func:`findings`.
    """
    text = json.dumps(data)
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        if not all(_is_artifact(one) for one in error.errors(include_url=False)):
            raise
    return model.model_validate_json(text)


def _is_artifact(error: Mapping[str, Any]) -> bool:
    """Whether an error is none of the scenario's: a validator that runs before the fields hands Python
    lists to them, where JSON arrays would have been tuples; and entries that are wrong themselves are
    not counted by the check of a list's length.
    """
    if error["type"] == "too_short":
        return isinstance(error["input"], list) and len(error["input"]) >= error["ctx"]["min_length"]
    return error["type"] == "tuple_type" and isinstance(error["input"], list)

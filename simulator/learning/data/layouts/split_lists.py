"""Splits that a data set's users publish as lists of cases."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.errors import ScenarioError
from simulator.learning.data.images import split_suffix
from simulator.learning.data.layouts.gather import Entry
from simulator.learning.data.layouts.settings import Lists
from simulator.learning.data.splits import Name

WHERE = "task.dataset.lists"
_FOLD: Mapping[str, Name] = {"train": "train", "val": "val"}
_DATA_LIST: Mapping[str, Name] = {"training": "train", "validation": "val", "testing": "test"}


def listed_splits(root: Path, lists: Lists) -> dict[str, Name]:
    """Return the split of every listed case or patient; empty if no list is given.

    Raises:
        ScenarioError: a missing or unreadable list, no such fold, or a case in two splits.
    """
    found: dict[str, Name] = {}
    several = lists.train if isinstance(lists.train, tuple) else (lists.train,)
    for split, file in (*(("train", one) for one in several), ("val", lists.val), ("test", lists.test)):
        for name, case in _read(root / file, split, lists.fold) if file is not None else ():
            if found.setdefault(case, name) != name:
                raise ScenarioError(f"{WHERE}: {case} is listed for {found[case]} and for {name}; keep one")
    return found


def split_of(entry: Entry, listed: Mapping[str, Name]) -> Name | None:
    """Return the split that the lists give a case."""
    return next((listed[name] for name in names_of(entry) if name in listed), None)


def names_of(entry: Entry) -> tuple[str, ...]:
    """How a list may name a case: as itself, as its patient, or by the path of its label."""
    return entry.case, entry.patient, _place(entry.files["label"])


def _read(path: Path, split: Any, fold: int) -> list[tuple[Name, str]]:
    where = f"{WHERE}.{split}"
    if not path.is_file():
        raise ScenarioError(f"{where}: no file {path}; name the list, relative to task.dataset.root")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() != ".json":
            names = [line.split(",")[0].strip().strip('"') for line in text.splitlines()]
            return [(split, _bare(name)) for name in names if name]
        content = json.loads(text)
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: not a readable list of cases: {error}") from error
    return _from_json(content, split, fold, where, path)


def _from_json(content: Any, split: Any, fold: int, where: str, path: Path) -> list[tuple[Name, str]]:
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return [(split, _bare(name)) for name in content]
    if isinstance(content, dict) and "training" in content:
        return _parts(content, _DATA_LIST)
    folds = content if isinstance(content, list) else [content]
    if not all(isinstance(one, dict) and {"train", "val"} <= one.keys() for one in folds):
        raise ScenarioError(
            f"{where}: {path} is neither a list of cases, nor of folds with train and val, nor a data list "
            "with training"
        )
    if fold >= len(folds):
        raise ScenarioError(f"{WHERE}.fold: {path} has {len(folds)} folds, so fold is below {len(folds)}")
    return _parts(folds[fold], _FOLD)


def _parts(content: Mapping[str, Any], parts: Mapping[str, Name]) -> list[tuple[Name, str]]:
    """The cases of each part: names, or mappings with the path of the label."""
    entries = [(part, entry) for key, part in parts.items() for entry in content.get(key, ())]
    return [
        (
            part,
            _place(str(entry["label"]))
            if isinstance(entry, dict) and "label" in entry
            else _bare(str(entry)),
        )
        for part, entry in entries
    ]


def _place(path: str) -> str:
    """The path of a label as far as two sites may differ in it: two folders and the name."""
    *folders, _ = path.replace("\\", "/").split("/")
    return "/".join([*folders[-2:], _bare(path)])


def _bare(name: str) -> str:
    """A case's name without folders and suffix."""
    return split_suffix(name.replace("\\", "/").rsplit("/", 1)[-1])[0]

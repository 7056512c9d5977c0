"""``dataset.json`` of the Medical Segmentation Decathlon and of nnU-Net, versions 1 and 2."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import ScenarioError
from simulator.learning.data.disk import existing_root
from simulator.learning.data.images import split_suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Channels in stored order, label values by structure, and the training cases if it lists them."""

    channels: tuple[str, ...]
    structures: dict[str, tuple[int, ...]]
    cases: tuple[str, ...]


def find_folder(root: Path) -> Path:
    """Return the folder with ``dataset.json``: the root, or the only one in it that has one.

    Raises:
        ScenarioError: there is none, or more than one.
    """
    if (existing_root(root) / "dataset.json").is_file():
        return root
    found = sorted(path.parent for path in root.glob("*/dataset.json"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise ScenarioError(f"task.dataset.root: {root} holds several data sets ({names}); name one of them")
    raise ScenarioError(
        f'task.dataset.root: no dataset.json in "{root}"; set the folder with --set task.dataset.root=PATH'
    )


def read(root: Path) -> Description:
    """Return what ``dataset.json`` says.

    Raises:
        ScenarioError: missing, unreadable, or without channels or labels.
    """
    path = find_folder(root) / "dataset.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        channels = content.get("channel_names", content.get("modality"))
        names = [str(channels[key]) for key in sorted(channels, key=int)]
        structures = _structures(content["labels"])
        cases = tuple(_case(one) for one in content.get("training", ()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScenarioError(
            f"{path}: not a dataset.json of the Decathlon or nnU-Net ({error}); it needs channel_names "
            "(or modality) and labels"
        ) from error
    if len(set(names)) < len(names):
        names = [f"{name}{number}" for number, name in enumerate(names)]
    if not names or not structures:
        raise ScenarioError(f"{path}: no channel or no label besides background")
    return Description(channels=tuple(names), structures=structures, cases=cases)


def _structures(labels: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Values by name. The Decathlon writes value: name, nnU-Net 2 name: value or name: values."""
    by_name = labels
    if all(key.isdecimal() for key in labels):
        by_name = {str(name): int(value) for value, name in labels.items()}
    found = {}
    for name, value in by_name.items():
        values = tuple(value) if isinstance(value, list) else (int(value),)
        if values != (0,) and name != "ignore":
            found[name] = values
    return found


def _case(entry: Any) -> str:
    """The name of a case in the list of training cases."""
    label = entry["label"] if isinstance(entry, dict) else entry
    return split_suffix(str(label).rsplit("/", 1)[-1])[0]

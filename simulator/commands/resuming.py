"""What ``medgossip resume`` finds around the folder that it is given."""

import json
from pathlib import Path
from typing import Any


def whole_study(folder: Path) -> Path:
    """Return the study's folder for the folder of one of its runs, any other folder as it is."""
    run = folder.resolve()
    points = _read(run.parent / "study.json").get("points")
    return run.parent if isinstance(points, list) and run.name in points else folder


def original_command(folder: Path) -> str:
    """Return the command that first wrote a study or run; empty if the folder does not say."""
    found = _read(folder / "study.json") or _read(folder / "manifest.json")
    return str(found.get("command", ""))


def _read(path: Path) -> dict[str, Any]:
    """A JSON mapping; what is damaged is told when the study itself is read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

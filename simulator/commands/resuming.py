"""What ``medgossip resume`` and ``retry`` find around the folder that it is given."""

import json
from pathlib import Path
from typing import Any

from simulator.errors import ScenarioError
from simulator.scenario.load import Study


def whole_study(folder: Path) -> Path:
    """Return the study's folder for the folder of one of its runs, any other folder as it is.

    A folder that a killed command had just taken away is put back first.
    """
    from simulator.study_folder import restore

    restore(folder.resolve())
    run = folder.resolve()
    points = _read(run.parent / "study.json").get("points")
    return run.parent if isinstance(points, list) and run.name in points else folder


def surroundings(folder: Path) -> Path:
    """Return where a folder lies, from here if that is below."""
    parent, here = folder.resolve().parent, Path.cwd()
    return parent.relative_to(here) if parent.is_relative_to(here) else parent


def original_command(folder: Path) -> str:
    """Return the command that first wrote a study or run; empty if the folder does not say."""
    found = _read(folder / "study.json") or _read(folder / "manifest.json")
    return str(found.get("command", ""))


def check_failed(folder: Path, study: Study) -> None:
    """Refuse to try again where nothing has failed.

    Raises:
        ScenarioError: no run of the study has failed.
    """
    runs = [folder / point.label for point in study.points] if (folder / "study.json").is_file() else [folder]
    if not any(_read(run / "manifest.json").get("status") in {"failed", "diverged"} for run in runs):
        raise ScenarioError(
            f"{folder}: no run failed; finish those that have not ended with medgossip resume"
        )


def _read(path: Path) -> dict[str, Any]:
    """A JSON mapping; what is damaged is told when the study itself is read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

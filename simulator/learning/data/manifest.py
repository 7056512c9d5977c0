"""A table beside the images: which patient a case belongs to, and its split."""

import csv
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import ScenarioError
from simulator.registry import Settings

WHERE = "task.dataset.manifest"


class ManifestSettings(Settings):
    """Where the table is and what its columns are called.

    Attributes:
        file: name in the root folder; used if it is there, and must be if it is named otherwise.
        site: column with the site's folder.
        patient: column with the patient; all cases of a patient fall in one split.
        case: column with the case, the file's name without suffix.
        split: column with train, val or test; used if it is there, and must be if it is named
            otherwise. None: split by shares, whatever the table says.
    """

    file: str = "manifest.csv"
    site: str = "site"
    patient: str = "patient"
    case: str = "case"
    split: str | None = "split"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case of the table."""

    patient: str
    split: str | None


Manifest = dict[str, dict[str, Row]]
"""Rows by site folder and case."""


def read(root: Path, settings: ManifestSettings) -> Manifest | None:
    """Return the table, or None if there is none and none was asked for.

    Raises:
        ScenarioError: missing file or column, an empty cell, or a case listed twice.
    """
    path = root / settings.file
    if not path.is_file():
        if settings.file == ManifestSettings().file:
            return None
        raise ScenarioError(f"{WHERE}.file: no file {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            columns = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(f"{path}: not a readable CSV table: {error}") from error
    split = _columns(settings, columns, path)
    found: Manifest = {}
    for number, row in enumerate(rows, start=2):
        site, patient, case = (
            _cell(row, column, path, number) for column in (settings.site, settings.patient, settings.case)
        )
        of_site = found.setdefault(site, {})
        if case in of_site:
            raise ScenarioError(f"{path}:{number}: case {case} of {site} is listed twice")
        of_site[case] = Row(patient=patient, split=_cell(row, split, path, number) if split else None)
    return found


def _columns(settings: ManifestSettings, columns: list[str], path: Path) -> str | None:
    """Check the columns and return the one with the split."""
    for role in ("site", "patient", "case"):
        column = getattr(settings, role)
        if column not in columns:
            raise ScenarioError(
                f'{path}: no column "{column}"; found {", ".join(columns) or "none"}; '
                f"name the right one in {WHERE}.{role}"
            )
    if settings.split is None or settings.split in columns:
        return settings.split
    if settings.split == ManifestSettings().split:
        return None
    raise ScenarioError(f'{WHERE}.split: {path} has no column "{settings.split}"; found {", ".join(columns)}')


def _cell(row: dict[str, str], column: str, path: Path, number: int) -> str:
    text = (row[column] or "").strip()
    if not text:
        raise ScenarioError(f'{path}:{number}: nothing in column "{column}"')
    return text

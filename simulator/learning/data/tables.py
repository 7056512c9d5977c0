"""CSV tables as people write them: columns are found by a part of their name, in any letter case."""

import csv
from collections.abc import Sequence
from pathlib import Path

from simulator.errors import ScenarioError

Rows = list[dict[str, str]]


def read_rows(path: Path, *, where: str) -> tuple[list[str], Rows]:
    """Return the columns and the rows of a table with a header; cells without blanks around them.

    Args:
        path: the table.
        where: the setting that names it, for the error.

    Raises:
        ScenarioError: missing, unreadable, or empty.
    """
    if not path.is_file():
        raise ScenarioError(f"{where}: no file {path}; name the table, relative to task.dataset.root")
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = text.splitlines()
        delimiter = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
        reader = csv.DictReader(lines, strict=True, delimiter=delimiter)
        rows = [{name: (cell or "").strip() for name, cell in row.items() if name} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(f"{path}: not a readable CSV table: {error}") from error
    columns = [name for name in reader.fieldnames or [] if name]
    if not columns or not rows:
        raise ScenarioError(f"{path}: the table is empty; expected a header and rows")
    return columns, rows


def find_column(columns: Sequence[str], words: Sequence[str], *, skip: Sequence[str] = ()) -> str | None:
    """Return the column whose name has one of ``words`` in it, or None.

    The first word that matches anything decides. A name that is only the word wins.
    """
    left = [name for name in columns if name not in skip]
    for word in words:
        fitting = [name for name in left if word in name.lower()]
        if fitting:
            return min(fitting, key=lambda name: (name.lower().strip() != word, columns.index(name)))
    return None


def need_column(columns: Sequence[str], words: Sequence[str], path: Path, *, skip: Sequence[str] = ()) -> str:
    """Return the column as :func:`find_column`.

    Raises:
        ScenarioError: there is none.
    """
    found = find_column(columns, words, skip=skip)
    if found is None:
        known = ", ".join(columns)
        raise ScenarioError(f"{path}: no column named like {' or '.join(words)}; found {known}")
    return found

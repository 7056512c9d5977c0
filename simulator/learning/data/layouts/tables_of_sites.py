"""Tables that say which site has which case, as FeTS publishes them for its institutions."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.errors import ScenarioError
from simulator.learning.data.layouts.gather import Listing
from simulator.learning.data.tables import find_column, need_column, read_rows

WHERE = "task.dataset.partition.file"
_SITE = ("partition", "institution", "site", "center", "centre", "client", "hospital", "vendor")
_CASE = ("subject", "case", "patient", "image", "external code", "file", "id")
_SPLIT = ("trainorval", "split")
_WORDS = {"train": "train", "training": "train", "val": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a table puts a case."""

    center: str
    split: str | None


def read(path: Path, *, where: str = WHERE) -> dict[str, Placed]:
    """Return the site of every case by its name in the table.

    Raises:
        ScenarioError: missing or unreadable, a column is missing, or a case is listed twice.
    """
    columns, rows = read_rows(path, where=where)
    site = need_column(columns, _SITE, path)
    case = need_column(columns, _CASE, path, skip=[site])
    split = find_column(columns, _SPLIT, skip=[site, case])
    found: dict[str, Placed] = {}
    for number, row in enumerate(rows, start=2):
        if not row[site] or not row[case]:
            raise ScenarioError(f'{path}:{number}: nothing in column "{case if row[site] else site}"')
        center = row[site].removesuffix(".0") if row[site][:1].isdecimal() else row[site]
        word = row[split].lower() if split else ""
        placed = Placed(center=center, split=_WORDS.get(word, word) or None)
        if found.setdefault(row[case], placed) != placed:
            raise ScenarioError(f"{path}:{number}: {row[case]} is listed twice, for different sites")
    return found


def place(listing: Listing, table: dict[str, Placed], *, by_number: bool = False) -> None:
    """Give every case the center and the split of its row; what only one of the two has is skipped.

    Args:
        listing: changed in place.
        table: sites by case or patient.
        by_number: compare only the last number in the names.
    """
    name_of = last_number if by_number else str
    rows = {name_of(name): placed for name, placed in table.items()}
    seen = set()
    entries = []
    for entry in listing.entries:
        name = next((n for n in (name_of(entry.case), name_of(entry.patient)) if n in rows), None)
        if name is None:
            listing.skipped.append(("", entry.case, "on disk but not in the table of sites"))
            continue
        seen.add(name)
        placed = rows[name]
        entries.append(replace(entry, center=placed.center, split=placed.split or entry.split))
    listing.skipped = [
        (rows[name_of(case)].center if name_of(case) in rows else center, case, reason)
        for center, case, reason in listing.skipped
    ]
    known = {name_of(case) for _, case, _ in listing.skipped}
    for name, placed in sorted(table.items()):
        if name_of(name) not in seen | known:
            listing.skipped.append((placed.center, name, "in the table of sites but not on disk"))
    listing.entries = entries


def last_number(name: str) -> str:
    """Return the last number in a name without zeros in front; the name itself if it has none."""
    numbers = re.findall(r"\d+", name)
    return str(int(numbers[-1])) if numbers else name

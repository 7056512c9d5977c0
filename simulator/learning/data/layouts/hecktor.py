"""Head and neck tumors in PET/CT: HECKTOR 2021 and 2022. A site is a hospital, the letters of a case.

2021: ``{ID}_{ct,pt,gtvt}.nii.gz`` with ``bbox.csv``, boxes in mm to which CT and PET are cut and
resampled. 2022: ``imagesTr/{ID}__{CT,PT}.nii.gz``, ``labelsTr/{ID}.nii.gz``; PET is brought onto the
grid of the labels. Source: Andrearczyk et al., "Overview of the HECKTOR challenge at MICCAI 2021",
LNCS 13209, 2022.
"""

import re
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from simulator.learning.data.disk import Contents
from simulator.learning.data.layouts.declare import Layout, declare
from simulator.learning.data.layouts.gather import Listing, gather, rules, walk
from simulator.learning.data.layouts.settings import Channels, ImageSet, Label
from simulator.learning.data.tables import need_column, read_rows

_CASE = r"(?P<case>(?P<center>[A-Z]+)-?\d+)"
_RULES = rules(
    rf"(?:.*/)?{_CASE}_{{1,2}}(?P<channel>ct|pt)\.nii(?:\.gz)?",
    labels=[rf"(?:.*/)?{_CASE}_{{1,2}}gtvt\.nii(?:\.gz)?", rf"(?:.*/)?labels[^/]*/{_CASE}\.nii(?:\.gz)?"],
)
_BOXES = re.compile(r"(?:.*/)?(?:hecktor\d*_)?bbox(?:_training)?\.csv", re.IGNORECASE)
_STRUCTURES: dict[int, dict[str, tuple[int, ...]]] = {
    2021: {"GTVp": (1,)},
    2022: {"GTVp": (1,), "GTVn": (2,)},
}


class Hecktor(ImageSet):
    """HECKTOR.

    Attributes:
        edition: 2021 (one structure) or 2022 (two); None: 2022 if there is a folder ``labelsTr``.
        boxes: whether cases are cut to their box where a table of boxes lies in the root.
    """

    name: Literal["hecktor"]
    edition: Literal[2021, 2022] | None = None
    channels: Channels = ("ct", "pt")
    structures: dict[str, tuple[Label, ...]] = Field(default={}, description="default: those of the edition")
    window: dict[str, tuple[float, float]] = Field(default={"ct": (-1024.0, 1024.0)})
    boxes: bool = True


def _complete(settings: Hecktor) -> ImageSet:
    """Fill in the structures of the edition."""
    if settings.structures:
        return settings
    has_labels = any((settings.root / inner / "labelsTr").is_dir() for inner in (".", "hecktor2022"))
    edition = settings.edition or (2022 if has_labels else 2021)
    return settings.model_copy(update={"structures": _STRUCTURES[edition]})


def _find(settings: Any, contents: Contents) -> Listing:
    listing = gather(contents.root, _RULES, channels=settings.channels)
    table = next((name for name in walk(contents.root) if _BOXES.fullmatch(name)), None)
    if table is None or not settings.boxes:
        return listing
    path = contents.root / table
    columns, rows = read_rows(path, where="task.dataset.root")
    patient = need_column(columns, ("patient", "id"), path)
    edges = [need_column(columns, (name,), path) for name in ("x1", "y1", "z1", "x2", "y2", "z2")]
    boxes = {row[patient]: " ".join(row[edge] for edge in edges) for row in rows}
    entries = []
    for entry in listing.entries:
        if entry.case in boxes:
            entries.append(replace(entry, files={**entry.files, "box": boxes[entry.case]}))
        else:
            listing.skipped.append((entry.center, entry.case, f"no box in {path.name}"))
    return Listing(entries=entries, skipped=listing.skipped)


HECKTOR = declare(
    Layout(
        name="hecktor",
        expects="{ID}_{ct,pt,gtvt}.nii.gz or imagesTr/{ID}__{CT,PT}.nii.gz with labelsTr/{ID}.nii.gz",
        find=_find,
        align=True,
        complete=_complete,
    ),
    settings=Hecktor,
    summary="HECKTOR 2021 and 2022: head and neck tumors in PET/CT; a site is a hospital (CHUM, CHUS, …)",
    source="Andrearczyk et al., LNCS 13209, 2022",
)
"""The data set ``hecktor``."""

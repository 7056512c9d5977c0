"""Hearts in short-axis cine MRI from several hospitals: M&Ms. Only two frames have labels.

``<site>/images/<id>_sa.nii.gz`` with ``<site>/masks/<id>_sa_gt.nii.gz``, or as published,
``<id>/<id>_sa.nii.gz`` with ``<id>/<id>_sa_gt.nii.gz`` and a table with the columns External code and
Centre. Every labeled frame is a case. Source: Campello et al., "Multi-centre, multi-vendor and
multi-disease cardiac segmentation: the M&Ms challenge", IEEE TMI 40, 2021.
"""

from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import Field

from simulator.errors import BadCase, ScenarioError
from simulator.learning.data import images
from simulator.learning.data.disk import Contents
from simulator.learning.data.layouts import tables_of_sites
from simulator.learning.data.layouts.declare import Layout, declare
from simulator.learning.data.layouts.gather import Entry, Listing, gather, rules, walk
from simulator.learning.data.layouts.settings import Channels, ImageSet, Structures
from simulator.learning.data.tables import find_column, read_rows

_RULES = rules(
    r"(?:.*/)?(?P<center>[^/]+)/images/(?P<case>[^/]+?)_sa\.nii(?:\.gz)?",
    r"(?:.*/)?(?P<case>[^/]+?)_sa\.nii(?:\.gz)?",
    labels=[
        r"(?:.*/)?(?P<center>[^/]+)/masks/(?P<case>[^/]+?)_sa_gt\.nii(?:\.gz)?",
        r"(?:.*/)?(?P<case>[^/]+?)_sa_gt\.nii(?:\.gz)?",
    ],
)


class Mnms(ImageSet):
    """M&Ms."""

    name: Literal["mnms"]
    dims: Literal[2, 3] = 2
    channels: Channels = ("sa",)
    structures: Structures = Field(default={"LV": (1,), "MYO": (2,), "RV": (3,)})


def _find(settings: Any, contents: Contents) -> Listing:
    listing = gather(contents.root, _RULES)
    if any(not entry.center for entry in listing.entries):
        tables_of_sites.place(listing, _centers(settings, contents))
    entries: list[Entry] = []
    for entry in listing.entries:
        try:
            frames = contents.known(entry.files["label"], "frames", partial(_frames, contents, entry))
        except BadCase as error:
            listing.skipped.append((entry.center, entry.case, str(error.args[0])))
            continue
        if not frames:
            listing.skipped.append((entry.center, entry.case, "no frame has a label"))
        for frame in frames:
            files = {**entry.files, "pick": str(frame), "frame": str(frame)}
            entries.append(replace(entry, case=f"{entry.case}-t{frame:02d}", files=files))
    return Listing(entries=entries, skipped=listing.skipped)


def _frames(contents: Contents, entry: Entry) -> list[int]:
    """Numbers of the frames with a label."""
    values = images.read(contents.root / entry.files["label"], mask=True).values
    return [int(number) for number in np.flatnonzero(values.any(axis=(1, 2, 3)))]


def _centers(settings: Any, contents: Contents) -> dict[str, tables_of_sites.Placed]:
    """The center of every patient, from the table that comes with the data."""
    if settings.partition.file is not None:
        return tables_of_sites.read(contents.root / settings.partition.file)
    for name in walk(contents.root):
        if name.lower().endswith(".csv"):
            columns, _ = read_rows(contents.root / name, where="task.dataset.root")
            if find_column(columns, ("external code",)) and find_column(columns, ("centre", "center")):
                return tables_of_sites.read(contents.root / name)
    raise ScenarioError(
        f"task.dataset.root: no table with the columns External code and Centre under {contents.root}; "
        "put it there or name it in partition.file"
    )


MNMS = declare(
    Layout(
        name="mnms",
        expects="<site>/images/<id>_sa.nii.gz with <site>/masks/<id>_sa_gt.nii.gz",
        find=_find,
    ),
    settings=Mnms,
    summary="M&Ms: left and right ventricle in cine MRI; a site is a hospital",
    source="Campello et al., IEEE TMI 40, 2021",
)
"""The data set ``mnms``."""

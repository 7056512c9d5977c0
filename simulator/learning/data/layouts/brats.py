"""Brain tumors: BraTS 2021 and FeTS 2022, the same cases, with the institutions of FeTS.

``<case>/<case>_{t1,t1ce,t2,flair,seg}.nii.gz``; the names that BraTS 2023 gives the modalities (t1n, t1c,
t2w, t2f) are read too. ``partitioning_1.csv`` of FeTS says which institution has which case.
Sources: Baid et al., "The RSNA-ASNR-MICCAI BraTS 2021 benchmark", arXiv:2107.02314, 2021; Pati et al.,
"The Federated Tumor Segmentation (FeTS) challenge", arXiv:2105.05874, 2021.
"""

import re
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from simulator.errors import ScenarioError
from simulator.learning.data.disk import Contents
from simulator.learning.data.layouts import tables_of_sites
from simulator.learning.data.layouts.declare import Layout, declare
from simulator.learning.data.layouts.gather import Listing, gather, rules, walk
from simulator.learning.data.layouts.gcml import Shares
from simulator.learning.data.layouts.settings import Channels, ImageSet, Structures

_RULES = rules(
    r"(?:.*/)?(?P<case>[^/]+?)[_-](?P<channel>t1ce|t1gd|t1c|t1n|t1|t2w|t2f|t2|flair)\.nii(?:\.gz)?",
    labels=[r"(?:.*/)?(?P<case>[^/]+?)[_-]seg\.nii(?:\.gz)?"],
)
_NAMES = {"t1n": "t1", "t1c": "t1ce", "t1gd": "t1ce", "t2w": "t2", "t2f": "flair"}
_TABLE = re.compile(r"(?:.*/)?partitioning_1\.csv", re.IGNORECASE)

GCML = {
    f"site{number}": Shares(center=center, train=train, val=val, test=test)
    for number, (center, train, val, test) in enumerate(
        [
            ("4", 32, 5, 10), ("5", 15, 3, 4), ("6", 23, 4, 7), ("7", 7, 2, 3),
            ("11", 9, 2, 3), ("16", 21, 3, 6), ("20", 22, 4, 7), ("21", 23, 4, 8),
        ],
        start=1,
    )
}  # fmt: skip
"""The eight sites of GCML (Chen and Yuan, IEEE TMI 2025): FeTS institutions with 227 cases in all,
counted in the authors' public case lists."""


class _FourSequences(ImageSet):
    """Cases with the label 3 of BraTS 2023 need ``structures`` of their own."""

    name: str
    channels: Channels = ("t1", "t1ce", "t2", "flair")
    structures: Structures = Field(default={"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)})


class Brats(_FourSequences):
    """BraTS 2021."""

    name: Literal["brats2021"]


class Fets(_FourSequences):
    """FeTS 2022."""

    name: Literal["fets2022"]


def _find(needs_table: bool) -> Callable[[Any, Contents], Listing]:
    def find(settings: _FourSequences, contents: Contents) -> Listing:
        listing = gather(
            contents.root, _RULES, channels=settings.channels, names=_NAMES, center=settings.name
        )
        partition = settings.partition
        if partition.kind == "file" or not listing.entries:
            return listing
        path = partition.file or next((name for name in walk(contents.root) if _TABLE.fullmatch(name)), None)
        if path is not None:
            table = tables_of_sites.read(contents.root / path)
            tables_of_sites.place(listing, table, by_number=True)
        elif partition.kind == "gcml" or (needs_table and partition.kind == "natural"):
            raise ScenarioError(
                f"task.dataset.partition: no partitioning_1.csv under {contents.root}, so institutions are "
                "unknown; put that table of FeTS there or name it in partition.file"
            )
        return listing

    return find


_EXPECTS = "<case>/<case>_{t1,t1ce,t2,flair,seg}.nii.gz"
BRATS2021 = declare(
    Layout(name="brats2021", expects=_EXPECTS, find=_find(False), by_number=True, gcml=GCML),
    settings=Brats,
    summary="BraTS 2021: brain tumors in four MRI sequences; a site is an institution of FeTS' table",
    source="Baid et al., arXiv:2107.02314, 2021",
)
"""The data set ``brats2021``."""

FETS2022 = declare(
    Layout(name="fets2022", expects=_EXPECTS, find=_find(True), by_number=True, gcml=GCML),
    settings=Fets,
    summary="FeTS 2022: the BraTS cases with their 23 institutions (partitioning_1.csv)",
    source="Pati et al., arXiv:2105.05874, 2021",
)
"""The data set ``fets2022``."""

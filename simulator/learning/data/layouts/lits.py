"""Liver tumors in CT: LiTS, ``volume-<n>.nii`` with ``segmentation-<n>.nii``.

The challenge does not say which hospital a volume is from; the sites of FedGS are blocks of volume
numbers. Slices written out as FedGS does, ``data_C<c>/images_C<c>/image<n>_slice<k>.jpg``, are read
too. Source: Bilic et al., "The liver tumor segmentation benchmark (LiTS)", Medical Image Analysis 84,
2023.
"""

from bisect import bisect_right
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.learning.data.disk import Contents
from simulator.learning.data.layouts.declare import Layout, declare
from simulator.learning.data.layouts.gather import Entry, Listing, gather, rules
from simulator.learning.data.layouts.settings import Channels, ImageSet, Structures

_SLICE = r"(?P<case>(?P<patient>\d+)_slice\d+)\.(?:jpe?g|png)"
_RULES = rules(
    r"(?:.*/)?volume-(?P<case>\d+)\.nii(?:\.gz)?",
    rf"(?:.*/)?data_(?P<center>C\d+)/images_C\d+/image{_SLICE}",
    labels=[
        r"(?:.*/)?segmentation-(?P<case>\d+)\.nii(?:\.gz)?",
        rf"(?:.*/)?data_(?P<center>C\d+)/masks_C\d+/mask{_SLICE}",
    ],
)


class Lits(ImageSet):
    """LiTS.

    Attributes:
        blocks: first volume numbers of the second and later sites; sites are called C1, C2, …
    """

    name: Literal["lits"]
    dims: Literal[2, 3] = 2
    channels: Channels = ("ct",)
    structures: Structures = Field(default={"liver": (1, 2), "tumor": (2,)})
    window: dict[str, tuple[float, float]] = Field(default={"ct": (-200.0, 200.0)})
    blocks: tuple[Annotated[int, Field(ge=1)], ...] = (30, 60, 90, 120)


def _find(settings: Any, contents: Contents) -> Listing:
    listing = gather(contents.root, _RULES)

    def center(number: str) -> str:
        return f"C{bisect_right(sorted(settings.blocks), int(number)) + 1}"

    def placed(entry: Entry) -> Entry:
        if entry.center:
            return replace(entry, case=f"image{entry.case}", patient=f"volume-{entry.patient}")
        name = f"volume-{entry.case}"
        return replace(entry, case=name, patient=name, center=center(entry.case))

    skipped = [
        (of, case, reason) if of else (center(case), f"volume-{case}", reason)
        for of, case, reason in listing.skipped
    ]
    return Listing(entries=[placed(entry) for entry in listing.entries], skipped=skipped)


LITS = declare(
    Layout(name="lits", expects="volume-<n>.nii with segmentation-<n>.nii", find=_find),
    settings=Lits,
    summary="LiTS: liver and liver tumors in CT; sites are the blocks of volumes C1 to C5 of FedGS",
    source="Bilic et al., Medical Image Analysis 84, 2023",
)
"""The data set ``lits``."""

"""Polyps in colonoscopy from six hospitals: PolypGen.

``data_C<k>/images_C<k>/<image>.jpg`` with ``data_C<k>/masks_C<k>/<image>_mask.jpg``, k from 1 to 6. Source:
Ali et al., "A multi-centre polyp detection and segmentation dataset for generalisability
assessment", Scientific Data 10, 2023.
"""

from typing import Any, Literal

from pydantic import Field

from simulator.learning.data.disk import Contents
from simulator.learning.data.layouts.declare import Layout, declare
from simulator.learning.data.layouts.gather import Listing, gather, rules
from simulator.learning.data.layouts.settings import Channels, ImageSet, Structures

_SUFFIX = r"\.(?:jpe?g|png|tiff?)"
_RULES = rules(
    rf"(?:.*/)?data_(?P<center>C\d+)/images_C\d+/(?P<case>[^/]+){_SUFFIX}",
    labels=[
        rf"(?:.*/)?data_(?P<center>C\d+)/masks_C\d+/(?P<case>[^/]+?)(?:_mask)?{_SUFFIX}",
    ],
)


class PolypGen(ImageSet):
    """PolypGen. Images differ in size; set ``size``. An image counts as a patient unless
    ``patient_pattern`` says otherwise.
    """

    name: Literal["polypgen"]
    dims: Literal[2] = 2
    channels: Channels = ("red", "green", "blue")
    structures: Structures = Field(default={"polyp": (1,)})
    mask_threshold: float | None = 127.0


def _find(settings: Any, contents: Contents) -> Listing:
    return gather(contents.root, _RULES)


POLYPGEN = declare(
    Layout(
        name="polypgen",
        expects="data_C1/images_C1/<image>.jpg with data_C1/masks_C1/<image>_mask.jpg",
        find=_find,
    ),
    settings=PolypGen,
    summary="PolypGen: polyps in colonoscopy; a site is one of six hospitals, C1 to C6",
    source="Ali et al., Scientific Data 10, 2023",
)
"""The data set ``polypgen``."""

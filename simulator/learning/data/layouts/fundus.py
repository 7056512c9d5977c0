"""Optic disc and cup in fundus photographs: RIGA+, and the four domains of DoFE.

``riga``: tables ``<domain>.csv`` in the root with columns image and mask; the mask of a rater is the
listed name with ``-<rater>`` before its suffix. ``fundus``: ``Domain<k>/{train,test}/ROIs/{image,mask}/``.
Sources: Hu et al., "Domain specific convolution and high frequency reconstruction based unsupervised
domain adaptation for medical image segmentation", MICCAI 2022; Wang et al., "DoFE: domain-oriented
feature embedding for generalizable fundus image segmentation on unseen datasets", IEEE TMI 39, 2020.
"""

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from simulator.learning.data.disk import Contents, visible
from simulator.learning.data.layouts.declare import Layout, declare
from simulator.learning.data.layouts.gather import Entry, Listing, gather, rules
from simulator.learning.data.layouts.settings import Channels, ImageSet, Structures
from simulator.learning.data.tables import find_column, read_rows

Array = np.ndarray
_COLORS = ("red", "green", "blue")
_DISC_AND_CUP = {"disc": (1, 2), "cup": (2,)}
_RULES = rules(
    r"(?:.*/)?(?P<center>Domain\d+)/(?P<split>train|test)/ROIs/images?/(?P<case>[^/]+)\.(?:png|jpe?g|tiff?)",
    labels=[
        r"(?:.*/)?(?P<center>Domain\d+)/(?P<split>train|test)/ROIs/masks?/(?P<case>[^/]+)\.(?:png|tiff?|bmp)"
    ],
)


class Riga(ImageSet):
    """RIGA+.

    Attributes:
        rater: whose outlines, 1 to 6.
    """

    name: Literal["riga"]
    dims: Literal[2] = 2
    channels: Channels = _COLORS
    structures: Structures = _DISC_AND_CUP
    rater: Annotated[int, Field(ge=1, le=6)] = 1


class Fundus(ImageSet):
    """The four domains of DoFE: Domain1 to Domain4."""

    name: Literal["fundus"]
    dims: Literal[2] = 2
    channels: Channels = _COLORS
    structures: Structures = _DISC_AND_CUP


def _riga_labels(mask: Array) -> Array:
    """1 rim, 2 cup: 128 is the cup, everything else above 0 belongs to the disc."""
    return np.where(mask == 128, 2, mask > 0).astype(np.uint8)


def _dofe_labels(mask: Array) -> Array:
    """1 rim (128), 2 cup (0); background is 255. What resizing blurred goes to the nearest."""
    return np.select([mask < 64, mask < 192], [2, 1], 0).astype(np.uint8)


def _find_riga(settings: Any, contents: Contents) -> Listing:
    listing = Listing()
    for path in visible(contents.root):
        if path.suffix.lower() != ".csv":
            continue
        columns, rows = read_rows(path, where="task.dataset.root")
        image, mask = (find_column(columns, words) for words in (("image",), ("mask", "label")))
        for row in rows if image and mask else ():
            _add(listing, contents.root, path.stem, row[image or ""], row[mask or ""], settings.rater)
    return listing


def _add(listing: Listing, root: Path, domain: str, image: str, mask: str, rater: int) -> None:
    """Put one row of a table into the listing."""
    image, mask = (text.replace("\\", "/").removeprefix("./") for text in (image, mask))
    case = "-".join(PurePosixPath(image).with_suffix("").parts)
    suffix = PurePosixPath(mask).suffix
    of_rater = f"{mask.removesuffix(suffix)}-{rater}{suffix}"
    label = next((name for name in (of_rater, mask) if mask and (root / name).is_file()), None)
    if not image or not (root / image).is_file():
        listing.skipped.append((domain, case, "in the table but not on disk"))
    elif label is None:
        listing.skipped.append((domain, case, "image without label"))
    else:
        files = {"image": image, "label": label}
        listing.entries.append(Entry(center=domain, patient=case, case=case, files=files))


def _find_dofe(settings: Any, contents: Contents) -> Listing:
    return gather(contents.root, _RULES)


RIGA = declare(
    Layout(
        name="riga",
        expects="<domain>.csv with columns image and mask",
        find=_find_riga,
        recode=_riga_labels,
    ),
    settings=Riga,
    summary="RIGA+: optic disc and cup; a site is a domain (BinRushed, Magrabia, MESSIDOR_Base1, …)",
    source="Hu et al., MICCAI 2022",
)
"""The data set ``riga``."""

FUNDUS = declare(
    Layout(
        name="fundus",
        expects="Domain1/{train,test}/ROIs/{image,mask}/<case>.png",
        find=_find_dofe,
        recode=_dofe_labels,
    ),
    settings=Fundus,
    summary="optic disc and cup in the four domains of DoFE and FedDG",
    source="Wang et al., IEEE TMI 39, 2020",
)
"""The data set ``fundus``."""

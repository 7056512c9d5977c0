"""Lower-grade glioma MRI from five hospitals in the ``kaggle_3m`` layout.

``<root>/TCGA_<hospital>_<patient>_<date>/…_<slice>.tif`` with ``…_<slice>_mask.tif``: three channels
per slice (before contrast, FLAIR, after contrast; FLAIR repeated where one was not taken) and a mask
of 0 and 255. Source: Buda, Saha, Mazurowski, "Association of genomic subtypes of lower-grade gliomas
with shape features automatically extracted by a deep learning algorithm", Computers in Biology and
Medicine 109, 2019.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from simulator.errors import BadCase, ScenarioError
from simulator.learning.data import images
from simulator.learning.data.corruption_settings import Corruptions
from simulator.learning.data.disk import Contents, each_once, existing_root, visible
from simulator.learning.data.layouts.gather import Entry
from simulator.learning.data.layouts.partition import POOLED, assign
from simulator.learning.data.layouts.settings import Deal
from simulator.learning.data.splits import SplitSettings, split_patients
from simulator.registry import CaseInfo, DataMeta, Dataset, Settings, SiteIndex
from simulator.units import Millimeters

CHANNELS = ("pre", "flair", "post")
_FOLDER = re.compile(r"TCGA_(?P<hospital>[A-Z0-9]+)_[A-Z0-9]+_\d+")
_SLICE = re.compile(r"(?P<stem>.+)_(?P<number>\d+)(?P<mask>_mask)?\.tif")
Array = np.ndarray
Length = Annotated[Millimeters, Field(gt=0)]


class Kaggle3M(Settings):
    """What all sites share.

    Attributes:
        root: the folder ``kaggle_3m``, or the one that holds it.
        size: rows and columns to resample to; None: as they are.
        pixel_size: edge of a pixel as stored. The files do not say, and it differs by patient:
            at the default, distances count stored pixels.
        slice_spacing: from slice to slice, unknown likewise.
        partition: which patients are a site's: those of a hospital, or dealt out by chance.
        split: shares of each hospital's patients.
    """

    name: Literal["kaggle-3m"]
    root: Path
    size: Annotated[int, Field(ge=16, le=1024)] | None = None
    pixel_size: Length = 1.0
    slice_spacing: Length = 1.0
    partition: Deal = Deal()
    split: SplitSettings = SplitSettings()


class Kaggle3MSite(Corruptions):
    """Which hospital a site is.

    Attributes:
        hospital: CS, DU, EZ, FG or HT in the published set; default the site's name. With a partition that
            deals out pooled patients, sites without a hospital share those of all that no site claims.
        share: of the pooled patients, relative to the other sites' shares; ``quantity`` only.
        test_only: all its cases test; a hospital that no training sees.
    """

    hospital: Annotated[str, Field(pattern="^[A-Z0-9]+$")] | None = None
    share: Annotated[float, Field(gt=0)] = 1.0
    test_only: bool = False

    @property
    def centers(self) -> tuple[str, ...]:
        """The hospital, if it is named."""
        return () if self.hospital is None else (self.hospital,)


def describe(settings: Kaggle3M) -> DataMeta:
    """Return channels, structure and shape."""
    return DataMeta(
        channels=CHANNELS,
        structures=("tumor",),
        spatial_dims=2,
        simulated=False,
        item_shape=None if settings.size is None else (settings.size, settings.size),
    )


def index(settings: Kaggle3M, sites: Mapping[str, Kaggle3MSite], seed: int) -> dict[str, SiteIndex]:
    """List the cases of every site, slices in order. Only a deal by the size of tumors opens files, their
    masks; only deals use the seed.

    Raises:
        ScenarioError: no such folder or hospital, or too few patients to deal out or to split.
    """
    root = _root(settings)
    entries = [
        Entry(center=match["hospital"], patient=_patient(folder), case=folder.name, files={})
        for folder in visible(root)
        if (match := _FOLDER.fullmatch(folder.name)) is not None and folder.is_dir()
    ]
    if not entries:
        raise ScenarioError(
            f'task.dataset.root: no folder TCGA_<hospital>_<patient>_<date> in "{root}"; '
            "set it with --set task.dataset.root=PATH"
        )
    _check_hospitals(settings, sites, {entry.center for entry in entries}, root)
    with Contents(root) as contents:
        hands = assign(
            settings.partition,
            sites,
            entries,
            seed=seed,
            where_from=f"kaggle-3m under {root}",
            amounts=lambda entry: [_tumor_pixels(contents, root / entry.case)],
        )
        return {
            name: _index_site(
                settings, name, site, contents, [root / e.case for e in hands[name]], f"sites.{place}"
            )
            for place, (name, site) in enumerate(sites.items())
        }


def _check_hospitals(
    settings: Kaggle3M, sites: Mapping[str, Kaggle3MSite], known: Collection[str], root: Path
) -> None:
    """Every hospital that a site is, or claims where patients are dealt out, exists; twice none."""
    dealt = settings.partition.kind in POOLED
    claims = {name: site.hospital or name for name, site in sites.items() if site.hospital or not dealt}
    if not dealt:
        each_once(claims, "hospital")
    for place, name in enumerate(sites):
        if name in claims and claims[name] not in known:
            found = ", ".join(sorted(known))
            raise ScenarioError(
                f'sites.{place}: kaggle-3m has no hospital "{claims[name]}" under {root}; found {found}; '
                f"write data: {{hospital: …}} for {name}"
            )


def _tumor_pixels(contents: Contents, folder: Path) -> float:
    """How much of a patient's slices is tumor."""

    def count(mask: Path) -> int:
        try:
            return int((images.read(mask).values > 0).sum())
        except BadCase:  # it is skipped when it is prepared, whichever site gets it
            return 0

    masks = [_pair(folder, number)[1] for number in _slices(folder, [])]
    paths = [(mask, mask.relative_to(contents.root).as_posix()) for mask in masks]
    return float(sum(contents.known(path, "tumor pixels", partial(count, mask)) for mask, path in paths))


def _root(settings: Kaggle3M) -> Path:
    root = existing_root(settings.root)
    inner = root / "kaggle_3m"
    return inner if inner.is_dir() else root


def _index_site(
    settings: Kaggle3M,
    name: str,
    site: Kaggle3MSite,
    contents: Contents,
    folders: Sequence[Path],
    where: str,
) -> SiteIndex:
    root = contents.root
    skipped: list[tuple[str, str]] = []
    slices = {folder: _slices(folder, skipped) for folder in folders}
    usable = {folder: numbers for folder, numbers in slices.items() if numbers}
    if not usable:
        raise ScenarioError(f"{where}: {name} has no slice with image and mask under {root}")
    patients = {folder: _patient(folder) for folder in usable}
    parts = split_patients(
        patients.values(), site=name, settings=settings.split, where=where, test_only=site.test_only
    )
    cases = tuple(
        CaseInfo(
            site=name,
            patient=patients[folder],
            case=folder.name,
            split=parts[patients[folder]],
            num_items=len(numbers),
            files={"folder": folder.name, "slices": " ".join(map(str, numbers))},
            digest=contents.digest_of(
                path.relative_to(root).as_posix() for n in numbers for path in _pair(folder, n)
            ),
        )
        for folder, numbers in usable.items()
    )
    return SiteIndex(
        cases=cases, fingerprint=contents.fingerprint(cases, settings, site), skipped=tuple(skipped)
    )


def _patient(folder: Path) -> str:
    """A patient may have been scanned on several dates."""
    return "_".join(folder.name.split("_")[:3])


def _pair(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{folder.name}_{number}.tif", folder / f"{folder.name}_{number}_mask.tif"


def _slices(folder: Path, skipped: list[tuple[str, str]]) -> list[int]:
    """Return the numbers of the slices with image and mask, in numeric order."""
    found: dict[bool, set[int]] = {False: set(), True: set()}
    for path in visible(folder):
        match = _SLICE.fullmatch(path.name)
        if match is not None and match["stem"] == folder.name:
            found[match["mask"] is not None].add(int(match["number"]))
    for number in sorted(found[False] ^ found[True]):
        reason = "image without mask" if number in found[False] else "mask without image"
        skipped.append((f"{folder.name}_{number}", reason))
    if not found[False] | found[True]:
        skipped.append((folder.name, "no slices"))
    return sorted(found[False] & found[True])


def load(
    settings: Kaggle3M, site: Kaggle3MSite, case: CaseInfo, seed: int
) -> tuple[Array, Array, images.Spacing]:
    """Read the slices of one case.

    Returns:
        image ``(3, slices, rows, columns)`` float32 as stored; label ``(1, slices, rows, columns)``;
        spacing in mm as far as the settings know it.

    Raises:
        BadCase: a file is missing, unreadable, of another shape, or a mask not 0 and 255.
    """
    folder = _root(settings) / case.files["folder"]
    shown: list[Array] = []
    masks: list[Array] = []
    for number in map(int, case.files["slices"].split()):
        image, mask = (images.read(path).values for path in _pair(folder, number))
        if image.shape[:2] != (len(CHANNELS), 1):
            raise BadCase(f"slice {number} has {image.shape[0]} channels, expected {', '.join(CHANNELS)}")
        if mask.shape != (1, *image.shape[1:]):
            raise BadCase(f"slice {number}: mask has shape {mask.shape[1:]}, image {image.shape[1:]}")
        if shown and image.shape != shown[0].shape:
            raise BadCase(f"slice {number} has shape {image.shape[2:]}, the first {shown[0].shape[2:]}")
        other = np.setdiff1d(mask, [0, 255])
        if other.size:
            raise BadCase(f"slice {number}: the mask has the value {other[0]}, expected 0 and 255")
        shown.append(image)
        masks.append(mask > 0)
    image, label = np.concatenate(shown, axis=1), np.concatenate(masks, axis=1)
    edges = [settings.pixel_size, settings.pixel_size]
    if settings.size is not None:
        edges = [settings.pixel_size * old / settings.size for old in image.shape[2:]]
        image = images.resize(image, (settings.size, settings.size))
        label = images.resize(label, (settings.size, settings.size)) >= 0.5
    return image.astype(np.float32), label.astype(np.uint8), (settings.slice_spacing, edges[0], edges[1])


KAGGLE_3M = Dataset(
    settings=Kaggle3M,
    site_settings=Kaggle3MSite,
    describe=describe,
    index=index,
    load=load,
    choosing=frozenset({"root", "partition", "split"}),
    summary="lower-grade glioma MRI of five hospitals, kaggle_3m layout; a site is a hospital",
    source="Buda, Saha, Mazurowski, Computers in Biology and Medicine 109, 2019",
)
"""The data set ``kaggle-3m``."""

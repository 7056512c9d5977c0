"""Trees with ``imagesTr`` and ``labelsTr``: the Medical Segmentation Decathlon, nnU-Net, and PanSeg.

``msd``: ``dataset.json`` names channels and structures; images are one file with all channels, or one
file per channel with ``_0000``, ``_0001``, …. ``panseg``: pancreas in MRI, a site is the letters of a case.
Sources: Antonelli et al., "The Medical Segmentation Decathlon", Nature Communications 13, 2022; Isensee et
al., "nnU-Net", Nature Methods 18, 2021; Zhang et al., "Large-scale multi-center CT and MRI segmentation
of pancreas with deep learning", Medical Image Analysis 99, 2025.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from simulator.errors import ScenarioError
from simulator.learning.data.disk import Contents
from simulator.learning.data.images import split_suffix
from simulator.learning.data.layouts.dataset_json import find_folder, read
from simulator.learning.data.layouts.declare import Layout, declare
from simulator.learning.data.layouts.gather import Entry, Listing, walk
from simulator.learning.data.layouts.gcml import Shares
from simulator.learning.data.layouts.settings import Channels, ImageSet, Label, Structures

ONE_CENTER = "all"
"""What the center of all cases is called where nothing tells centers apart."""

PANSEG_GCML = {
    name: Shares(center=name, train=train, val=val, test=test)
    for name, train, val, test in [
        ("NYU", 113, 16, 32), ("MCF", 106, 15, 30), ("NWU", 21, 3, 6), ("AHN", 12, 2, 3), ("MCA", 17, 3, 5),
    ]
}  # fmt: skip
"""Cases of the GCML authors' public lists for the T1 images."""


class Msd(ImageSet):
    """A task of the Decathlon or a raw data set of nnU-Net.

    Attributes:
        channels: default those of ``dataset.json``.
        structures: default the labels of ``dataset.json``; a label that is a list is a region.
        center_pattern: regular expression with a group ``center`` that is searched in a case's name;
            None: all cases are of one center, ``all``.
    """

    name: Literal["msd"]
    channels: tuple[str, ...] = ()
    structures: dict[str, tuple[Label, ...]] = Field(default={})
    center_pattern: str | None = None

    @field_validator("center_pattern")
    @classmethod
    def _has_center(cls, value: str | None) -> str | None:
        try:
            if value is not None and "center" not in re.compile(value).groupindex:
                raise ValueError("it has no group (?P<center>…); add one")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return value


class PanSeg(ImageSet):
    """PanSeg.

    Attributes:
        sequence: which images, where the root holds folders ``t1`` and ``t2``.
    """

    name: Literal["panseg"]
    sequence: Literal["t1", "t2"] = "t1"
    channels: Channels = ("mri",)
    structures: Structures = Field(default={"pancreas": (1,)})


def _complete(settings: Msd) -> ImageSet:
    """Fill in channels and structures from ``dataset.json``."""
    if settings.channels and settings.structures:
        return settings
    about = read(settings.root)
    return settings.model_copy(
        update={
            "channels": settings.channels or about.channels,
            "structures": settings.structures or about.structures,
        }
    )


def _find_msd(settings: Any, contents: Contents) -> Listing:
    folder = find_folder(settings.root)
    about = read(settings.root)
    unknown = next((name for name in settings.channels if name not in about.channels), None)
    if unknown is not None:
        raise ScenarioError(
            f"task.dataset.channels: {folder / 'dataset.json'} has no {unknown}; "
            f"found {', '.join(about.channels)}"
        )
    numbers = [about.channels.index(name) for name in settings.channels]
    listing = pairs(contents.root, folder, settings.channels, numbers, len(about.channels))
    gone = sorted(set(about.cases) - {e.case for e in listing.entries} - {c for _, c, _ in listing.skipped})
    listing.skipped += [("", case, "in dataset.json but not on disk") for case in gone]
    if about.cases:
        listed = [entry for entry in listing.entries if entry.case in about.cases]
        extra = [entry.case for entry in listing.entries if entry.case not in about.cases]
        listing.skipped += [("", case, "on disk but not in dataset.json") for case in extra]
        listing.entries = listed
    return _with_centers(listing, settings.center_pattern)


def _find_panseg(settings: Any, contents: Contents) -> Listing:
    folders = {entry.name.lower(): entry for entry in contents.root.iterdir() if entry.is_dir()}
    folder = folders.get(settings.sequence, contents.root)
    listing = pairs(contents.root, folder, settings.channels, [0], 1)
    listing = _with_centers(listing, r"^(?P<center>[A-Za-z]+)")
    # the authors' lists write NWU for Northwestern University, some files NU
    entries = [
        replace(e, center={"NU": "NWU"}.get(e.center.upper(), e.center.upper())) for e in listing.entries
    ]
    return Listing(entries=entries, skipped=listing.skipped)


def pairs(
    root: Path, folder: Path, channels: tuple[str, ...], numbers: list[int], num_stored: int
) -> Listing:
    """Return the cases of ``imagesTr`` and ``labelsTr`` (``Ts`` where it has labels too).

    Args:
        root: what paths are relative to.
        folder: the tree's own folder.
        channels: those wanted.
        numbers: their numbers among the stored ones.
        num_stored: how many are stored.
    """
    shown: dict[str, str] = {}
    labels: dict[str, str] = {}
    listing = Listing()
    for name in walk(folder):
        kind = re.search(r"(?:^|/)(images|labels)(?:Tr|Ts)/[^/]+$", name, re.IGNORECASE)
        stem, suffix = split_suffix(name.rsplit("/", 1)[-1])
        if kind is None or not suffix:
            continue
        found = shown if kind[1].lower() == "images" else labels
        path = (folder / name).relative_to(root).as_posix()
        if stem in found:
            listing.skipped.append(("", stem, f"ambiguous: {found[stem]} and {path}"))
        found[stem] = path
    ambiguous = {case for _, case, _ in listing.skipped}
    for case, label in sorted(labels.items()):
        files = _images_of(case, shown, channels, numbers, num_stored)
        if case in ambiguous:
            continue
        if isinstance(files, str):
            listing.skipped.append(("", case, files))
        else:
            files["label"] = label
            listing.entries.append(Entry(center=ONE_CENTER, patient=case, case=case, files=files))
    return listing


def _images_of(
    case: str, shown: Mapping[str, str], channels: tuple[str, ...], numbers: list[int], num_stored: int
) -> dict[str, str] | str:
    """Return the image files of a case, or what is missing."""
    if case in shown:
        whole = numbers == list(range(num_stored))
        return {"image": shown[case], **({} if whole else {"pick": " ".join(map(str, numbers))})}
    named = {channel: f"{case}_{number:04d}" for channel, number in zip(channels, numbers, strict=True)}
    missing = [channel for channel, stem in named.items() if stem not in shown]
    if len(missing) == len(named):
        return "label without image"
    if missing:
        return f"missing modality {', '.join(missing)}"
    return {f"image.{channel}": shown[stem] for channel, stem in named.items()}


def _with_centers(listing: Listing, pattern: str | None) -> Listing:
    """Put the centers in that the names of the cases tell."""
    if pattern is None:
        return listing
    found = Listing(skipped=listing.skipped)
    for entry in listing.entries:
        match = re.search(pattern, entry.case)
        if match is None:
            found.skipped.append(("", entry.case, "its name does not tell the center"))
        else:
            found.entries.append(replace(entry, center=match["center"]))
    return found


MSD = declare(
    Layout(
        name="msd",
        expects="imagesTr/<case>.nii.gz (or <case>_0000.nii.gz) with labelsTr/<case>.nii.gz",
        find=_find_msd,
        complete=_complete,
    ),
    settings=Msd,
    summary="a task of the Medical Segmentation Decathlon, or any tree of nnU-Net (dataset.json)",
    source="Antonelli et al., Nature Communications 13, 2022",
)
"""The data set ``msd``."""

PANSEG = declare(
    Layout(
        name="panseg",
        expects="imagesTr/NYU_0001_0000.nii.gz with labelsTr/NYU_0001.nii.gz",
        find=_find_panseg,
        gcml=PANSEG_GCML,
    ),
    settings=PanSeg,
    summary="PanSeg: pancreas in MRI; a site is a hospital (NYU, MCF, NWU, AHN, MCA)",
    source="Zhang et al., Medical Image Analysis 99, 2025",
)
"""The data set ``panseg``."""

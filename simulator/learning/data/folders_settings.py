"""What a scenario can say of images in one folder per site."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from simulator.learning.data.corruption_settings import Corruptions
from simulator.learning.data.layouts.settings import Deal
from simulator.learning.data.manifest import ManifestSettings
from simulator.learning.data.splits import SplitSettings
from simulator.registry import Settings
from simulator.units import Millimeters

Count = Annotated[int, Field(ge=1, le=4096)]
Label = Annotated[int, Field(ge=0)]
Length = Annotated[Millimeters, Field(gt=0)]
FolderName = Annotated[str, Field(pattern=r"^[^/\\.][^/\\]*$")]


class FolderPerSite(Settings):
    """What all sites share.

    Attributes:
        root: the folder that holds the sites' folders.
        dims: 2: images or stacks of slices; 3: volumes.
        channels: names of the channels in a file, in order, for example [red, green, blue].
        channel_files: one file per channel, ``<case>_<channel>.<ext>``.
        structures: label values that belong to each structure; they may overlap.
        other_labels: values that masks may hold besides, in no structure (0 always may).
        mask_threshold: for gray masks: greater is label 1, the rest 0.
        mask_suffix: what masks' names have more than images' ("_mask").
        size: to resample to, one number or one per axis; None: as they are.
        spacing: slice, row and column spacing of files that carry none (all but NIfTI); at the
            default, distances count pixels.
        manifest: the table beside the images.
        partition: which patients are a site's: those of its folder, or dealt out by chance.
        split: shares of each site's patients, where the table says nothing.
    """

    name: Literal["folder-per-site"]
    root: Path
    dims: Literal[2, 3] = 2
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    channel_files: bool = False
    structures: Annotated[dict[str, Annotated[tuple[Label, ...], Field(min_length=1)]], Field(min_length=1)]
    other_labels: tuple[Label, ...] = ()
    mask_threshold: float | None = None
    mask_suffix: str = ""
    size: Count | tuple[Count, ...] | None = None
    spacing: tuple[Length, Length, Length] = (1.0, 1.0, 1.0)
    manifest: ManifestSettings = ManifestSettings()
    partition: Deal = Deal()
    split: SplitSettings = SplitSettings()

    @field_validator("structures")
    @classmethod
    def _not_background(cls, value: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        for name, labels in value.items():
            if 0 in labels:
                raise ValueError(f"{name}: label 0 is background and belongs to no structure")
        return value

    @model_validator(mode="after")
    def _size_has_dims(self) -> "FolderPerSite":
        if isinstance(self.size, tuple) and len(self.size) != self.dims:
            raise ValueError(f"size has {len(self.size)} numbers; dims {self.dims} needs {self.dims}")
        return self

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The size with one number per axis."""
        return (self.size,) * self.dims if isinstance(self.size, int) else self.size


class FolderSite(Corruptions):
    """Where a site's images are.

    Attributes:
        source: name of its folder; default the site's name. With a partition that deals out pooled
            patients, sites without a folder share those of all folders that no site claims.
        share: of the pooled patients, relative to the other sites' shares; ``quantity`` only.
        test_only: all its cases test; a hospital that no training sees.
    """

    source: FolderName | None = None
    share: Annotated[float, Field(gt=0)] = 1.0
    test_only: bool = False

    @property
    def centers(self) -> tuple[str, ...]:
        """The folder, if it is named."""
        return () if self.source is None else (self.source,)

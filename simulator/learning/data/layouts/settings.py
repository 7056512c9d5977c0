"""What a scenario can say of a data set that is laid out as its publishers do."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from simulator.learning.data.corruption_settings import Corruptions
from simulator.learning.data.splits import SplitSettings
from simulator.registry import Settings
from simulator.units import Millimeters

Count = Annotated[int, Field(ge=1, le=4096)]
Label = Annotated[int, Field(ge=0)]
Length = Annotated[Millimeters, Field(gt=0)]
Percent = Annotated[float, Field(ge=0, le=100)]
Structures = Annotated[dict[str, Annotated[tuple[Label, ...], Field(min_length=1)]], Field(min_length=1)]
Channels = Annotated[tuple[str, ...], Field(min_length=1)]


class Deal(Settings):
    """How cases become sites: by center, or dealt out.

    Attributes:
        kind: ``natural``: a site is a center of the data; ``iid``, ``quantity`` and ``dirichlet``: the
            patients of all centers that no site claims by name are pooled and dealt out to the others
            by chance, by the learning seed.
        alpha: concentration of the Dirichlet distribution; small means skewed. ``dirichlet`` needs
            it, ``quantity`` deals by the sites' ``share`` without it.
        by: what ``dirichlet`` skews: the size of the labeled lesion or organ in ``bins`` equal groups,
            the largest structure, or the center.
        bins: number of groups of sizes.
        min_patients: that every site gets at least.
    """

    kind: Literal["natural", "iid", "quantity", "dirichlet"] = "natural"
    alpha: Annotated[float, Field(ge=0.01, le=1000)] | None = None
    by: Literal["size", "structure", "center"] = "size"
    bins: Annotated[int, Field(ge=2, le=20)] = 4
    min_patients: Count = 3

    @model_validator(mode="after")
    def _has_its_alpha(self) -> "Deal":
        if self.kind == "dirichlet" and self.alpha is None:
            raise ValueError('dirichlet needs its concentration; add "alpha: 0.5"')
        if self.alpha is not None and self.kind not in {"dirichlet", "quantity"}:
            raise ValueError(f"{self.kind} has no alpha; remove it, or write kind: dirichlet")
        return self

    @model_validator(mode="after")
    def _uses_what_it_has(self) -> "Deal":
        dealt = ("iid", "quantity", "dirichlet")
        for name, kinds in (("by", dealt[2:]), ("bins", dealt[2:]), ("min_patients", dealt)):
            usual = type(self).model_fields[name].default
            if self.kind not in kinds and getattr(self, name) != usual:
                raise ValueError(f"{self.kind} has no {name}; remove it, or write kind: {kinds[-1]}")
        return self


class Partition(Deal):
    """The same, and ready ones.

    Attributes:
        kind: beside those that deal, ``file``: a table says who has what; ``gcml``: the sites and shares of
            the splits of Chen and Yuan (GCML).
        file: the table of ``file``, in the root folder or absolute: a column for the case or patient
            (its name contains case, subject, patient, image or id) and one for the site (partition,
            institution, site, center, centre or client); a third one (split or TrainOrVal) may hold
            the split. For sets whose centers stand in a table of their own it is that table.
    """

    kind: Literal["natural", "file", "gcml", "iid", "quantity", "dirichlet"] = "natural"  # type: ignore[assignment]
    file: Path | None = None

    @model_validator(mode="after")
    def _has_its_table(self) -> "Partition":
        if self.kind == "file" and self.file is None:
            raise ValueError('file needs the table; add "file: sites.csv"')
        return self


class Lists(Settings):
    """Files that list the cases of a split: one name per line, the first column of a CSV table, or
    JSON: a list of names, a list of folds with ``train`` and ``val`` as nnU-Net writes it, or MONAI's data
    list with ``training``, ``validation`` and ``testing``, one for each site as NVFlare writes them.

    Attributes:
        train: training cases, or all folds, or data lists; one file or several.
        val: validation cases; without it and without folds, ``split.val`` of the training patients.
        test: test cases.
        fold: which of the folds.
    """

    train: Path | tuple[Path, ...] | None = None
    val: Path | None = None
    test: Path | None = None
    fold: Annotated[int, Field(ge=0, le=99)] = 0


class ImageSet(Settings):
    """What all sites share. The layouts set defaults of their own.

    Attributes:
        root: the folder of the data set.
        dims: 2: stacks of slices, trained slice by slice; 3: volumes.
        channels: modalities in channel order; a part of those there are, if wished.
        structures: label values that belong to each structure; they may overlap.
        other_labels: values that labels may hold besides, in no structure (0 always may).
        mask_threshold: greater stored values are label 1, the rest 0; None: they are labels.
        target_spacing: slice, row and column spacing to resample to. In 2-D slices stay as they are,
            rows and columns are resampled. None: as stored.
        crop: edges of the block in the middle to cut out, after resampling; smaller images are padded
            with 0. Two numbers in 2-D.
        size: to resample to in the end, one number or one per axis.
        interpolation: of images; labels are resampled linearly, structure by structure, and cut at ½.
        window: lowest and highest value by channel, mapped to 0 and 1; values outside are clipped.
        percentiles: of the nonzero voxels, to which each channel is clipped.
        absolute: negative values become positive.
        min_pixels: 2-D only: slices with fewer labeled pixels are left out.
        drop_ends: 2-D only: the first and the last of the slices kept are left out.
        patient_pattern: regular expression with a group ``patient`` that is searched in a case's
            path, for sets whose cases do not tell patients apart.
        given_split: whether a split that comes with the data is used.
        partition: which cases are a site's.
        lists: files with the cases of each split.
        split: shares of each site's patients, where nothing else says it.
    """

    root: Path
    dims: Literal[2, 3] = 3
    channels: Channels
    structures: Structures
    other_labels: tuple[Label, ...] = ()
    mask_threshold: float | None = None
    target_spacing: tuple[Length, Length, Length] | None = None
    crop: tuple[Count, ...] | None = None
    size: Count | tuple[Count, ...] | None = None
    interpolation: Literal["linear", "cubic"] = "linear"
    window: dict[str, tuple[float, float]] = Field(default={})
    percentiles: tuple[Percent, Percent] | None = None
    absolute: bool = False
    min_pixels: Annotated[int, Field(ge=0)] = 0
    drop_ends: bool = False
    patient_pattern: str | None = None
    given_split: bool = True
    partition: Partition = Partition()
    lists: Lists = Lists()
    split: SplitSettings = SplitSettings()

    @field_validator("structures")
    @classmethod
    def _not_background(cls, value: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        for name, labels in value.items():
            if 0 in labels:
                raise ValueError(f"{name}: label 0 is background and belongs to no structure")
        return value

    @field_validator("patient_pattern")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        try:
            if value is not None and "patient" not in re.compile(value).groupindex:
                raise ValueError("it has no group (?P<patient>…); add one")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "ImageSet":
        for name, numbers in (("size", self.size), ("crop", self.crop)):
            if isinstance(numbers, tuple) and len(numbers) != self.dims:
                raise ValueError(f"{name} has {len(numbers)} numbers; dims {self.dims} needs {self.dims}")
        unknown = sorted(set(self.window) - set(self.channels))
        if unknown:
            raise ValueError(f"window: no channel {unknown[0]}; there are {', '.join(self.channels)}")
        for name, (low, high) in self.window.items():
            if low >= high:
                raise ValueError(f"window: {name} ends at {high:g}, below {low:g}; write [low, high]")
        if self.percentiles is not None and self.percentiles[0] >= self.percentiles[1]:
            raise ValueError("percentiles: write the lower one first, for example [0.5, 99.5]")
        if self.dims == 3 and (self.min_pixels or self.drop_ends):
            raise ValueError("min_pixels and drop_ends choose slices; write dims: 2 or remove them")
        return self

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The size with one number per axis."""
        return (self.size,) * self.dims if isinstance(self.size, int) else self.size


class ImageSetSite(Corruptions):
    """Which cases are a site's, and what is wrong with them there.

    Attributes:
        center: one or several centers of the data; default the site's name. With a partition that
            deals out pooled patients, sites without a center share what no other site claims.
        share: of the pooled patients, relative to the other sites' shares; ``quantity`` only.
        test_only: all its cases test; a hospital that no training sees.
    """

    center: str | int | tuple[str | int, ...] | None = None
    share: Annotated[float, Field(gt=0)] = 1.0
    test_only: bool = False

    @property
    def centers(self) -> tuple[str, ...]:
        """The centers as text; empty if none is named."""
        if self.center is None:
            return ()
        return tuple(map(str, self.center)) if isinstance(self.center, tuple) else (str(self.center),)

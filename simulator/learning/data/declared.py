"""Cases that are only counted: for plans of studies whose images are elsewhere."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.errors import ScenarioError
from simulator.learning.data.splits import NAMES
from simulator.registry import CaseInfo, DataMeta, Dataset, Settings, SiteIndex

Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0, le=1_000_000)]


class Declared(Settings):
    """What is known of the cases.

    Attributes:
        channels: modalities, in channel order.
        structures: what is segmented.
        spatial_dims: 2: stacks of slices; 3: volumes.
        item_shape: of one slice or volume; None if it differs by case.
        items_per_case: slices of a 2-D case, 1 for a volume.
    """

    name: Literal["declared"]
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    structures: Annotated[tuple[str, ...], Field(min_length=1)]
    spatial_dims: Literal[2, 3]
    item_shape: tuple[Count, ...] | None = None
    items_per_case: Count = 1

    @model_validator(mode="after")
    def _shape_has_dims(self) -> "Declared":
        if self.item_shape is not None and len(self.item_shape) != self.spatial_dims:
            raise ValueError(
                f"item_shape has {len(self.item_shape)} numbers; spatial_dims {self.spatial_dims} needs "
                f"{self.spatial_dims}"
            )
        return self


class DeclaredSite(Settings):
    """Number of cases of one site, by split."""

    train: Number
    val: Number = 0
    test: Number = 0


def describe(settings: Declared) -> DataMeta:
    """Return channels, structures and shapes as declared."""
    return DataMeta(
        channels=settings.channels,
        structures=settings.structures,
        spatial_dims=settings.spatial_dims,
        simulated=False,
        item_shape=settings.item_shape,
    )


def index(settings: Declared, sites: Mapping[str, DeclaredSite], seed: int) -> dict[str, SiteIndex]:
    """List as many cases as declared; the seed plays no part.

    Raises:
        ScenarioError: a site has no case.
    """
    found = {}
    for place, (name, site) in enumerate(sites.items()):
        if site.train + site.val + site.test == 0:
            raise ScenarioError(f"sites.{place}.data: {name} has no case; declare at least one")
        cases = tuple(
            CaseInfo(
                site=name,
                patient=f"{name}-{split}-{number:04d}",
                case=f"{name}-{split}-{number:04d}",
                split=split,
                num_items=settings.items_per_case,
            )
            for split in NAMES
            for number in range(getattr(site, split))
        )
        text = f"{name}\x1f{settings.model_dump_json()}\x1f{site.model_dump_json()}"
        digest = hashlib.blake2b(text.encode(), digest_size=16)
        found[name] = SiteIndex(cases=cases, fingerprint=digest.hexdigest())
    return found


DECLARED = Dataset(
    settings=Declared,
    site_settings=DeclaredSite,
    describe=describe,
    index=index,
    load=None,
    summary="counts of cases only, for plans",
    source="declared in the scenario",
)
"""The data set ``declared``."""

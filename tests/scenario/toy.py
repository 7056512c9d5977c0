"""Two tiny algorithms, data sets and networks, registered in place of the real ones."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator import indexing, registry
from simulator.registry import Algorithm, CaseInfo, DataMeta, Dataset, ModelSize, Network, Settings, SiteIndex
from simulator.scenario import schema
from simulator.units import Millimeters, Seconds


class Gossip(Settings):
    name: Literal["gossip"] = "gossip"
    rounds: Annotated[int, Field(ge=1)] | None = None
    epochs: Annotated[int, Field(ge=1)] | None = None
    merge: Literal["mean", "keep_local"] = "mean"
    receive_timeout: Seconds = 3600.0
    share: float | None = 0.5

    @model_validator(mode="after")
    def _one_of_both(self):
        if (self.rounds is None) == (self.epochs is None):
            raise ValueError("give either epochs or rounds")
        return self


class Star(Settings):
    name: Literal["star"] = "star"
    rounds: Annotated[int, Field(ge=1)] = 3


class Counts(Settings):
    name: Literal["counts"] = "counts"
    dims: Literal[2, 3] = 2
    spacing: Millimeters = 1.0


class CountsSite(Settings):
    cases: Annotated[int, Field(ge=1)]
    noise: float = 0.0


class Files(Settings):
    name: Literal["files"] = "files"
    root: Path | None = None


class FilesSite(Settings):
    source: str | None = None


class Net(Settings):
    name: Literal["net"] = "net"
    channels: tuple[int, ...] = (8, 16)


class Wide(Settings):
    name: Literal["wide"] = "wide"
    width: int = 4


def _describe(settings):
    dims = getattr(settings, "dims", 2)
    return DataMeta(
        channels=("a",), structures=("x", "y"), spatial_dims=dims, simulated=True, item_shape=(8, 8)
    )


def _index(settings, sites, seed):
    """One training case per case that a site says it has; none for a site that says nothing."""
    return {
        name: SiteIndex(
            cases=tuple(
                CaseInfo(site=name, patient=str(number), case=str(number), split="train", num_items=1)
                for number in range(getattr(data, "cases", 0))
            ),
            fingerprint=name,
        )
        for name, data in sites.items()
    }


def _dataset(settings, site_settings):
    return Dataset(
        settings=settings, site_settings=site_settings, describe=_describe,
        index=_index, load=lambda *_: None, summary="toy data", source="made up",
    )  # fmt: skip


def _role(node, cfg):
    yield node.sleep(0.0)


def _size(*_):
    return ModelSize(num_parameters=10, num_buffers=0, forward_flop=1.0)


REGISTRIES = {
    "algorithms": {
        "gossip": Algorithm(settings=Gossip, site=_role, summary="toy gossip", source="made up"),
        "star": Algorithm(settings=Star, site=_role, server=_role, summary="toy star", source="made up"),
    },
    "datasets": {"counts": _dataset(Counts, CountsSite), "files": _dataset(Files, FilesSite)},
    "networks": {
        "net": Network(settings=Net, size=_size, build="toy:net", summary="toy net", source="made up"),
        "wide": Network(settings=Wide, size=_size, build=None, summary="toy wide", source="made up"),
    },
}


def register(monkeypatch):
    """Put the toy entries in place; the caller clears the model's cache afterwards."""
    monkeypatch.setattr(registry, "registry", REGISTRIES.__getitem__)
    monkeypatch.setattr(schema, "registry", REGISTRIES.__getitem__)
    monkeypatch.setattr(indexing, "registry", REGISTRIES.__getitem__)
    schema.scenario_model.cache_clear()

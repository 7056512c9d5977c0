"""A tiny data set in memory, and contexts on it: bright disks (balls) that a small U-Net can find."""

import json
from itertools import count
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from pydantic import Field

import simulator.registry as registries
from simulator.errors import BadCase
from simulator.learning.architectures import DECLARED, UNET
from simulator.learning.architectures_monai import DYNUNET, SEGRESNET
from simulator.learning.context import Context
from simulator.learning.prepare import prepare
from simulator.learning.sanet_size import SANET
from simulator.registry import CaseInfo, DataMeta, Dataset, Settings
from simulator.rng import stream

NUMBERS = count()


class Toy(Settings):
    name: Literal["toy"] = "toy"
    dims: Literal[2, 3] = 2
    size: Annotated[int, Field(ge=8)] = 16
    num_structures: int = 2
    exclusive: bool = False


class ToySite(Settings):
    broken: tuple[str, ...] = ()


def describe(settings):
    return DataMeta(
        channels=("t1", "t2"),
        structures=("whole", "core")[: settings.num_structures],
        spatial_dims=settings.dims,
        simulated=True,
        item_shape=(settings.size,) * settings.dims,
    )


def load(settings, site_settings, case, seed):
    """A disk (ball) per slice (volume) on noise; the core is its inner part."""
    if case.case in site_settings.broken:
        raise BadCase("unreadable")
    rng = stream(seed, case.site, case.case)
    items = case.num_items if settings.dims == 2 else settings.size
    shape = (items, settings.size, settings.size)
    center = rng.uniform(0.35, 0.65, 3) * shape
    grid = np.meshgrid(*(np.arange(edge) for edge in shape), indexing="ij")
    axes = range(3) if settings.dims == 3 else range(1, 3)
    radius = np.sqrt(sum((grid[axis] - center[axis]) ** 2 for axis in axes)) / settings.size
    label = np.stack([radius < 0.3, radius < 0.15]).astype(np.uint8)
    image = label.sum(0) * 2.0 + rng.normal(size=(2, *shape)) * 0.3 + 1
    if settings.exclusive:
        label[0] -= label[1]
    return image.astype(np.float32), label[: settings.num_structures], (2.0, 1.0, 1.0)


TOY = Dataset(
    settings=Toy,
    site_settings=ToySite,
    describe=describe,
    index=lambda settings, sites, seed: {},
    load=load,
    summary="toy",
    source="these tests",
)


class _Entry:
    def __init__(self, name, value):
        self.name, self.load = name, lambda: value


@pytest.fixture
def toy_registry(monkeypatch):
    """The registries hold the toy data set and our networks alone."""
    networks = {
        "declared": DECLARED, "dynunet": DYNUNET, "sanet": SANET, "segresnet": SEGRESNET, "unet": UNET,
    }  # fmt: skip
    known = {"medgossip.datasets": {"toy": TOY}, "medgossip.networks": networks}
    monkeypatch.setattr(
        registries,
        "entry_points",
        lambda group: [_Entry(name, value) for name, value in known.get(group, {}).items()],
    )
    registries.registry.cache_clear()
    yield
    registries.registry.cache_clear()


@pytest.fixture(autouse=True)
def one_thread():
    """As a worker has it; on a busy machine more threads are slower."""
    torch.set_num_threads(1)


def recipe(**changes):
    """A recipe for the toy; keys of the network, data set and optimizer are merged."""
    base = {
        "dataset": {"name": "toy"},
        "network": {"name": "unet", "channels": [4, 8], "num_res_units": 1},
        "optimizer": {"name": "adam", "lr": 0.01, "clip_norm": 1.0},
        "batch_size": 4,
        "augment": ["flip"],
    }
    for key, value in changes.items():
        base[key] = base[key] | value if isinstance(value, dict) else value
    return json.loads(json.dumps(base))


def case_infos(site, train=3, val=1, test=1, num_items=3):
    """Cases as the index lists them, as dictionaries."""
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    return [
        {"site": site, "patient": f"p{i}", "case": f"c{i}", "split": split, "num_items": num_items}
        for i, split in enumerate(splits)
    ]


def context(recipe_, site="north", seed=1, bundles=None, **counts):
    """A context with its own prepared cases (or the given bundles), and its recipe."""
    found = [prepared(recipe_, site, seed, **counts)] if bundles is None else bundles
    return Context(recipe_, site, seed, *as_data(found), "cpu")


def prepared(recipe_, site="north", seed=1, **counts):
    """A site's prepared cases."""
    if recipe_["dataset"].get("dims", 2) == 3:
        counts = {"num_items": 1} | counts
    bare = Context(recipe_, site, seed, (), list, "cpu")
    return prepare(bare, site_data=None, cases=case_infos(site, **counts))


def as_data(bundles):
    """Keys of their own for these prepared cases, and what gives the cases by them."""
    kept = {f"toy {next(NUMBERS)}": bundle for bundle in bundles}
    return list(kept), lambda keys: [kept[key] for key in keys]


def info(**changes):
    """One case of the index."""
    base = {"site": "north", "patient": "p", "case": "c", "split": "train", "num_items": 3}
    return CaseInfo(**(base | changes))


def same(left, right):
    """Whether two bundles have the same arrays, bit for bit."""
    return left.arrays.keys() == right.arrays.keys() and all(
        np.array_equal(left.arrays[name], right.arrays[name]) for name in left.arrays
    )

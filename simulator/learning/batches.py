"""The batches of an epoch.

Order, crops and augmentation of epoch *e* at a site depend on (learning seed, site, e) alone, so
all algorithms see the same data in the same order (common random numbers).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from simulator.errors import ScenarioError
from simulator.learning.augmentation import Augmentation
from simulator.learning.cases import Case

if TYPE_CHECKING:
    from simulator.learning.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Images float32 ``(batch, channels, *item)``, labels float32 ``(batch, structures, *item)``, both on the
    device, and where each came from: a case and the number of its item.
    """

    images: Tensor
    labels: Tensor
    items: tuple[tuple[Case, int], ...]


def training_items(ctx: "Context") -> list[tuple[Case, int]]:
    """Every (case, item) that an epoch visits, in the order of the index; a volume once per patch.

    Raises:
        ScenarioError: no training case is left, or whole items differ in shape.
    """
    cases = ctx.cases("train")
    if not cases:
        raise ScenarioError(
            f"{ctx.site}: no training case is left; mend what its cases were skipped for, "
            "or leave the site out"
        )
    patches = ctx.recipe.patches_per_case if ctx.meta.spatial_dims == 3 else 1
    items = [(case, item) for case in cases for item in range(case.num_items) for _ in range(patches)]
    shapes = {tuple(case.images.shape[2:]) for case in cases}
    if ctx.recipe.patch_size is None and len(shapes) > 1 and ctx.recipe.batch_size > 1:
        some = " and ".join("x".join(map(str, shape)) for shape in sorted(shapes)[:2])
        raise ScenarioError(
            f"task.patch_size: items of {ctx.site} differ in shape ({some}); set a patch size, "
            "a size of the data set, or batch_size 1"
        )
    return items


def epoch_batches(
    ctx: "Context", items: Sequence[tuple[Case, int]], epoch: int, *, drop_last: bool = False
) -> Iterator[Batch]:
    """Yield the batches of one epoch; the last one may be smaller, unless it is dropped then."""
    recipe, dims = ctx.recipe, ctx.meta.spatial_dims
    order = ctx.rng("order", epoch).permutation(len(items))
    crop = ctx.rng("crop", epoch)
    augmentation = Augmentation(recipe.augment, ctx.rng, epoch, len(items), dims)
    end = len(items) - recipe.batch_size + 1 if drop_last else len(items)
    for start in range(0, end, recipe.batch_size):
        places = slice(start, min(start + recipe.batch_size, len(items)))
        images, labels = [], []
        for place in range(places.start, places.stop):
            case, item = items[order[place]]
            image, label = case.images[item], case.labels[item]
            if recipe.patch_size is not None:
                window = draw_window(crop, case, item, recipe.patch_size)
                image, label = cut(image, window), cut(label, window)
            images.append(augmentation.geometry(place, image))
            labels.append(augmentation.geometry(place, label))
        yield Batch(
            images=augmentation.intensity(places, torch.stack(images).to(ctx.device)),
            labels=torch.stack(labels).to(ctx.device).float(),
            items=tuple(items[order[place]] for place in range(places.start, places.stop)),
        )


def draw_window(
    rng: np.random.Generator, case: Case, item: int, patch_size: Sequence[int]
) -> list[tuple[int, int]]:
    """Draw where to cut a patch: (start, stop) per axis, outside the item where it is smaller.

    Class-balanced: with equal probability anywhere, or centered on a voxel of one of the
    structures; a structure that the item lacks means anywhere. The window is moved inside the item.
    The same number of draws is spent whatever comes out, so one item's content moves no other's
    window.
    """
    shape = case.images.shape[2:]
    draws = rng.random(2 + len(shape))
    structures = case.foreground[item]
    chosen = int(draws[0] * (len(structures) + 1)) - 1
    voxels = structures[chosen] if chosen >= 0 else structures[0][:0]
    if len(voxels):
        center = np.unravel_index(voxels[int(draws[1] * len(voxels))], shape)
        starts = [int(place) - size // 2 for place, size in zip(center, patch_size, strict=True)]
    else:
        free = [max(edge - size, 0) for edge, size in zip(shape, patch_size, strict=True)]
        starts = [int(draw * (room + 1)) for draw, room in zip(draws[2:], free, strict=True)]
    window = []
    for start, edge, size in zip(starts, shape, patch_size, strict=True):
        low = min(max(start, 0), edge - size) if edge >= size else -((size - edge) // 2)
        window.append((low, low + size))
    return window


def cut(tensor: Tensor, window: Sequence[tuple[int, int]]) -> Tensor:
    """Cut ``(channels, *item)``; zeros where the window reaches outside."""
    shape = tensor.shape[1:]
    inside = tuple(
        slice(max(low, 0), min(high, edge)) for (low, high), edge in zip(window, shape, strict=True)
    )
    patch = tensor[(slice(None), *inside)]
    margins: list[int] = []
    for (low, high), edge in zip(reversed(window), reversed(shape), strict=True):
        margins += [max(-low, 0), max(high - edge, 0)]
    return functional.pad(patch, margins) if any(margins) else patch

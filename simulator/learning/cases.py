"""Prepared cases as tensors, kept in memory from task to task.

An *item* is what one training pass sees before cropping: a slice of a 2-D case, or a volume.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from simulator.api import Bundle
from simulator.learning.lesions import smallest_ratio

_CACHE_NBYTES = 4 << 30

Load = Callable[[Sequence[str]], Sequence[Bundle]]
"""Gives prepared cases by their keys; nobody else may write to them."""


@dataclass(frozen=True, kw_only=True)  # no slots: cached_property needs a dictionary
class Case:
    """One case on a device.

    ``images`` is float32 ``(items, channels, *item)``, ``labels`` uint8 ``(items, structures,
    *item)``; a volume is one item. ``spacing_mm`` has one entry per spatial axis of the case, the
    slice axis of a 2-D case included.
    """

    name: str
    split: str
    spacing_mm: tuple[float, ...]
    images: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)

    @property
    def num_items(self) -> int:
        """Slices of a 2-D case, 1 for a volume."""
        return self.images.shape[0]

    @cached_property
    def foreground(self) -> list[list[np.ndarray]]:
        """Flat indices of the voxels of each structure, by item and structure."""
        flat = self.labels.cpu().numpy().reshape(*self.labels.shape[:2], -1)
        return [[np.flatnonzero(structure) for structure in item] for item in flat]

    @cached_property
    def smallest_lesions(self) -> list[float]:
        """Of each item, its size over the bounding box of its smallest lesion, 0 where it has none; all
        structures taken together.
        """
        return [smallest_ratio(item.any(axis=0)) for item in self.labels.cpu().numpy()]

    def as_volume(self, items: Tensor) -> Tensor:
        """Arrange ``(items, k, *item)`` as one batch entry ``(1, k, *spatial)`` of the whole case."""
        return items.transpose(0, 1).unsqueeze(0) if items.ndim == 4 else items


def to_cases(prepared: Bundle, spatial_dims: int, device: str) -> tuple[Case, ...]:
    """Put the prepared cases of one site on a device."""

    def items(array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        tensor = tensor.transpose(0, 1).contiguous() if spatial_dims == 2 else tensor.unsqueeze(0)
        return tensor.to(device)

    return tuple(
        Case(
            name=case["case"],
            split=case["split"],
            spacing_mm=tuple(case["spacing_mm"]),
            images=items(prepared.arrays[f"image.{index}"]),
            labels=items(prepared.arrays[f"label.{index}"]),
        )
        for index, case in enumerate(prepared.meta["cases"])
    )


class CaseCache:
    """Keeps the tensors of recently used cases by the key of what they were made from, the least recently
    used out first. What they were made from is not kept.
    """

    def __init__(self, limit_nbytes: int = _CACHE_NBYTES) -> None:
        self._limit_nbytes = limit_nbytes
        self._kept: OrderedDict[tuple[str, str], tuple[Case, ...]] = OrderedDict()
        self._nbytes = 0

    def get(self, keys: Sequence[str], load: Load, spatial_dims: int, device: str) -> list[Case]:
        """Return the cases of all keys, in order; ``load`` gives the prepared ones of those not kept."""
        new = [key for key in dict.fromkeys(keys) if (key, device) not in self._kept]
        for key, bundle in zip(new, load(new) if new else (), strict=True):
            cases = self._kept[key, device] = to_cases(bundle, spatial_dims, device)
            self._nbytes += _nbytes(cases)
        for key in keys:
            self._kept.move_to_end((key, device))
        found = [case for key in keys for case in self._kept[key, device]]
        while self._nbytes > self._limit_nbytes and len(self._kept) > len(set(keys)):
            _, old = self._kept.popitem(last=False)
            self._nbytes -= _nbytes(old)
        return found


def _nbytes(cases: Sequence[Case]) -> int:
    return sum(case.images.nbytes + case.labels.nbytes for case in cases)


CACHE = CaseCache()
"""The cache of this process; it changes no value, only when tensors are made."""

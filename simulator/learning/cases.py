"""Prepared cases as tensors, kept in memory from task to task.

An *item* is what one training pass sees before cropping: a slice of a 2-D case, or a volume.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from simulator.api import Bundle
from simulator.learning.lesions import smallest_ratio
from simulator.learning.numerics import room_for_cases

_NEAR = "cpu"

Load = Callable[[Sequence[str]], Sequence[Bundle]]
"""Gives prepared cases by their keys; nobody else may write to them."""


@dataclass(frozen=True, kw_only=True)  # no slots: cached_property needs a dictionary
class Case:
    """One case, on the device or in the machine's memory.

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
    used out first. What they were made from is not kept. Of cases that are wanted together, those that find
    no room on the device stay in the machine's memory.

    ``room`` says how many bytes of a device may be used.
    """

    def __init__(self, room: Callable[[str], float] = room_for_cases) -> None:
        self._room = room
        self._kept: OrderedDict[tuple[str, str], tuple[Case, ...]] = OrderedDict()

    def get(self, keys: Sequence[str], load: Load, spatial_dims: int, device: str) -> list[Case]:
        """Return the cases of all keys, in order; ``load`` gives the prepared ones of those not kept."""
        wanted = {(key, device) for key in keys}
        new = [key for key in dict.fromkeys(keys) if (key, device) not in self._kept]
        for key, bundle in zip(new, load(new) if new else (), strict=True):
            nbytes = sum(array.nbytes for array in bundle.arrays.values())
            place = device if self._makes_room(device, nbytes, wanted) else _NEAR
            if place != device:
                self._makes_room(place, nbytes, wanted)
            self._kept[key, device] = to_cases(bundle, spatial_dims, place)
        for key in keys:
            self._kept.move_to_end((key, device))
        return [case for key in keys for case in self._kept[key, device]]

    def _makes_room(self, place: str, nbytes: int, wanted: Collection[tuple[str, str]]) -> bool:
        """Let others than those wanted go until there is room for so many bytes; whether there is."""
        room = self._room(place) - nbytes
        there = {entry: _nbytes(cases, place) for entry, cases in self._kept.items()}
        used = sum(there.values())
        for entry in [entry for entry in there if entry not in wanted and there[entry]]:
            if used <= room:
                break
            del self._kept[entry]
            used -= there[entry]
        return used <= room

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()


def _nbytes(cases: Sequence[Case], place: str) -> int:
    """What lies on a device."""
    there = [case for case in cases if case.images.device.type == torch.device(place).type]
    return sum(case.images.nbytes + case.labels.nbytes for case in there)


CACHE = CaseCache()
"""The cache of this process; it changes no value, only when tensors are made."""

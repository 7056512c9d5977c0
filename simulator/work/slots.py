"""How many workers share the GPUs: as many as are wanted and find room."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

_USED = 0.95  # of what is free; the rest is for what drivers take beside
_LEAST_NBYTES = 2e9  # a process takes half a gigabyte before it has trained anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """``count`` workers at a time, dealt out to ``gpus``, named as in ``CUDA_VISIBLE_DEVICES``. Those on one
    GPU share ``nbytes`` of its memory in equal parts.
    """

    count: int
    gpus: tuple[str, ...]
    nbytes: float

    def __str__(self) -> str:
        sites = "sites" if self.count > 1 else "site"
        where = "GPU" if len(self.gpus) == 1 else f"{len(self.gpus)} GPUs"
        return f"{where}: {self.count} {sites} at a time, {self.part_nbytes(self.count) / 1e9:.1f} GB each"

    def gpu_of(self, worker: int) -> str:
        """The GPU of a worker."""
        return self.gpus[worker % len(self.gpus)]

    def part_nbytes(self, count: int) -> float:
        """What each of so many workers has of its GPU's memory."""
        return self.nbytes / math.ceil(count / len(self.gpus))


def slots(free_nbytes: Mapping[str, float], wanted: int) -> Slots:
    """Share the free memory of the GPUs, of each as much as the fullest one has, in equal parts; none too
    small to train in.
    """
    gpus = tuple(free_nbytes)[:wanted]
    room = _USED * min(free_nbytes[gpu] for gpu in gpus)
    most = max(1, int(room // _LEAST_NBYTES)) * len(gpus)
    return Slots(count=min(wanted, most), gpus=gpus, nbytes=room)

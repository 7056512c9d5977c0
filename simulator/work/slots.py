"""How many workers share one GPU: as many as are wanted and find room."""

from dataclasses import dataclass

_USED = 0.95  # of what is free; the rest is for what drivers take beside
_LEAST_NBYTES = 2e9  # a process takes half a gigabyte before it has trained anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """``count`` workers at a time, each with ``nbytes`` of the GPU's memory."""

    count: int
    nbytes: float

    def __str__(self) -> str:
        sites = "sites" if self.count > 1 else "site"
        return f"GPU: {self.count} {sites} at a time, {self.nbytes / 1e9:.1f} GB each"


def slots(free_nbytes: float, wanted: int) -> Slots:
    """Share the free memory of a GPU in equal parts, none too small to train in."""
    room = _USED * free_nbytes
    count = max(1, min(wanted, int(room // _LEAST_NBYTES)))
    return Slots(count=count, nbytes=room / count)

"""Top-k: the values of largest magnitude, and where they belong.

Places travel as gaps (uint32 each) or as one bit per value, whichever is smaller; either way the
size follows from the numbers alone.
"""

import math

import numpy as np

from simulator.codec.dense import Array, Layout


def num_kept(count: int, fraction: float) -> int:
    """Return how many of ``count`` values are kept: the nearest whole number, at least one."""
    return min(count, max(1, round(fraction * count)))


def layout(count: int, kept: int) -> Layout:
    """Return how the places of ``kept`` of ``count`` values travel."""
    num_bitmap_bytes = math.ceil(count / 8)
    return (("u1", num_bitmap_bytes),) if num_bitmap_bytes < 4 * kept else (("<u4", kept),)


def largest(values: Array, kept: int) -> Array:
    """Return the places of the ``kept`` largest magnitudes, ascending.

    NaN counts as infinite. Of equal magnitudes the first are kept, so that the choice is the same on
    every machine.
    """
    magnitudes = np.abs(values)
    magnitudes[np.isnan(magnitudes)] = np.inf
    if not 0 < kept < len(values):
        return np.arange(min(kept, len(values)))
    threshold = np.partition(magnitudes, len(values) - kept)[len(values) - kept]
    above = np.flatnonzero(magnitudes > threshold)
    equal = np.flatnonzero(magnitudes == threshold)[: kept - len(above)]
    return np.sort(np.concatenate([above, equal]))


def pack(places: Array, count: int) -> Array:
    """Return ascending places as they travel, as :func:`layout` says."""
    ((kind, _),) = layout(count, len(places))
    if kind == "u1":
        bits = np.zeros(count, dtype=bool)
        bits[places] = True
        return np.packbits(bits)
    return np.diff(places, prepend=0).astype(np.uint32)


def unpack(part: Array, count: int) -> Array:
    """Return the places that ``part`` stands for."""
    if part.dtype == np.uint8:
        return np.flatnonzero(np.unpackbits(part, count=count))
    return np.cumsum(part, dtype=np.int64)

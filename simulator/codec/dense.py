"""Vectors of float32 values as they are coded one by one: fp32, fp16, bf16, int8.

fp32 is lossless; fp16 and bf16 round to nearest even; int8 scales each block of 4096 values by its
largest magnitude.
"""

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray
Layout = tuple[tuple[str, int], ...]
"""Type (as NumPy writes it, little-endian) and number of values of each part of a coded vector."""

BLOCK = 4096
"""Values of an int8 block that share one float32 scale."""


def layout(count: int, kind: str) -> Layout:
    """Return what ``count`` values become in a kind."""
    if kind == "int8":
        return (("i1", count), ("<f4", math.ceil(count / BLOCK)))
    return (({"fp32": "<f4", "fp16": "<f2", "bf16": "<u2"}[kind], count),)


def nbytes(parts: Layout) -> int:
    """Return the bytes of coded vectors."""
    return sum(np.dtype(kind).itemsize * count for kind, count in parts)


def _to_bf16(values: Array) -> Array:
    """Round float32 to the upper 16 bits, to nearest even; NaN stays NaN."""
    bits = values.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def _encode_int8(values: Array) -> list[Array]:
    padded = np.pad(values, (0, -len(values) % BLOCK)).reshape(-1, BLOCK)
    scales = np.abs(padded).max(axis=1).astype(np.float32) / np.float32(127)
    # a block of zeros stays zero; a block that is not finite stays not finite through its scale
    safe = np.where((scales > 0) & np.isfinite(scales), scales, np.float32(1))
    codes = np.rint(np.nan_to_num(padded / safe[:, None], posinf=127, neginf=-127)).astype(np.int8)
    return [codes.reshape(-1)[: len(values)], scales]


def _decode_int8(codes: Array, scales: Array) -> Array:
    padded = np.pad(codes, (0, -len(codes) % BLOCK)).reshape(-1, BLOCK).astype(np.float32)
    decoded: Array = (padded * scales[:, None]).reshape(-1)[: len(codes)]
    return decoded


def encode(values: Array, kind: str) -> list[Array]:
    """Return the parts that travel for a float32 vector, as :func:`layout` says.

    Args:
        values: float32 vector.
        kind: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
    """
    if kind == "fp32":
        return [values]
    if kind == "fp16":
        with np.errstate(over="ignore"):  # beyond 65504 fp16 has infinity only; the receiver must cope
            return [values.astype(np.float16)]
    if kind == "bf16":
        return [_to_bf16(values)]
    return _encode_int8(values)


def decode(parts: Sequence[Array], kind: str) -> Array:
    """Return the float32 vector that ``parts`` stand for."""
    if kind == "bf16":
        return np.left_shift(parts[0].astype(np.uint32), 16).view(np.float32)
    if kind == "int8":
        with np.errstate(invalid="ignore"):  # a block that was not finite: 0 times infinity is NaN
            return _decode_int8(*parts)
    return parts[0].astype(np.float32)

"""Codecs: how a model becomes bytes on the wire, and what the receiver gets back.

fp32 is lossless; fp16 and bf16 round to nearest even; int8 scales each block of 4096 values by its
largest magnitude. Each may be followed by a byte shuffle and zstd, which change the size alone: what
the receiver gets and what the wire carries are two tasks, and training depends on the first only.
Sizes without zstd follow from the numbers of values, so the event loop need not wait for a value to
know them. Integer counters (8 bytes per normalization layer that keeps statistics) travel as they are
and are not counted.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import zstandard

from simulator.api import OPTIMIZER, Bundle, Cost, ModelSize, SiteData, Task, TaskContext

BLOCK = 4096
"""Values of an int8 block that share one float32 scale."""

_BYTES_PER_VALUE = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


def _free(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Encoding costs no virtual time: it takes milliseconds per hundred megabytes."""
    return Cost()


TRANSMIT = Task(name="transmit", function="simulator.codec:transmit", version=2, cost=_free, stateful=False)
"""The model as its receiver decodes it: ``(model), kind``."""

MEASURE = Task(name="measure", function="simulator.codec:measure", version=1, cost=_free, stateful=False)
"""No model, but its size on the wire as ``meta["nbytes"]``: ``(model), kind, zstd``."""


def encoded_nbytes(counts: Sequence[int], kind: str) -> int:
    """Bytes of float arrays of so many values in a codec without zstd; each is encoded separately."""
    scales = 4 * sum(math.ceil(count / BLOCK) for count in counts) if kind == "int8" else 0
    return sum(counts) * _BYTES_PER_VALUE[kind] + scales


def _to_bf16(values: np.ndarray) -> np.ndarray:
    """Round float32 to the upper 16 bits, to nearest even; NaN stays NaN."""
    bits = values.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def _encode_int8(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    padded = np.pad(values, (0, -len(values) % BLOCK)).reshape(-1, BLOCK)
    scales = np.abs(padded).max(axis=1).astype(np.float32) / np.float32(127)
    # a block of zeros stays zero; a block that is not finite stays not finite through its scale
    safe = np.where((scales > 0) & np.isfinite(scales), scales, np.float32(1))
    codes = np.rint(np.nan_to_num(padded / safe[:, None], posinf=127, neginf=-127)).astype(np.int8)
    return codes.reshape(-1)[: len(values)], scales


def _decode_int8(codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    padded = np.pad(codes, (0, -len(codes) % BLOCK)).reshape(-1, BLOCK).astype(np.float32)
    decoded: np.ndarray = (padded * scales[:, None]).reshape(-1)[: len(codes)]
    return decoded


def encode(values: np.ndarray, kind: str) -> tuple[list[np.ndarray], Callable[[], np.ndarray]]:
    """Return what travels and a function that decodes it.

    Args:
        values: float32 vector.
        kind: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
    """
    if kind == "fp32":
        return [values], lambda: values
    if kind == "fp16":
        with np.errstate(over="ignore"):  # beyond 65504 fp16 has infinity only; the receiver must cope
            half = values.astype(np.float16)
        return [half], lambda: half.astype(np.float32)
    if kind == "bf16":
        upper = _to_bf16(values)
        return [upper], lambda: np.left_shift(upper.astype(np.uint32), 16).view(np.float32)
    codes, scales = _encode_int8(values)
    return [codes, scales], lambda: _decode_int8(codes, scales)


def compressed_nbytes(parts: list[np.ndarray], level: int) -> int:
    """Bytes of all parts after byte shuffle and zstd; 0 as level means uncompressed."""
    if level == 0:
        return sum(part.nbytes for part in parts)
    total = 0
    for part in parts:
        shuffled = part.view(np.uint8).reshape(-1, part.itemsize).T.tobytes()
        total += len(zstandard.ZstdCompressor(level=level).compress(shuffled))
    return total


def _floats(model: Bundle) -> dict[str, np.ndarray]:
    """What is encoded: all float arrays but an optimizer's state, by name."""
    return {
        name: np.ascontiguousarray(array, dtype=np.float32)
        for name, array in sorted(model.arrays.items())
        if array.dtype.kind == "f" and not name.startswith(OPTIMIZER)
    }


def transmit(ctx: TaskContext, model: Bundle, *, kind: str) -> Bundle:
    """Encode and decode the float arrays; integers travel as they are."""
    arrays = {name: array for name, array in model.arrays.items() if array.dtype.kind != "f"}
    return Bundle(
        arrays=arrays | {name: encode(values, kind)[1]() for name, values in _floats(model).items()}
    )


def measure(ctx: TaskContext, model: Bundle, *, kind: str, zstd: int) -> Bundle:
    """Encode and compress a model for its size: ``meta["nbytes"]``."""
    nbytes = sum(compressed_nbytes(encode(values, kind)[0], zstd) for values in _floats(model).values())
    return Bundle(arrays={}, meta={"nbytes": nbytes})

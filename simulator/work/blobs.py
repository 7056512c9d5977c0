"""A result as one safetensors file with a checksum over all of it, written and read without a copy.

The last array, ``__checksum__``, is the XXH3-128 of every byte before it. It finds damage: flipped,
lost and swapped bytes, not forgery. Arrays that compress (labels, images with empty margins; trained
weights do not) are zstd frames, held as arrays of bytes; the metadata says what they unpack to.

Format: https://huggingface.co/docs/safetensors. Hash: Y. Collet, "xxHash", 2012-2024.
"""

import json
import os
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
import zstandard

from simulator.api import Bundle

LARGEST_NBYTES = 64 * 2**30  # a file that claims more is not one of ours
_ALWAYS_NBYTES, _MOST_RATIO = 2**30, 1_000  # beyond these a small file claims too much: no model does
_CHECKSUM, _CHECKSUM_NBYTES = "__checksum__", 16
_PIECE_NBYTES = 2**20  # hashed while still in the processor's cache
_SMALL_NBYTES, _SAMPLE_NBYTES, _NUM_SAMPLES = 2**12, 2**13, 8
_WORTH = 0.8  # packing must leave less than this of an array: unpacking costs time at every reading
_LEVEL = -1  # higher ones save a few percent at several times the processor time
_DTYPES = {
    "F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4",
    "F16": "<f2", "I16": "<i2", "U16": "<u2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {text: name for name, text in _DTYPES.items()}


class Damaged(ValueError):
    """A file that is not, or no longer, a result; ``args`` say why."""


def pieces(bundle: Bundle) -> Iterator[bytes | memoryview]:
    """Give the content of a bundle's file, piece after piece.

    Raises:
        ValueError: an array of objects, or a bundle that :func:`read` would refuse.
    """
    if _CHECKSUM in bundle.arrays:
        raise ValueError(f"an array may not be named {_CHECKSUM}")
    arrays = {name: np.asarray(array, order="C") for name, array in bundle.arrays.items()}
    frames = {name: frame for name, array in arrays.items() if (frame := _pack(array)) is not None}
    held = arrays | {name: np.frombuffer(frame, np.uint8) for name, frame in frames.items()}
    _check_claim(sum(array.nbytes for array in arrays.values()), sum(array.nbytes for array in held.values()))
    meta = {
        "meta": json.dumps(bundle.meta),
        "packed": json.dumps({name: _kind(arrays[name]) for name in frames}),
    }
    # the widest first, so that each array begins where its type may begin
    order = sorted(held, key=lambda name: (-held[name].itemsize, name))
    checksum = xxhash.xxh3_128()
    header = _header(meta, {name: held[name] for name in order})
    for content in [memoryview(header), *(_bytes_of(held[name]) for name in order)]:
        for start in range(0, len(content), _PIECE_NBYTES):
            piece = content[start : start + _PIECE_NBYTES]
            checksum.update(piece)
            yield piece
    yield checksum.digest()


def _header(meta: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The header's length in 8 bytes, then JSON, filled up so that what follows begins at eight bytes."""
    header: dict[str, Any] = {"__metadata__": meta}
    end = 0
    for name, array in [*arrays.items(), (_CHECKSUM, np.empty(_CHECKSUM_NBYTES, np.uint8))]:
        kind, shape = _kind(array)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _kind(array: np.ndarray) -> tuple[str, list[int]]:
    try:
        return _NAMES[array.dtype.newbyteorder("<").str], list(array.shape)
    except KeyError:
        raise ValueError(
            f"an array of {array.dtype} cannot be kept; convert it to a plain number type"
        ) from None


def _bytes_of(array: np.ndarray) -> memoryview:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view(np.uint8).data


def _pack(array: np.ndarray) -> bytes | None:
    """An array's bytes as a zstd frame, or None if that would save too little, by samples of it."""
    content = _bytes_of(array) if array.nbytes >= _SMALL_NBYTES else memoryview(b"")
    if not content:
        return None
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    step = max(len(content) // _NUM_SAMPLES, _SAMPLE_NBYTES)
    samples = b"".join(content[start : start + _SAMPLE_NBYTES] for start in range(0, len(content), step))
    if len(compressor.compress(samples)) > _WORTH * len(samples):
        return None
    frame = compressor.compress(content)
    return frame if len(frame) < _WORTH * len(content) else None


def _check_claim(nbytes: int, held_nbytes: int) -> None:
    """Refuse what takes more memory than a file of its size may ask for."""
    if nbytes > min(LARGEST_NBYTES, _ALWAYS_NBYTES + _MOST_RATIO * held_nbytes):
        raise Damaged(f"a result of {nbytes:,} bytes that compresses to {held_nbytes:,} is no model")


def read(path: Path) -> Bundle:
    """Return the bundle that a file holds; what it claims is checked before memory is set aside for it.

    Raises:
        OSError: it cannot be read.
        Damaged: it is not what :func:`pieces` gave.
    """
    content = _checked(path)
    length = int.from_bytes(content[:8].tobytes(), "little")
    body = content[8 + length :]
    try:
        header = json.loads(content[8 : 8 + length].tobytes())
        meta = header.pop("__metadata__")
        del header[_CHECKSUM]
        packed = json.loads(meta["packed"])
        kinds = {name: packed.get(name, (entry["dtype"], entry["shape"])) for name, entry in header.items()}
        claimed = {name: _nbytes(*kind) for name, kind in kinds.items()}
        _check_claim(sum(claimed.values()), len(body))
        arrays = {}
        for name, (kind, shape) in kinds.items():
            start, end = header[name]["data_offsets"]
            held = _unpack(body[start:end], claimed[name]) if name in packed else body[start:end]
            arrays[name] = held.view(_DTYPES[kind]).reshape(shape)
        return Bundle(arrays=arrays, meta=json.loads(meta["meta"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zstandard.ZstdError) as error:
        raise Damaged(f"{path}: {error}") from error


def _checked(path: Path) -> np.ndarray:
    """A file's content without its checksum, once that has been found right."""
    with path.open("rb", buffering=0) as file:
        nbytes = os.fstat(file.fileno()).st_size
        if not 8 + _CHECKSUM_NBYTES < nbytes <= LARGEST_NBYTES:
            raise Damaged(f"{path}: {nbytes} bytes are no result")
        content = np.empty(nbytes, np.uint8)
        view, checksum, end = content.data, xxhash.xxh3_128(), nbytes - _CHECKSUM_NBYTES
        start = 0
        while start < nbytes:
            got = file.readinto(view[start : start + _PIECE_NBYTES])
            if not got:
                raise Damaged(f"{path}: cut short while it was read")
            checksum.update(view[start : min(start + got, end)])
            start += got
    if checksum.digest() != content[end:].tobytes():
        raise Damaged(f"{path}: its checksum does not fit its content")
    return content[:end]


def _nbytes(kind: str, shape: list[int]) -> int:
    if not all(type(size) is int and size >= 0 for size in shape):
        raise Damaged(f"{shape} is no shape")
    return np.dtype(_DTYPES[kind]).itemsize * prod(shape)


def _unpack(frame: np.ndarray, nbytes: int) -> np.ndarray:
    if zstandard.frame_content_size(frame.data) != nbytes:
        raise Damaged(f"a frame that does not hold {nbytes} bytes")
    found = zstandard.ZstdDecompressor().decompress(frame.data, allow_extra_data=False)
    return np.frombuffer(bytearray(found), np.uint8)

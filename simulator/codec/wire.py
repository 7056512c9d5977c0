"""The payload: a header of 32 bytes and the coded model, read back from these bytes alone.

Header, little-endian: ``MGP``, version, kind, kind of the values, flags, a zero; then as uint32 the
numbers of parameters, float buffers, integer counters and kept parameters, the checksum (CRC-32) of
the model that a difference is to, and the checksum of the payload with this field zero. Then, in one
zstd frame if the flag says so, parameters, buffers and counters (int64), each as its kind codes it.

A difference is the exclusive or of the bits in fp32, hence lossless, and else the arithmetic
difference to the other model. Where that one is not finite, zero stands in for it, so that one NaN
does not live for ever. Top-k leaves out parameters only; buffers then travel whole.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import zstandard

from simulator.api import Bundle, ModelSize
from simulator.codec import dense, sparse
from simulator.codec.dense import Array, Layout
from simulator.errors import DamagedPayload
from simulator.scenario.schema import Codec

MAGIC, VERSION = b"MGP", 1
KINDS = ("fp32", "fp16", "bf16", "int8", "topk")
_ZSTD, _SHUFFLE, _DELTA = 1, 2, 4
_FORMAT = struct.Struct("<3sBBBBxIIIIII")
HEADER_NBYTES = _FORMAT.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a payload says of itself; ``values`` is ``kind`` but for top-k."""

    kind: str
    values: str
    flags: int
    num_parameters: int
    num_buffers: int
    num_counters: int
    num_kept: int
    base: int = 0
    checksum: int = 0

    def pack(self) -> bytes:
        """Return the bytes of the header."""
        kinds = (KINDS.index(self.kind), KINDS.index(self.values), self.flags)
        counts = (self.num_parameters, self.num_buffers, self.num_counters, self.num_kept)
        return _FORMAT.pack(MAGIC, VERSION, *kinds, *counts, self.base, self.checksum)

    @property
    def layout(self) -> Layout:
        """The parts of parameters, buffers and counters, in this order."""
        if self.kind == "topk":
            places = sparse.layout(self.num_parameters, self.num_kept)
            parameters = (*places, *dense.layout(self.num_kept, self.values))
        else:
            parameters = dense.layout(self.num_parameters, self.kind)
        return (*parameters, *dense.layout(self.num_buffers, self.values), ("<i8", self.num_counters))


def _header(codec: Codec, num_parameters: int, num_buffers: int, num_counters: int, delta: bool) -> Header:
    kind = codec.kind if delta else codec.value_kind
    zstd = (_ZSTD | _SHUFFLE * codec.shuffle) if codec.zstd else 0
    return Header(
        kind=kind,
        values=codec.value_kind,
        flags=zstd | _DELTA * delta,
        num_parameters=num_parameters,
        num_buffers=num_buffers,
        num_counters=num_counters,
        num_kept=sparse.num_kept(num_parameters, codec.fraction or 1.0) if kind == "topk" else 0,
    )


def plain_nbytes(codec: Codec, model: ModelSize, *, delta: bool) -> int:
    """Return the bytes of a payload before zstd; ``delta`` says whether it is a difference."""
    header = _header(codec, model.num_parameters, model.num_buffers, model.num_counters, delta)
    return HEADER_NBYTES + dense.nbytes(header.layout)


def encode(model: Bundle, codec: Codec, *, base: Bundle | None = None, past: Bundle | None = None) -> bytes:
    """Return a model as it travels.

    Args:
        model: ``model``, ``buffers`` and ``counters`` of it travel.
        codec: the scenario's ``network.codec``.
        base: the model that the receiver adds a difference to; None: the whole model travels.
        past: what the difference is taken to instead, where what was left out before is not made up
            for: the sender's own last model.

    Raises:
        ValueError: ``base`` is another network's model.
    """
    floats, counters = _floats(model), _array(model, "counters", np.int64)
    header = _header(codec, len(floats[0]), len(floats[1]), len(counters), base is not None)
    if base is not None:
        header = replace(header, base=checksum_of(base))
        references = _floats(past or base)
        if [len(values) for values in references] != [len(values) for values in floats]:
            raise ValueError("a difference needs two models of the same network")
        floats = _differences(header, floats, references)
    parts = [*_encoded(header, floats), counters]
    body = b"".join(_bytes(part, shuffle=bool(header.flags & _SHUFFLE)) for part in parts)
    if header.flags & _ZSTD:
        body = zstandard.ZstdCompressor(level=codec.zstd).compress(body)
    return replace(header, checksum=zlib.crc32(body, zlib.crc32(header.pack()))).pack() + body


def decode(payload: bytes, *, base: Bundle | None = None) -> Bundle:
    """Return the model that a payload stands for: ``model``, ``buffers``, ``counters``.

    Args:
        payload: what :func:`encode` gave.
        base: the model that it was given, for a difference.

    Raises:
        DamagedPayload: a wrong checksum, another format, or a difference to another model.
    """
    header, body = _read(payload)
    if header.flags & _DELTA and (base is None or checksum_of(base) != header.base):
        raise DamagedPayload("it is a difference to a model that is not there")
    total = dense.nbytes(header.layout)
    if header.flags & _ZSTD:
        body = zstandard.ZstdDecompressor().decompress(body, max_output_size=total)
    if len(body) != total:
        raise DamagedPayload(f"{len(body)} bytes instead of {total}")
    parts = list(_parts(header, body))
    cut = len(parts) - 1 - len(dense.layout(header.num_buffers, header.values))
    buffers = dense.decode(parts[cut:-1], header.values)
    if header.kind == "topk":
        parameters = np.zeros(header.num_parameters, dtype=np.float32)
        places = sparse.unpack(parts[0], header.num_parameters)
        parameters[places] = dense.decode(parts[1:cut], header.values)
    else:
        parameters = dense.decode(parts[:cut], header.kind)
    if header.flags & _DELTA and base is not None:
        parameters, buffers = _sums(header, [parameters, buffers], _floats(base))
    return Bundle(arrays={"model": parameters, "buffers": buffers, "counters": parts[-1].astype(np.int64)})


def checksum_of(model: Bundle) -> int:
    """Return the CRC-32 of a model's values, by which both ends name it."""
    parameters, buffers = _floats(model)
    return zlib.crc32(buffers.data, zlib.crc32(parameters.data))


def _read(payload: bytes) -> tuple[Header, bytes]:
    """Split a payload whose checksum is right."""
    if len(payload) < HEADER_NBYTES:
        raise DamagedPayload(f"{len(payload)} bytes are less than a header")
    magic, version, kind, values, flags, *counts, base, checksum = _FORMAT.unpack_from(payload)
    if (magic, version) != (MAGIC, VERSION) or max(kind, values) >= len(KINDS):
        raise DamagedPayload(f"{payload[:4]!r} begins no payload of version {VERSION}")
    header = Header(
        kind=KINDS[kind],
        values=KINDS[values],
        flags=flags,
        num_parameters=counts[0],
        num_buffers=counts[1],
        num_counters=counts[2],
        num_kept=counts[3],
        base=base,
    )
    body = payload[HEADER_NBYTES:]
    unsigned = payload[: HEADER_NBYTES - 4] + bytes(4)
    if zlib.crc32(body, zlib.crc32(unsigned)) != checksum:
        raise DamagedPayload("the checksum is wrong")
    return header, body


def _array(model: Bundle, name: str, dtype: type) -> Array:
    found = model.arrays.get(name)
    return np.empty(0, dtype) if found is None else np.ascontiguousarray(found, dtype=dtype)


def _floats(model: Bundle) -> list[Array]:
    """Parameters and float buffers."""
    return [_array(model, name, np.float32) for name in ("model", "buffers")]


def _encoded(header: Header, floats: list[Array]) -> Iterator[Array]:
    parameters, buffers = floats
    if header.kind == "topk":
        places = sparse.largest(parameters, header.num_kept)
        yield sparse.pack(places, len(parameters))
        parameters = parameters[places]
    yield from dense.encode(parameters, header.values)
    yield from dense.encode(buffers, header.values)


def _bytes(part: Array, *, shuffle: bool) -> bytes:
    """A part's bytes; shuffled: all first bytes of its values, then all second ones, and so on."""
    raw = part.astype(part.dtype.newbyteorder("<"), copy=False)
    return (raw.view(np.uint8).reshape(-1, raw.itemsize).T if shuffle else raw).tobytes()


def _parts(header: Header, body: bytes) -> Iterator[Array]:
    start = 0
    for kind, count in header.layout:
        dtype = np.dtype(kind)
        raw = np.frombuffer(body, np.uint8, dtype.itemsize * count, start)
        if header.flags & _SHUFFLE:
            raw = np.ascontiguousarray(raw.reshape(dtype.itemsize, count).T).reshape(-1)
        yield raw.view(dtype)
        start += len(raw)


def _differences(header: Header, floats: list[Array], references: list[Array]) -> list[Array]:
    """What a difference codes of parameters and buffers."""
    if header.kind == "fp32":
        return [_xor(ours, other) for ours, other in zip(floats, references, strict=True)]
    with np.errstate(over="ignore", invalid="ignore"):  # too large for float32: infinite, made up for later
        differences = [ours - _finite(other) for ours, other in zip(floats, references, strict=True)]
    return [differences[0], floats[1]] if header.kind == "topk" else differences


def _sums(header: Header, floats: list[Array], base: list[Array]) -> list[Array]:
    """What the receiver makes of a difference."""
    if header.kind == "fp32":
        return [_xor(ours, other) for ours, other in zip(floats, base, strict=True)]
    with np.errstate(over="ignore", invalid="ignore"):
        sums: list[Array] = [_finite(other) + ours for ours, other in zip(floats, base, strict=True)]
    return [sums[0], floats[1]] if header.kind == "topk" else sums


def _xor(one: Array, other: Array) -> Array:
    return (one.view(np.uint32) ^ other.view(np.uint32)).view(np.float32)


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.float32(0))

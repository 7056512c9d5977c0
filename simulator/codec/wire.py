"""The payload: a header of 32 bytes and the coded arrays, read back from these bytes and their form.

The form, names, types and shapes of the arrays, belongs to the kind of message and is known at both
ends; the header names it by its checksum. Header, little-endian: ``MGP``, version, kind, kind of the
values, flags, a zero, the fraction that is kept (float64); then as uint32 the number of float values
and the checksums (CRC-32) of the form, of what a difference is to, and of the payload with this field
zero. Then, in one zstd frame if the flag says so, the arrays sorted by name: floats as their kind
codes them, all others as they are.

A difference is the exclusive or of the bits in fp32, hence lossless, and else the arithmetic
difference. Where what it is to is not finite, zero stands in for it, so that one NaN does not live
for ever. An array with less than a tenth of the values of the largest (running statistics) travels
whole under top-k and int8, and never as int8, whose steps could make a variance zero or negative.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import zstandard

from simulator.api import OPTIMIZER, Bundle
from simulator.codec import dense, sparse
from simulator.codec.dense import Array, Layout
from simulator.errors import DamagedPayload
from simulator.scenario.transmission import Codec

Form = tuple[tuple[str, str, tuple[int, ...]], ...]
"""Name, type and shape of all arrays that travel, sorted by name; floats are ``<f4``."""

MAGIC, VERSION = b"MGP", 2
KINDS = ("fp32", "fp16", "bf16", "int8", "topk")
_FLOAT = "<f4"
_ZSTD, _SHUFFLE, _DELTA = 1, 2, 4
_SMALL = 10  # times fewer values than the largest array: travels whole
_FORMAT = struct.Struct("<3sBBBBxdIIII")
HEADER_NBYTES = _FORMAT.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a payload says of itself; ``values`` is ``kind`` but for top-k."""

    kind: str
    values: str
    flags: int
    fraction: float
    num_values: int
    form: int
    base: int = 0
    checksum: int = 0

    @classmethod
    def of(cls, codec: Codec, form: Form, base: Mapping[str, Array] | None) -> "Header":
        """Return the header of a whole model, or of a difference to ``base``."""
        kind = codec.value_kind if base is None else codec.kind
        return cls(
            kind=kind,
            values=codec.value_kind,
            flags=(_ZSTD | _SHUFFLE * codec.shuffle if codec.zstd else 0) | _DELTA * (base is not None),
            fraction=(codec.fraction or 1.0) if kind == "topk" else 1.0,
            num_values=sum(prod(shape) for _, dtype, shape in form if dtype == _FLOAT),
            form=zlib.crc32(repr(form).encode()),
            base=0 if base is None else _checksum(base),
        )

    def pack(self) -> bytes:
        """Return the bytes of the header."""
        kinds = (KINDS.index(self.kind), KINDS.index(self.values), self.flags)
        sums = (self.form, self.base, self.checksum)
        return _FORMAT.pack(MAGIC, VERSION, *kinds, self.fraction, self.num_values, *sums)


def form_of(model: Bundle) -> Form:
    """Return the form of what travels of a model: all arrays but the optimizer's state."""
    return tuple(
        (name, _FLOAT if array.dtype.kind == "f" else array.dtype.newbyteorder("<").str, array.shape)
        for name, array in sorted(model.arrays.items())
        if not name.startswith(OPTIMIZER)
    )


def plain_nbytes(codec: Codec, counts: Sequence[int], num_counters: int, *, delta: bool) -> int:
    """Return the bytes of a payload before zstd.

    Args:
        codec: the scenario's ``network.codec``.
        counts: numbers of values of the float arrays.
        num_counters: integers, of 8 bytes each.
        delta: whether it is a difference.
    """
    kind = codec.kind if delta else codec.value_kind
    layouts = _layouts(counts, kind, codec.value_kind, codec.fraction or 1.0)
    return HEADER_NBYTES + sum(dense.nbytes(parts) for parts in layouts) + 8 * num_counters


def encode(model: Bundle, codec: Codec, *, base: Bundle | None = None, past: Bundle | None = None) -> bytes:
    """Return a model as it travels.

    Args:
        model: all of it travels but the optimizer's state.
        codec: the scenario's ``network.codec``.
        base: the model that the receiver adds a difference to; None: the whole model travels.
        past: what the difference is taken to instead, where what was left out before is not made up
            for: the sender's own last model.

    Raises:
        ValueError: ``base`` or ``past`` has other arrays.
    """
    form, floats = form_of(model), _floats(model)
    for other in (base, past):
        if other is not None and form_of(other) != form:
            raise ValueError("a difference needs two models of the same network")
    header = Header.of(codec, form, None if base is None else _floats(base))
    layouts = _layouts_of(form, header)
    if base is not None:
        floats = _differences(header, layouts, floats, _floats(past or base))
    parts: list[Array] = []
    for name, dtype, _ in form:
        is_float = dtype == _FLOAT
        parts += _encoded(floats[name], header, layouts[name]) if is_float else [model.arrays[name]]
    body = b"".join(_bytes(part, shuffle=bool(header.flags & _SHUFFLE)) for part in parts)
    if header.flags & _ZSTD:
        body = zstandard.ZstdCompressor(level=codec.zstd).compress(body)
    return replace(header, checksum=zlib.crc32(body, zlib.crc32(header.pack()))).pack() + body


def decode(payload: bytes, form: Form, *, base: Bundle | None = None) -> Bundle:
    """Return the model that a payload stands for.

    Args:
        payload: what :func:`encode` gave.
        form: of the model, see :func:`form_of`.
        base: the model that the encoder was given, for a difference.

    Raises:
        DamagedPayload: a wrong checksum, another format or form, or a difference to another model.
    """
    header, body = _read(payload, form)
    references = {} if base is None else _floats(base)
    if header.flags & _DELTA and (base is None or _checksum(references) != header.base):
        raise DamagedPayload("it is a difference to a model that is not there")
    layouts = _layouts_of(form, header)
    total = sum(dense.nbytes(parts) for parts in layouts.values())
    if header.flags & _ZSTD:
        body = zstandard.ZstdDecompressor().decompress(body, max_output_size=total)
    if len(body) != total:
        raise DamagedPayload(f"{len(body)} bytes instead of {total}")
    arrays, start = {}, 0
    for name, dtype, shape in form:
        end = start + dense.nbytes(layouts[name])
        parts = _parts(body[start:end], layouts[name], shuffled=bool(header.flags & _SHUFFLE))
        found = _decoded(parts, prod(shape), header, layouts[name]) if dtype == _FLOAT else parts[0]
        arrays[name], start = found, end
    if header.flags & _DELTA:
        arrays |= _sums(header, layouts, arrays, references)
    return Bundle(arrays={name: arrays[name].reshape(shape) for name, _, shape in form})


# -- header -------------------------------------------------------------------------------------------


def _read(payload: bytes, form: Form) -> tuple[Header, bytes]:
    """Split a payload whose checksum is right."""
    if len(payload) < HEADER_NBYTES:
        raise DamagedPayload(f"{len(payload)} bytes are less than a header")
    magic, version, kind, values, flags, fraction, num_values, *sums = _FORMAT.unpack_from(payload)
    if (magic, version) != (MAGIC, VERSION) or max(kind, values) >= len(KINDS):
        raise DamagedPayload(f"{payload[:4]!r} begins no payload of version {VERSION}")
    body, unsigned = payload[HEADER_NBYTES:], payload[: HEADER_NBYTES - 4] + bytes(4)
    if zlib.crc32(body, zlib.crc32(unsigned)) != sums[2]:
        raise DamagedPayload("the checksum is wrong")
    header = Header(
        kind=KINDS[kind], values=KINDS[values], flags=flags, fraction=fraction, num_values=num_values,
        form=sums[0], base=sums[1], checksum=sums[2],
    )  # fmt: skip
    if header.form != zlib.crc32(repr(form).encode()):
        raise DamagedPayload("it has other arrays than were expected")
    return header, body


def _layouts(counts: Sequence[int], kind: str, values: str, fraction: float) -> list[Layout]:
    """The parts of float arrays, given the numbers of their values."""
    layouts: list[Layout] = []
    for count in counts:
        kept = sparse.num_kept(count, fraction)
        if _SMALL * count < max(counts) or not count:
            layouts.append(dense.layout(count, "fp32" if values == "int8" else values))
        elif kind != "topk":
            layouts.append(dense.layout(count, kind))
        else:
            layouts.append((*sparse.layout(count, kept), *dense.layout(kept, values)))
    return layouts


def _layouts_of(form: Form, header: Header) -> dict[str, Layout]:
    """The parts of every array."""
    names = [name for name, dtype, _ in form if dtype == _FLOAT]
    counts = [prod(shape) for _, dtype, shape in form if dtype == _FLOAT]
    floats = zip(names, _layouts(counts, header.kind, header.values, header.fraction), strict=True)
    others = {name: ((dtype, prod(shape)),) for name, dtype, shape in form if dtype != _FLOAT}
    return {**dict(floats), **others}


# -- arrays -------------------------------------------------------------------------------------------


def _floats(model: Bundle) -> dict[str, Array]:
    """Float arrays that travel, flat, by name."""
    return {
        name: np.ascontiguousarray(model.arrays[name], dtype=_FLOAT).reshape(-1)
        for name, dtype, _ in form_of(model)
        if dtype == _FLOAT
    }


def _checksum(floats: Mapping[str, Array]) -> int:
    """The CRC-32 of a model's values, by which both ends name it."""
    found = 0
    for _, array in sorted(floats.items()):
        found = zlib.crc32(array.data, found)
    return found


def _is_sparse(header: Header, layout: Layout) -> bool:
    return header.kind == "topk" and len(layout) > len(dense.layout(0, header.values))


def _dense_kind(header: Header, layout: Layout) -> str:
    """How the values of an array are coded of which none is left out."""
    return "fp32" if layout == dense.layout(layout[0][1], "fp32") else header.values


def _encoded(values: Array, header: Header, layout: Layout) -> list[Array]:
    if not _is_sparse(header, layout):
        return dense.encode(values, _dense_kind(header, layout))
    places = sparse.largest(values, sparse.num_kept(len(values), header.fraction))
    return [sparse.pack(places, len(values)), *dense.encode(values[places], header.values)]


def _decoded(parts: Sequence[Array], count: int, header: Header, layout: Layout) -> Array:
    if not _is_sparse(header, layout):
        return dense.decode(parts, _dense_kind(header, layout))
    values = np.zeros(count, dtype=np.float32)
    values[sparse.unpack(parts[0], count)] = dense.decode(parts[1:], header.values)
    return values


def _bytes(part: Array, *, shuffle: bool) -> bytes:
    """A part's bytes; shuffled: all first bytes of its values, then all second ones, and so on."""
    raw = np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("<")).reshape(-1)
    return (raw.view(np.uint8).reshape(-1, raw.itemsize).T if shuffle else raw).tobytes()


def _parts(body: bytes, layout: Layout, *, shuffled: bool) -> list[Array]:
    parts, start = [], 0
    for kind, count in layout:
        dtype = np.dtype(kind)
        raw = np.frombuffer(body, np.uint8, dtype.itemsize * count, start)
        start += len(raw)
        if shuffled:
            raw = np.ascontiguousarray(raw.reshape(dtype.itemsize, count).T).reshape(-1)
        parts.append(raw.view(dtype))
    return parts


# -- differences --------------------------------------------------------------------------------------


def _differences(
    header: Header, layouts: Mapping[str, Layout], floats: Mapping[str, Array], others: Mapping[str, Array]
) -> dict[str, Array]:
    """What a difference codes of each float array."""
    with np.errstate(over="ignore", invalid="ignore"):  # too large for float32: infinite, and made up for
        return {
            name: _xor(ours, others[name])
            if header.kind == "fp32"
            else ours - (0 if _travels_whole(header, layouts[name]) else _finite(others[name]))
            for name, ours in floats.items()
        }


def _sums(
    header: Header, layouts: Mapping[str, Layout], arrays: Mapping[str, Array], base: Mapping[str, Array]
) -> dict[str, Array]:
    """What the receiver makes of a difference."""
    with np.errstate(over="ignore", invalid="ignore"):
        return {
            name: _xor(arrays[name], other)
            if header.kind == "fp32"
            else arrays[name] + (0 if _travels_whole(header, layouts[name]) else _finite(other))
            for name, other in base.items()
        }


def _travels_whole(header: Header, layout: Layout) -> bool:
    if header.kind == "int8":
        return _dense_kind(header, layout) == "fp32"
    return header.kind == "topk" and not _is_sparse(header, layout)


def _xor(one: Array, other: Array) -> Array:
    return (one.view(np.uint32) ^ other.view(np.uint32)).view(np.float32)


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.float32(0))

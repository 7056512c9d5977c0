"""Payloads are read back from their bytes alone, and what is wrong with them is found."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.api import Bundle, ModelSize
from simulator.codec.wire import HEADER_NBYTES, checksum_of, decode, encode, plain_nbytes
from simulator.errors import DamagedPayload
from simulator.scenario.schema import Codec

PACKINGS = [{}, {"zstd": 3}, {"zstd": 1, "shuffle": False}]
any_floats = arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32))


def model(parameters, buffers=(), counters=(3, 4)):
    arrays = {"model": np.array(parameters, np.float32), "buffers": np.array(buffers, np.float32)}
    return Bundle(arrays=arrays | {"counters": np.array(counters, np.int64), "optimizer.m": np.ones(5)})


def random(seed, num_parameters=5000, num_buffers=30):
    rng = np.random.default_rng(seed)
    return model(rng.normal(size=num_parameters), rng.normal(size=num_buffers))


def moved(start, seed, by=0.01):
    step = random(seed, len(start.arrays["model"]), len(start.arrays["buffers"]))
    return model(*(start.arrays[name] + by * step.arrays[name] for name in ("model", "buffers")))


def same_bits(one, other):
    return all(one.arrays[name].tobytes() == other.arrays[name].tobytes() for name in one.arrays)


def error(one, other, name="model"):
    return float(np.abs(one.arrays[name] - other.arrays[name]).max())


def test_the_header_says_what_follows():
    """Four parameters, no buffer and one counter in fp16: 32 + 8 + 8 bytes."""
    payload = encode(model([1, 2, 3, 4], counters=[7]), Codec(kind="fp16"))
    assert len(payload) == 48
    assert struct.unpack_from("<3sBBBBBIIIII", payload) == (b"MGP", 1, 1, 1, 0, 0, 4, 0, 1, 0, 0)
    assert payload[HEADER_NBYTES:] == struct.pack("<4eq", 1, 2, 3, 4, 7)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", ["fp32", "fp16", "bf16", "int8"])
def test_packing_changes_the_size_alone(kind, packing):
    sent = random(1)
    plain, packed = encode(sent, Codec(kind=kind)), encode(sent, Codec(kind=kind, **packing))
    assert len(packed) <= len(plain)
    assert same_bits(decode(packed), decode(plain))
    assert set(decode(packed).arrays) == {"model", "buffers", "counters"}
    assert decode(packed).arrays["counters"].tolist() == [3, 4]
    assert error(decode(packed), sent) <= {"fp32": 0, "fp16": 0.002, "bf16": 0.02, "int8": 0.02}[kind]


@given(any_floats, any_floats, st.sampled_from(PACKINGS))
def test_fp32_and_its_difference_are_lossless_for_all_bits(parameters, buffers, packing):
    sent, codec = model(parameters, buffers), Codec(kind="fp32", delta=True, **packing)
    base = model(parameters[::-1] * np.float32(0.5), buffers[::-1])
    for one in (None, base):
        got = decode(encode(sent, codec, base=one), base=one)
        assert same_bits(got, decode(encode(sent, Codec())))
        assert got.arrays["model"].tobytes() == parameters.tobytes()


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", ["fp16", "bf16", "int8"])
def test_a_difference_of_small_steps_is_nearer_than_the_model(kind, packing):
    base = decode(encode(random(1), Codec(kind=kind)))
    sent, codec = moved(base, 2), Codec(kind=kind, delta=True, **packing)
    for name in ("model", "buffers"):
        near = error(decode(encode(sent, codec, base=base), base=base), sent, name)
        far = error(decode(encode(sent, Codec(kind=kind))), sent, name)
        assert near < 0.05 * far


def test_top_k_sends_the_largest_changes_and_all_buffers():
    base = model([0, 10, 20, 30], [1, 2])
    sent = model([0.5, 10, 23, 28], [3, 4], counters=[9, 9])
    codec = Codec(kind="topk", fraction=0.5)
    payload = encode(sent, codec, base=base)
    got = decode(payload, base=base).arrays
    assert got["model"].tolist() == [0, 10, 23, 28]
    assert got["buffers"].tolist() == [3, 4]
    assert got["counters"].tolist() == [9, 9]
    # header, one byte of bitmap, two values, two buffers, two counters
    assert len(payload) == 32 + 1 + 8 + 8 + 16
    whole = decode(encode(sent, codec))
    assert whole.arrays["model"].tolist() == [0.5, 10, 23, 28]


@pytest.mark.parametrize("codec", [
    *(Codec(kind=kind, delta=delta) for kind in ("fp32", "fp16", "bf16", "int8") for delta in (False, True)),
    *(Codec(kind="topk", fraction=f, values=v) for f in (0.01, 0.1, 1) for v in (None, "fp16", "int8")),
])  # fmt: skip
@pytest.mark.parametrize("counts", [(9000, 0), (4095, 1), (1, 0), (0, 0)])
def test_the_size_is_known_before_the_values(codec, counts):
    size = ModelSize(num_parameters=counts[0], num_buffers=counts[1], num_counters=2, forward_flop=1.0)
    first = random(1, *counts)
    assert len(encode(first, codec)) == plain_nbytes(codec, size, delta=False)
    if codec.uses_delta:
        second = encode(moved(first, 2), codec, base=first)
        assert len(second) == plain_nbytes(codec, size, delta=True)


@pytest.mark.parametrize("codec", [Codec(kind="topk", fraction=0.5), Codec(kind="fp16", delta=True)])
def test_what_is_not_finite_arrives_and_goes_away_again(codec):
    base = model([1, 2, 3, 4], [5])
    broken = model([np.nan, np.inf, 3, 4], [np.nan])
    got = decode(encode(broken, codec, base=base), base=base)
    assert np.isnan(got.arrays["model"][0])
    assert np.isinf(got.arrays["model"][1])
    healed = decode(encode(base, codec, base=got), base=got)
    assert healed.arrays["model"].tolist() == [1, 2, 3, 4]
    assert healed.arrays["buffers"].tolist() == [5]


def test_error_feedback_is_the_memory_of_sparsified_sgd():
    """Stich et al. 2018: send top-k of memory plus update, keep the rest as memory. The difference to
    the receiver's model is that sum. With it every update arrives in the end; without, most is lost.
    """
    codec, rng = Codec(kind="topk", fraction=0.1), np.random.default_rng(3)
    start = np.round(rng.normal(size=200), 2)
    own = past = model(start)
    received = forgetful = model(start)
    memory = np.zeros(200)
    for turn in range(60):
        update = rng.normal(size=200) * (turn < 20)
        own = model(own.arrays["model"] + update.astype(np.float32))
        before = received.arrays["model"]
        received = decode(encode(own, codec, base=received), base=received)
        forgetful = decode(encode(own, codec, base=forgetful, past=past), base=forgetful)
        wanted = memory + update
        chosen = np.argsort(-np.abs(wanted))[:20]
        sent = np.zeros(200)
        sent[chosen] = wanted[chosen]
        memory = wanted - sent
        assert received.arrays["model"] - before == pytest.approx(sent, abs=1e-5)
        past = own
    assert error(received, own) < 1e-5
    assert error(forgetful, own) > 1


@pytest.mark.parametrize("codec", [Codec(), Codec(kind="int8", zstd=3)])
def test_every_flipped_bit_is_found(codec):
    payload = encode(random(1, 20, 2), codec)
    for place in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(DamagedPayload):
            decode(bytes(damaged))
    for cut in (0, 5, HEADER_NBYTES, len(payload) - 1):
        with pytest.raises(DamagedPayload):
            decode(payload[:cut])


def test_a_difference_is_read_by_the_one_who_has_the_other_model():
    first, other = random(1), random(2)
    payload = encode(random(3), Codec(kind="int8", delta=True), base=first)
    assert checksum_of(first) != checksum_of(other)
    for wrong in (None, other):
        with pytest.raises(DamagedPayload, match="difference to a model"):
            decode(payload, base=wrong)
    with pytest.raises(ValueError, match="same network"):
        encode(first, Codec(delta=True), base=random(1, 10))

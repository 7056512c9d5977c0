"""Payloads are read back from their bytes alone, and what is wrong with them is found."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.api import Bundle
from simulator.codec.wire import HEADER_NBYTES, encode, form_of, plain_nbytes
from simulator.codec.wire import decode as decode_form
from simulator.errors import DamagedPayload
from simulator.scenario.transmission import Codec

PACKINGS = [{}, {"zstd": 3}, {"zstd": 1, "shuffle": False}]
any_floats = arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32))


def model(parameters, buffers=(), counters=(3, 4)):
    arrays = {"model": np.array(parameters, np.float32), "buffers": np.array(buffers, np.float32)}
    return Bundle(arrays=arrays | {"counters": np.array(counters, np.int64), "optimizer.m": np.ones(5)})


def random(seed, num_parameters=5000, num_buffers=30):
    rng = np.random.default_rng(seed)
    return model(rng.normal(size=num_parameters), rng.normal(size=num_buffers))


FORMS = [form_of(random(1)), form_of(random(1, 20, 2))]


def decode(payload, form=None, *, base=None):
    """Decode what has the form of ``base``, or one of the forms of this file."""
    return decode_form(payload, form or (form_of(base) if base else FORMS[0]), base=base)


def moved(start, seed, by=0.01):
    step = random(seed, len(start.arrays["model"]), len(start.arrays["buffers"]))
    return model(*(start.arrays[name] + by * step.arrays[name] for name in ("model", "buffers")))


def same_bits(one, other):
    return all(one.arrays[name].tobytes() == other.arrays[name].tobytes() for name in one.arrays)


def error(one, other, name="model"):
    return float(np.abs(one.arrays[name] - other.arrays[name]).max())


def test_the_header_says_what_follows():
    """One counter, no buffer, and four parameters in fp16: 32 + 8 + 8 bytes."""
    payload = encode(model([1, 2, 3, 4], counters=[7]), Codec(kind="fp16"))
    assert len(payload) == 48
    found = struct.unpack_from("<3sBBBBBdI", payload)
    assert found == (b"MGP", 2, 1, 1, 0, 0, 1.0, 4)
    assert payload[HEADER_NBYTES:] == struct.pack("<q4e", 7, 1, 2, 3, 4)


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


@pytest.mark.parametrize(
    "settings", [{"kind": "int8", "delta": True}, {"kind": "topk", "fraction": 0.1, "values": "int8"}]
)
def test_int8_leaves_running_statistics_as_they_are(settings):
    """Steps of the mean, which falls by 10, are .08: a variance of .05 would become negative."""
    codec = Codec(**settings)
    base, sent = random(1, 5000, 2), random(2, 5000, 2)
    base.arrays["buffers"][:], sent.arrays["buffers"][:] = [10.0, 0.05], [0.0, 0.004]
    whole = decode_form(encode(sent, codec), form_of(sent))
    assert whole.arrays["buffers"].tolist() == sent.arrays["buffers"].tolist()
    payload = encode(sent, codec, base=base)
    got = decode_form(payload, form_of(sent), base=base)
    assert got.arrays["buffers"].tolist() == sent.arrays["buffers"].tolist()
    assert not np.array_equal(got.arrays["model"], sent.arrays["model"])
    assert len(payload) == plain_nbytes(codec, [2, 5000], 2, delta=True)


@given(any_floats, any_floats, st.sampled_from(PACKINGS))
def test_fp32_and_its_difference_are_lossless_for_all_bits(parameters, buffers, packing):
    sent, codec = model(parameters, buffers), Codec(kind="fp32", delta=True, **packing)
    base = model(parameters[::-1] * np.float32(0.5), buffers[::-1])
    for one in (None, base):
        form = form_of(sent)
        got = decode(encode(sent, codec, base=one), form, base=one)
        assert same_bits(got, decode(encode(sent, Codec()), form))
        assert got.arrays["model"].tobytes() == parameters.tobytes()


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", ["fp16", "bf16", "int8"])
def test_a_difference_of_small_steps_is_nearer_than_the_model(kind, packing):
    base = decode(encode(random(1), Codec(kind=kind)))
    sent, codec = moved(base, 2), Codec(kind=kind, delta=True, **packing)
    for name in ("model", "buffers"):
        near = error(decode(encode(sent, codec, base=base), base=base), sent, name)
        far = error(decode(encode(sent, Codec(kind=kind))), sent, name)
        assert near < 0.05 * far or (kind == "int8" and name == "buffers" and near == far == 0)


def test_top_k_sends_the_largest_changes_and_all_of_small_arrays():
    base, sent = random(1, 40, 3), random(1, 40, 3)
    sent.arrays["model"][[4, 7, 30]] += [3, -2, 0.1]
    sent.arrays["buffers"][:] += [1, 2, 3]
    codec = Codec(kind="topk", fraction=0.05)
    payload = encode(sent, codec, base=base)
    got = decode(payload, base=base).arrays
    wanted = base.arrays["model"].copy()
    wanted[[4, 7]] = sent.arrays["model"][[4, 7]]
    assert got["model"] == pytest.approx(wanted, abs=1e-6)
    assert got["buffers"].tolist() == sent.arrays["buffers"].tolist()
    assert got["counters"].tolist() == [3, 4]
    # header, 40 bits of places, two values, three buffers, two counters
    assert len(payload) == 32 + 5 + 8 + 12 + 16
    assert same_bits(decode(encode(sent, codec), form_of(sent)), decode(encode(sent, Codec()), form_of(sent)))


def test_arrays_of_any_name_type_and_shape_travel():
    arrays = {
        "a.variate": np.arange(6, dtype=np.float64).reshape(2, 3), "flags": np.array([True, False]),
        "model": np.arange(4, dtype=np.float32), "scalar": np.array(3, dtype=np.int32),
    }  # fmt: skip
    sent = Bundle(arrays=arrays | {"optimizer.m": np.ones(5)}, meta={"n": 1})
    for packing in PACKINGS:
        got = decode(encode(sent, Codec(**packing)), form_of(sent)).arrays
        assert set(got) == set(arrays)
        assert all(np.array_equal(got[name], array) for name, array in arrays.items())
        assert [got[name].shape for name in arrays] == [(2, 3), (2,), (4,), ()]
        assert [str(got[name].dtype) for name in arrays] == ["float32", "bool", "float32", "int32"]


@pytest.mark.parametrize("codec", [
    *(Codec(kind=kind, delta=delta) for kind in ("fp32", "fp16", "bf16", "int8") for delta in (False, True)),
    *(Codec(kind="topk", fraction=f, values=v) for f in (0.01, 0.1, 1) for v in (None, "fp16", "int8")),
])  # fmt: skip
@pytest.mark.parametrize("counts", [(9000, 0), (4095, 1), (1, 0), (0, 0)])
def test_the_size_is_known_before_the_values(codec, counts):
    first = random(1, *counts)
    assert len(encode(first, codec)) == plain_nbytes(codec, counts, 2, delta=False)
    if codec.uses_delta:
        second = encode(moved(first, 2), codec, base=first)
        assert len(second) == plain_nbytes(codec, counts, 2, delta=True)


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
            decode(bytes(damaged), FORMS[1])
    for cut in (0, 5, HEADER_NBYTES, len(payload) - 1):
        with pytest.raises(DamagedPayload):
            decode(payload[:cut], FORMS[1])
    with pytest.raises(DamagedPayload, match="other arrays"):
        decode(payload, FORMS[0])


def test_a_difference_is_read_by_the_one_who_has_the_other_model():
    first, other = random(1), random(2)
    payload = encode(random(3), Codec(kind="int8", delta=True), base=first)
    for wrong in (None, other):
        with pytest.raises(DamagedPayload, match="difference to a model"):
            decode(payload, FORMS[0], base=wrong)
    with pytest.raises(ValueError, match="same network"):
        encode(first, Codec(delta=True), base=random(1, 10))

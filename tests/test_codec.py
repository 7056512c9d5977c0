import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.api import Bundle
from simulator.codec import BLOCK, encode, encoded_nbytes, transmit

vectors = arrays(
    np.float32,
    st.integers(1, 300),
    elements=st.floats(-60000, 60000, width=32, allow_nan=False, allow_subnormal=False),
)


@given(vectors)
def test_fp32_is_lossless(values):
    _, decode = encode(values, "fp32")
    assert np.array_equal(decode(), values)


@given(vectors)
def test_half_precisions_round_within_half_a_unit(values):
    # fp16 keeps 11 significant bits (and subnormals down to 2^-24), bf16 keeps 8
    for kind, relative, absolute in [("fp16", 2.0**-11, 2.0**-25), ("bf16", 2.0**-8, 0.0)]:
        _, decode = encode(values, kind)
        assert np.all(np.abs(decode() - values) <= relative * np.abs(values) + absolute)


@given(vectors)
def test_int8_error_is_at_most_half_a_step_of_its_block(values):
    _, decode = encode(values, "int8")
    step = np.abs(values).max() / 127
    assert np.all(np.abs(decode() - values) <= 0.5 * step * (1 + 1e-5))


def test_int8_scales_each_block_on_its_own():
    values = np.ones(2 * BLOCK, dtype=np.float32)
    values[BLOCK:] = 1e-6
    _, decode = encode(values, "int8")
    assert np.allclose(decode(), values, rtol=1e-6)


def test_bf16_rounds_to_nearest_even_and_keeps_nan():
    # 1 + 2^-8 lies midway between 1 and 1 + 2^-7: even is 1; 1 + 3 * 2^-8 goes up to 1 + 2^-6
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, np.nan, np.inf], dtype=np.float32)
    _, decode = encode(values, "bf16")
    got = decode()
    assert got[0] == 1.0
    assert got[1] == 1 + 2**-6
    assert np.isnan(got[2])
    assert got[3] == np.inf


@pytest.mark.parametrize("kind", ["fp32", "fp16", "bf16", "int8"])
def test_declared_size_is_the_real_size(kind):
    values = np.linspace(-1, 1, 2 * BLOCK + 7, dtype=np.float32)
    parts, _ = encode(values, kind)
    assert encoded_nbytes(len(values), kind) == sum(part.nbytes for part in parts)


def test_compression_changes_the_size_and_not_the_values():
    rng = np.random.default_rng(0)
    model = Bundle(arrays={"model": rng.normal(size=5000).astype(np.float32), "optimizer.m": np.ones(5)})
    plain = transmit(None, model, kind="bf16", zstd=0)
    small = transmit(None, model, kind="bf16", zstd=3)
    assert small.meta["nbytes"] < plain.meta["nbytes"] == 10000
    assert np.array_equal(plain.arrays["model"], small.arrays["model"])
    assert "optimizer.m" not in plain.arrays

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.codec.dense import BLOCK, decode, encode, layout, nbytes

vectors = arrays(
    np.float32,
    st.integers(1, 300),
    elements=st.floats(-60000, 60000, width=32, allow_nan=False, allow_subnormal=False),
)


def there_and_back(values, kind):
    return decode(encode(values, kind), kind)


@given(vectors)
def test_fp32_is_lossless(values):
    assert np.array_equal(there_and_back(values, "fp32"), values)


@given(vectors)
def test_half_precisions_round_within_half_a_unit(values):
    # fp16 keeps 11 significant bits (and subnormals down to 2^-24), bf16 keeps 8
    for kind, relative, absolute in [("fp16", 2.0**-11, 2.0**-25), ("bf16", 2.0**-8, 0.0)]:
        error = np.abs(there_and_back(values, kind) - values)
        assert np.all(error <= relative * np.abs(values) + absolute)


@given(vectors)
def test_int8_error_is_at_most_half_a_step_of_its_block(values):
    step = np.abs(values).max() / 127
    assert np.all(np.abs(there_and_back(values, "int8") - values) <= 0.5 * step * (1 + 1e-5))


def test_int8_scales_each_block_on_its_own():
    values = np.ones(2 * BLOCK, dtype=np.float32)
    values[BLOCK:] = 1e-6
    assert np.allclose(there_and_back(values, "int8"), values, rtol=1e-6)


def test_bf16_rounds_to_nearest_even():
    # 1 + 2^-8 lies midway between 1 and 1 + 2^-7: even is 1; 1 + 3 * 2^-8 goes up to 1 + 2^-6
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8], dtype=np.float32)
    assert there_and_back(values, "bf16").tolist() == [1.0, 1 + 2**-6]


@pytest.mark.parametrize("kind", ["fp32", "fp16", "bf16", "int8"])
def test_what_is_not_finite_stays_so(kind):
    got = there_and_back(np.array([np.nan, np.inf, -np.inf, 1.0], dtype=np.float32), kind)
    if kind == "int8":  # the block's scale is not finite, and so is all of the block
        assert not np.isfinite(got).any()
    else:
        assert np.array_equal(got, np.array([np.nan, np.inf, -np.inf, 1.0]), equal_nan=True)


@pytest.mark.parametrize("kind", ["fp32", "fp16", "bf16", "int8"])
@pytest.mark.parametrize("count", [0, 1, BLOCK, BLOCK + 1])
def test_the_layout_is_that_of_the_parts(kind, count):
    parts = encode(np.ones(count, dtype=np.float32), kind)
    assert [(part.dtype.str.lstrip("|"), len(part)) for part in parts] == list(layout(count, kind))
    assert nbytes(layout(count, kind)) == sum(part.nbytes for part in parts)
    assert len(decode(parts, kind)) == count

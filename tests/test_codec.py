import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.api import Bundle
from simulator.codec import BLOCK, encode, encoded_nbytes, measure, transmit
from tests.support import run

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


def made(num_parameters, num_buffers):
    rng = np.random.default_rng(0)
    arrays = {"model": rng.normal(size=num_parameters), "buffers": rng.normal(size=num_buffers)}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    return Bundle(arrays=arrays | {"counters": np.arange(3), "optimizer.m": np.ones(5)})


@pytest.mark.parametrize("kind", ["fp32", "fp16", "bf16", "int8"])
@pytest.mark.parametrize("counts", [(2 * BLOCK + 7, 0), (BLOCK - 1, 1), (BLOCK + 1, BLOCK + 1)])
def test_declared_size_is_the_real_size(kind, counts):
    real = measure(None, made(*counts), kind=kind, zstd=0).meta["nbytes"]
    assert encoded_nbytes(counts, kind) == real


@pytest.mark.parametrize("kind", ["fp32", "fp16", "bf16", "int8"])
def test_a_received_model_is_a_model_alone(kind):
    sent = made(5000, 30)
    got = transmit(None, sent, kind=kind).arrays
    assert set(got) == {"model", "buffers", "counters"}
    assert np.allclose(got["model"], sent.arrays["model"], atol=0.02)
    assert np.array_equal(got["counters"], sent.arrays["counters"])


def test_compression_makes_it_smaller():
    sizes = [measure(None, made(5000, 0), kind="bf16", zstd=level).meta["nbytes"] for level in (0, 3)]
    assert sizes[1] < sizes[0] == 10000


def learned(tmp_path, algorithm, *overrides):
    """Keys of the work of a planned run but for measuring."""
    result = run(tmp_path, f"algorithm: {{name: {algorithm}, rounds: 2}}\n", *overrides)
    return {row[2] for row in result.world.work}, result


@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_compression_retrains_nothing(tmp_path, kind):
    plain, one = learned(tmp_path, "fedavg", f"network.codec.kind={kind}")
    packed, other = learned(tmp_path, "fedavg", f"network.codec.kind={kind}", "network.codec.zstd=3")
    assert plain == packed
    assert one.world.keys < other.world.keys


def test_fedavg_and_local_share_their_first_epochs(tmp_path):
    first = []
    for algorithm in ("fedavg", "local"):
        _, result = learned(tmp_path, algorithm)
        first.append({row[0]: row[2] for row in reversed(result.world.work) if row[1] == "train"})
    assert first[0] == first[1]
    assert set(first[0]) == {"a", "b", "c"}

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from algorithms.mixing import mean, mix, weighted_mean
from simulator.api import Bundle
from tests.algorithms.math.toy_problem import local_steps
from tests.vectors import close, load


def model(value, **more):
    arrays_ = {
        "model": np.array([value, -value, 2 * value], dtype=np.float32),
        "buffers": np.array([value + 1], dtype=np.float32),
        "counters": np.array([int(value)], dtype=np.int64),
    }
    return Bundle(arrays=arrays_ | more)


def test_fedavg_rounds_match_their_vector():
    vector = load("fedavg_rounds")
    cases = np.array(vector["inputs"]["num_cases"], dtype=float)
    weights = (cases / cases.sum()).tolist()
    server = np.array(vector["inputs"]["x0"])
    for round_ in vector["expected"]["rounds"]:
        local = [local_steps(vector, site, server) for site in range(len(cases))]
        close(local, round_["local"], vector)
        server = weighted_mean(local, weights)
        close(server, round_["server"], vector)


def test_the_mean_covers_buffers_and_takes_counters_from_the_first():
    result = mean(None, model(1.0), model(3.0, **{"optimizer.step": np.ones(1)}), weights=[0.25, 0.75])
    assert set(result.arrays) == {"model", "buffers", "counters"}
    assert result.arrays["model"].tolist() == [2.5, -2.5, 5.0]
    assert result.arrays["buffers"].tolist() == [3.5]
    assert result.arrays["counters"].tolist() == [1]
    assert [result.arrays[name].dtype for name in result.arrays] == [np.float32, np.float32, np.int64]


def test_mixing_keeps_the_local_optimizer():
    local = model(1.0, **{"optimizer.step": np.array([5])})
    incoming = model(3.0, **{"optimizer.step": np.array([9])})
    result = mix(None, local, incoming, weights=[0.5, 0.5])
    assert result.arrays["optimizer.step"].tolist() == [5]
    assert result.arrays["model"].tolist() == [2.0, -2.0, 4.0]


@given(arrays(np.float32, 6, elements=st.floats(width=32, allow_nan=False)))
@settings(deadline=None)  # a busy machine is no failure
def test_a_weight_of_one_is_bit_identical(values):
    other = np.full(6, np.nan, dtype=np.float32)
    for result in (weighted_mean([values, other], [1.0, 0.0]), weighted_mean([other, values], [0.0, 1.0])):
        assert result.tobytes() == values.tobytes()
        assert result is not values


def test_sums_are_made_in_float64():
    values = [np.array([x], dtype=np.float32) for x in (1e8, 1.0, -1e8)]
    assert weighted_mean(values, [1 / 3] * 3)[0] == pytest.approx(1 / 3, rel=1e-6)


@pytest.mark.parametrize("weights", [[0.5, 0.6], [1.5, -0.5]])
def test_weights_that_are_no_shares_are_refused(weights):
    with pytest.raises(ValueError, match="shares that sum to 1"):
        mean(None, model(1.0), model(2.0), weights=weights)


def test_models_of_different_networks_have_no_mean():
    with pytest.raises(ValueError, match="models of 2 and 3 values have no mean"):
        weighted_mean([np.zeros(3), np.zeros(2)], [0.5, 0.5])
    with pytest.raises(ValueError, match="zip"):
        weighted_mean([np.zeros(3)], [0.5, 0.5])

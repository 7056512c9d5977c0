import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.codec.sparse import largest, layout, num_kept, pack, unpack


def floats(values):
    return np.array(values, dtype=np.float32)


@given(arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32)), st.integers(0, 70))
def test_no_value_that_is_left_out_is_larger_than_one_that_is_kept(values, kept):
    places = largest(values, kept)
    assert len(places) == min(kept, len(values))
    assert list(places) == sorted(set(places))
    magnitudes = np.where(np.isnan(values), np.inf, np.abs(values))
    left = np.delete(magnitudes, places)
    assert not len(left) or not len(places) or magnitudes[places].min() >= left.max()


def test_of_equal_magnitudes_the_first_are_kept_and_nan_before_all():
    assert largest(floats([1, -2, 2, 0, 2, np.nan]), 3).tolist() == [1, 2, 5]


@pytest.mark.parametrize(("count", "kept", "kind"), [(1000, 31, "<u4"), (1000, 32, "u1"), (7, 1, "u1")])
def test_places_travel_as_what_is_smaller(count, kept, kind):
    ((found, length),) = layout(count, kept)
    assert found == kind
    places = np.sort(np.random.default_rng(kept).choice(count, kept, replace=False))
    part = pack(places, count)
    assert len(part) == length
    assert unpack(part, count).tolist() == places.tolist()


def test_a_fraction_keeps_the_nearest_number_and_at_least_one():
    counts = [(0, 0.5), (10, 0.01), (100, 0.07), (1000, 0.0155), (5, 1.0)]
    assert [num_kept(*one) for one in counts] == [0, 1, 7, 16, 5]

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import load_file

from simulator.api import Bundle
from simulator.work.blobs import Damaged, pieces, read

KINDS = ["f8", "i8", "u8", "f4", "i4", "u4", "f2", "i2", "u2", "i1", "u1", "?"]


def write(path, bundle):
    path.write_bytes(b"".join(bytes(piece) for piece in pieces(bundle)))
    return path


def labels():
    found = np.zeros((3, 4, 64, 64), dtype=np.uint8)
    found[:, :, 20:30, 20:30] = 1
    return found


@settings(max_examples=60, deadline=None)
@given(
    arrays=st.dictionaries(
        st.text(max_size=3),
        st.sampled_from([*KINDS, ">f4", ">i2"]).flatmap(
            lambda kind: arrays_of.arrays(kind, arrays_of.array_shapes(min_dims=0, min_side=0))
        ),
        max_size=4,
    ),
    meta=st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=5), max_size=3),
)
def test_what_was_written_comes_back(tmp_path_factory, arrays, meta):
    got = read(write(tmp_path_factory.mktemp("blob") / "x", Bundle(arrays=arrays, meta=meta)))
    assert got.meta == meta
    assert got.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert got.arrays[name].dtype == array.dtype.newbyteorder("<")
        assert got.arrays[name].tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()
        assert got.arrays[name].shape == array.shape
        assert got.arrays[name].flags.writeable


def test_labels_are_packed_weights_are_not_and_views_are_written_as_seen(tmp_path):
    weights = np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32)
    bundle = Bundle(arrays={"model": weights.T, "label": labels()[:, ::2]}, meta={})
    path = write(tmp_path / "x", bundle)
    assert weights.nbytes < path.stat().st_size < weights.nbytes + 3000
    got = read(path)
    assert np.array_equal(got.arrays["model"], weights.T)
    assert np.array_equal(got.arrays["label"], labels()[:, ::2])
    got.arrays["label"][0] = 7


def test_the_library_of_the_format_reads_it(tmp_path):
    weights = np.arange(999, dtype=np.float32)
    path = write(tmp_path / "x", Bundle(arrays={"b": weights, "a": np.int64([3]), "c": np.uint8([1, 2, 3])}))
    found = load_file(path)
    assert sorted(found) == ["__checksum__", "a", "b", "c"]
    assert np.array_equal(found["b"], weights)
    assert found["a"].tolist() == [3]


def test_any_changed_byte_and_any_lost_end_is_found(tmp_path):
    path = write(tmp_path / "x", Bundle(arrays={"model": np.float32([1, 2])}, meta={"loss": 0.5}))
    sound = path.read_bytes()
    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(bytes(damaged))
        with pytest.raises(Damaged):
            read(path)
        path.write_bytes(sound[:place])
        with pytest.raises(Damaged):
            read(path)
    path.write_bytes(sound + b"\0")
    with pytest.raises(Damaged):
        read(path)


def test_a_header_nested_without_end_is_damage(tmp_path):
    text = b"[" * 80_000
    content = len(text).to_bytes(8, "little") + text
    (tmp_path / "x").write_bytes(content + xxhash.xxh3_128(content).digest())
    with pytest.raises(Damaged, match="recursion"):
        read(tmp_path / "x")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.array([None])}, "an array of object cannot be kept"),
        ({"x": np.array([1j])}, "an array of complex128 cannot be kept"),
        ({"__checksum__": np.zeros(1)}, "may not be named __checksum__"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        list(pieces(Bundle(arrays=arrays)))

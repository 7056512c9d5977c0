import numpy as np
import pytest
import tifffile
from PIL import Image

from simulator.errors import BadCase
from simulator.learning.data import images

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.b.nii.gz", ("a.b", ".nii.gz")),
        ("x.NII", ("x", ".NII".lower())),
        ("x.jpeg", ("x", ".jpeg")),
        ("x.csv", ("x.csv", "")),
    ],
)
def test_suffixes(name, parts):
    assert images.split_suffix(name) == parts


@pytest.mark.parametrize(
    ("values", "options", "shape"),
    [
        (RNG.integers(0, 255, (9, 7), np.uint8), {}, (1, 1, 9, 7)),
        (RNG.integers(0, 255, (9, 7, 3), np.uint8), {"photometric": "rgb"}, (3, 1, 9, 7)),
        (RNG.random((5, 9, 7), np.float32), {"photometric": "minisblack"}, (1, 5, 9, 7)),
        (RNG.integers(0, 6000, (5, 9, 7, 3), np.uint16), {"photometric": "rgb"}, (3, 5, 9, 7)),
        (RNG.integers(0, 255, (9, 7), np.uint8), {"compression": "zlib"}, (1, 1, 9, 7)),
    ],
)
def test_tiff_forms(tmp_path, values, options, shape):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, values, **options)
    found = images.read(path).values
    assert found.shape == shape
    assert found.dtype == values.dtype
    expected = np.moveaxis(values, -1, 0) if shape[0] == 3 else values
    assert np.array_equal(found.squeeze(), expected)
    assert images.num_slices(path) == shape[1]


def test_tiff_compressions_that_only_pillow_reads(tmp_path):
    values = RNG.integers(0, 255, (9, 7, 3), np.uint8)
    Image.fromarray(values).save(tmp_path / "x.tif", compression="tiff_lzw")
    assert np.array_equal(images.read(tmp_path / "x.tif").values[:, 0], np.moveaxis(values, -1, 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_keeps_its_depth(tmp_path, dtype):
    values = RNG.integers(0, np.iinfo(dtype).max, (9, 7), dtype)
    Image.fromarray(values).save(tmp_path / "x.png")
    assert np.array_equal(images.read(tmp_path / "x.png").values[0, 0], values)


def test_unsupported_colors(tmp_path):
    Image.new("CMYK", (4, 4)).save(tmp_path / "x.jpg")
    with pytest.raises(BadCase, match=r"^x.jpg cannot be read: color mode CMYK is not supported$"):
        images.read(tmp_path / "x.jpg")


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.nii", "x.nii.gz"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x1f\x8b\x08\x00garbage", b"II*\x00\x08\x00\x00\x00"])
def test_damaged_files_are_bad_cases(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadCase, match=rf"^{name} cannot be read: "):
        images.read(tmp_path / name)
    if name.startswith(("x.nii", "x.tif")):
        with pytest.raises(BadCase, match=rf"^{name} cannot be read: "):
            images.num_slices(tmp_path / name)


def test_resize_keeps_means_and_linear_ramps():
    ramp = np.broadcast_to(np.linspace(0, 1, 40, dtype=np.float32), (2, 6, 30, 40))
    small = images.resize(ramp, (3, 15, 20))
    assert small.shape == (2, 3, 15, 20)
    assert small.dtype == np.float32
    assert abs(small.mean() - 0.5) < 1e-3
    assert np.allclose(np.diff(small[0, 0, 0, 2:-2]), 2 / 39, atol=1e-3)
    assert np.array_equal(images.resize(ramp, (30, 40)), ramp)

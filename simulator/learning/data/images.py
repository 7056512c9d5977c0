"""Reading PNG, JPEG, TIFF and NIfTI into one form: channels first, then slice, row, column."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import BadCase

Array = np.ndarray
Spacing = tuple[float, float, float]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".nii.gz")
_PILLOW_MODES = {"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "RGB", "RGBA"}
_TIFFFILE_COMPRESSIONS = {1, 8, 32946}  # none and deflate: what tifffile reads without extra codecs


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image or a mask: ``values`` are ``(channels, slices, rows, columns)``.

    A 2-D image has one slice. ``spacing_mm`` and ``affine`` are known for NIfTI only.
    """

    values: Array
    spacing_mm: Spacing | None = None
    affine: Array | None = None


def split_suffix(name: str) -> tuple[str, str]:
    """Return ``("case", ".nii.gz")`` for ``"case.nii.gz"``; the suffix is "" if it is not read here."""
    lower = name.lower()
    suffix = max((s for s in SUFFIXES if lower.endswith(s)), key=len, default="")
    return name[: len(name) - len(suffix)], suffix


def read(path: Path, *, mask: bool = False) -> Picture:
    """Read one file.

    Args:
        path: with one of :data:`SUFFIXES`.
        mask: whether the colors of a palette are labels rather than colors.

    Raises:
        BadCase: missing, unreadable, or of a form that is not supported.
    """
    suffix = split_suffix(path.name)[1]
    try:
        if suffix.startswith(".nii"):
            return _read_nifti(path)
        if suffix.startswith(".tif"):
            return _read_tiff(path, mask)
        return _read_pillow(path, mask)
    except FileNotFoundError as error:
        raise BadCase(f"no file {path.name}") from error
    # what the decoders raise on damaged files, nibabel's own errors among them
    except (OSError, EOFError, ValueError, SyntaxError, LookupError, zlib.error, struct.error) as error:
        raise BadCase(f"{path.name} cannot be read: {error}") from error


def num_slices(path: Path) -> int:
    """Return how many slices a file holds, from its header alone where that is possible.

    Raises:
        BadCase: as :func:`read`.
    """
    suffix = split_suffix(path.name)[1]
    if not suffix.startswith(".nii"):
        return 1 if not suffix.startswith(".tif") else read(path).values.shape[1]
    import nibabel

    nib: Any = nibabel  # its functions carry no types
    try:
        image: Any = nib.load(path)
        height = int(np.argmax(nib.io_orientation(image.affine)[:, 0] == 2))
        return int(image.shape[height]) if len(image.shape) > 2 else 1
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        raise BadCase(f"{path.name} cannot be read: {error}") from error


def resize(values: Array, size: tuple[int, ...], *, cubic: bool = False) -> Array:
    """Return ``values`` ``(channels, slices, rows, columns)`` resampled linearly, float32.

    Shrinking averages over what falls into a new pixel, so nothing aliases.

    Args:
        values: any real type.
        size: rows and columns, or slices, rows and columns.
        cubic: by cubic polynomials instead.
    """
    channels, slices, rows, columns = values.shape
    planes = values.reshape(channels * slices, rows, columns)
    if planes.shape[1:] != size[-2:]:
        planes = np.stack([_resize_plane(plane, size[-2], size[-1], cubic) for plane in planes])
    result = planes.astype(np.float32).reshape(channels, slices, *size[-2:])
    if len(size) == 3 and size[0] != slices:
        columns_of = result.reshape(channels, slices, -1)
        stacked = [_resize_plane(one, size[0], one.shape[1], cubic) for one in columns_of]
        result = np.stack(stacked).reshape(channels, *size)
    return result


def _resize_plane(plane: Array, rows: int, columns: int, cubic: bool) -> Array:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    how = Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR
    return np.asarray(image.resize((columns, rows), how))


def _read_pillow(path: Path, mask: bool) -> Picture:
    from PIL import Image, ImageSequence

    # the suffix says which decoder may run, not the content
    formats = ("TIFF",) if split_suffix(path.name)[1].startswith(".tif") else ("PNG", "JPEG")
    frames = []
    try:
        with Image.open(path, formats=formats) as image:
            for frame in ImageSequence.Iterator(image):
                shown = frame
                if frame.mode == "P":
                    shown = frame if mask else frame.convert("RGB")
                elif frame.mode not in _PILLOW_MODES:
                    raise ValueError(f"color mode {frame.mode} is not supported")
                frames.append(np.asarray(shown))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    stacked = np.stack(frames)  # (slices, rows, columns[, channels])
    return Picture(values=stacked[None] if stacked.ndim == 3 else np.moveaxis(stacked, -1, 0))


def _read_tiff(path: Path, mask: bool) -> Picture:
    import tifffile

    with tifffile.TiffFile(path) as file:
        first = file.pages.first
        if first.compression not in _TIFFFILE_COMPRESSIONS or first.colormap is not None:
            return _read_pillow(path, mask)
        series = file.series[0]
        axes, values = series.axes, series.asarray()
    # Y and X are the plane, S and C channels; at most one more axis, which then is the slices
    other = [axis for axis in axes if axis not in "YXSC"]
    channel = [axis for axis in axes if axis in "SC"]
    if len(other) > 1 or len(channel) > 1 or not {"Y", "X"} <= set(axes):
        raise ValueError(f"axes {axes} with shape {values.shape} are not an image or a stack")
    values = np.transpose(values, [axes.index(axis) for axis in [*channel, *other, "Y", "X"]])
    values = values if channel else values[None]
    return Picture(values=values if other else values[:, None])


def _read_nifti(path: Path) -> Picture:
    import nibabel

    nib: Any = nibabel  # its functions carry no types
    try:
        image: Any = nib.as_closest_canonical(nib.load(path))
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError) as error:
        raise ValueError(str(error)) from error
    values = np.asanyarray(image.dataobj)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim not in (3, 4):
        raise ValueError(f"shape {values.shape} is not a volume with channels")
    if values.ndim == 3:
        values = values[..., None]
    x, y, z = (float(edge) for edge in nib.affines.voxel_sizes(image.affine))
    return Picture(values=values.T, spacing_mm=(z, y, x), affine=np.asarray(image.affine))

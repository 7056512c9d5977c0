"""Grids in space: cutting boxes in mm, bringing images onto one grid, spacing, crop and size."""

from collections.abc import Sequence

import numpy as np

from simulator.errors import BadCase
from simulator.learning.data import images
from simulator.learning.data.images import Picture, Spacing
from simulator.learning.data.layouts.settings import ImageSet

Array = np.ndarray


def onto(picture: Picture, grid: Picture, *, order: int = 1) -> Picture:
    """Return ``picture`` sampled at the voxels of ``grid``; its smallest value outside.

    Args:
        picture: with an affine matrix.
        grid: with an affine matrix; only its shape and place matter.
        order: of the splines, 0 (nearest) to 3.
    """
    assert grid.affine is not None
    return _sample(picture, grid.affine, grid.values.shape[1:], order)


def _sample(picture: Picture, affine: Array, shape: Sequence[int], order: int) -> Picture:
    from scipy.ndimage import affine_transform

    assert picture.affine is not None
    # from voxels (x, y, z) of the grid to voxels of the picture; arrays are (z, y, x)
    step = np.linalg.inv(picture.affine) @ affine
    matrix, offset = step[:3, :3][::-1, ::-1], step[:3, 3][::-1]
    values = [
        affine_transform(
            channel.astype(np.float32), matrix, offset, tuple(shape), order=order, cval=float(channel.min())
        )
        for channel in picture.values
    ]
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0)
    return Picture(values=np.stack(values), spacing_mm=(float(z), float(y), float(x)), affine=affine)


def into_box(
    pictures: Sequence[Picture], mask: Picture, box: str, spacing_mm: Spacing | None
) -> tuple[list[Picture], Picture]:
    """Cut images (cubic splines) and mask (nearest) to a box in space, on a grid of their own.

    Args:
        pictures: with affine matrices.
        mask: the same.
        box: corners in mm, ``x1 y1 z1 x2 y2 z2``, x growing to the left and y to the back (LPS, as
            ITK and DICOM count; NIfTI's x and y are the negative of them).
        spacing_mm: of the new grid (z, y, x), 1 mm if None.

    Raises:
        BadCase: a box without volume or outside the images, or files without a place.
    """
    low, high = np.split(np.array([float(edge) for edge in box.split()]), 2)
    edges = np.array(spacing_mm or (1.0, 1.0, 1.0))[::-1]
    counts = np.rint((high - low) / edges).astype(int)
    if (counts < 1).any():
        raise BadCase(f"the box {box} mm has no volume")
    if any(picture.affine is None for picture in [*pictures, mask]):
        raise BadCase("a file does not say where it lies, so no box can be cut")
    affine = np.diag([*edges, 1.0])
    last = low + (counts - 1) * edges
    affine[:3, 3] = [-last[0], -last[1], low[2]]
    shape = [int(count) for count in counts[::-1]]
    if not _meets(mask, affine, counts):
        raise BadCase(f"the box {box} mm lies outside the images; boxes count in mm to the left, back and up")
    return [_sample(one, affine, shape, 3) for one in pictures], _sample(mask, affine, shape, 0)


def _meets(picture: Picture, affine: Array, counts: Array) -> bool:
    """Whether the middle of a grid lies inside a picture."""
    assert picture.affine is not None
    middle = affine @ np.array([*((counts - 1) / 2), 1.0])
    voxel = (np.linalg.inv(picture.affine) @ middle)[:3]
    return bool(((voxel >= -0.5) & (voxel <= np.array(picture.values.shape[:0:-1]) - 0.5)).all())


def regrid(
    settings: ImageSet, image: Array, label: Array, spacing_mm: Spacing
) -> tuple[Array, Array, Spacing]:
    """Resample to the spacing asked for, crop, and resample to the size asked for.

    Args:
        settings: what is asked for.
        image: ``(channels, slices, rows, columns)``.
        label: ``(structures, slices, rows, columns)``.
        spacing_mm: of slices, rows and columns.

    Returns:
        image float32, label uint8 and the spacing they have now.
    """
    shape = np.array(image.shape[1:])
    if settings.target_spacing is not None:
        wanted = np.maximum(1, np.rint(shape * spacing_mm / settings.target_spacing)).tolist()
        image, label, spacing_mm = _resize(settings, image, label, spacing_mm, wanted[3 - settings.dims :])
    if settings.crop is not None:
        image, label = _crop(image, settings.crop), _crop(label, settings.crop)
    if settings.shape is not None:
        image, label, spacing_mm = _resize(settings, image, label, spacing_mm, settings.shape)
    return image.astype(np.float32), label.astype(np.uint8), spacing_mm


def _resize(
    settings: ImageSet, image: Array, label: Array, spacing_mm: Spacing, size: Sequence[int]
) -> tuple[Array, Array, Spacing]:
    size = tuple(int(edge) for edge in size)
    before = image.shape[1:]
    if size != before[3 - len(size) :]:
        image = images.resize(image, size, cubic=settings.interpolation == "cubic")
        label = images.resize(label, size) >= 0.5
    z, y, x = (float(e) * old / new for e, old, new in zip(spacing_mm, before, image.shape[1:], strict=True))
    return image, label, (z, y, x)


def _crop(values: Array, edges: Sequence[int]) -> Array:
    """Cut the middle of the last axes out, zeros where it reaches outside."""
    first = values.ndim - len(edges)
    for axis, edge in enumerate(edges, start=first):
        room = values.shape[axis] - edge
        if room >= 0:
            values = np.take(values, range(room // 2, room // 2 + edge), axis=axis)
        else:
            margins = [(0, 0)] * values.ndim
            margins[axis] = (-room // 2, -room - -room // 2)
            values = np.pad(values, margins)
    return values

"""What every image and every mask must be, whatever the layout they lie in."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from simulator.errors import BadCase
from simulator.learning.data.images import Picture

Array = np.ndarray


def join(pictures: Sequence[Picture], channels: Sequence[str]) -> Array:
    """Return all channels in one array ``(channels, slices, rows, columns)``.

    Raises:
        BadCase: the files differ in shape, or there are more or fewer channels than expected.
    """
    shapes = {picture.values.shape for picture in pictures}
    if len(shapes) > 1:
        raise BadCase(f"the channels differ in shape: {sorted(shape[1:] for shape in shapes)}")
    image = np.concatenate([picture.values for picture in pictures])
    if len(image) != len(channels):
        raise BadCase(f"found {len(image)} channels, expected {', '.join(channels)}")
    return image


def label_values(
    values: Array,
    *,
    structures: Mapping[str, Collection[int]],
    other_labels: Collection[int] = (),
    threshold: float | None = None,
) -> Array:
    """Return the label of every voxel, ``(slices, rows, columns)``.

    Args:
        values: the mask as stored, ``(channels, slices, rows, columns)``.
        structures: the label values of each structure.
        other_labels: values that are allowed besides.
        threshold: greater is label 1, the rest 0; None: the values are labels.

    Raises:
        BadCase: a colored mask, or a value that is declared nowhere.
    """
    if threshold is not None:  # first: the channels of a gray JPEG may differ by rounding
        values = (values > threshold).astype(np.uint8)
    if not (values == values[:1]).all():
        raise BadCase("the mask is in color; expected one gray channel of labels")
    labels: Array = values[0]
    allowed = sorted({0, *other_labels, *(v for values in structures.values() for v in values)})
    unknown = np.setdiff1d(labels, allowed)
    if unknown.size:
        raise BadCase(f"the mask has the value {unknown[0]:g}, expected {', '.join(map(str, allowed))}")
    return labels


def same_place(pictures: Sequence[Picture]) -> None:
    """Check that all files with an affine matrix have the same one, to a micrometer per voxel.

    Raises:
        BadCase: they differ.
    """
    known = [picture.affine for picture in pictures if picture.affine is not None]
    for other in known[1:]:
        if not np.allclose(other, known[0], atol=1e-3):
            raise BadCase("image and mask lie in different places (their affine matrices differ)")

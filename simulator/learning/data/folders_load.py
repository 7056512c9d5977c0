"""Reading one case of images in one folder per site."""

from collections.abc import Sequence

import numpy as np

from simulator.errors import BadCase
from simulator.learning.data import images
from simulator.learning.data.folders_settings import FolderPerSite, FolderSite
from simulator.registry import CaseInfo

Array = np.ndarray


def image_roles(settings: FolderPerSite) -> list[str]:
    """Return the roles of a case's image files, in channel order."""
    return [f"image.{channel}" for channel in settings.channels] if settings.channel_files else ["image"]


def load(
    settings: FolderPerSite, site: FolderSite, case: CaseInfo, seed: int
) -> tuple[Array, Array, images.Spacing]:
    """Read one case.

    Returns:
        image ``(channels, slices, rows, columns)`` float32 as stored; label ``(structures, slices,
        rows, columns)``; spacing in mm from the file or the settings. Volumes have their axes in
        the order z, y, x of the patient, whatever the file's order.

    Raises:
        BadCase: unreadable, wrong channels or shape, different affine matrices, values that are not
            finite, or a label value that is declared nowhere.
    """
    pictures = [images.read(settings.root / case.files[role]) for role in image_roles(settings)]
    mask = images.read(settings.root / case.files["label"], mask=True)
    image = _join(settings, pictures)
    if not np.isfinite(image).all():
        raise BadCase("the image has values that are not finite")
    labels = _labels(settings, mask.values)
    if labels.shape != image.shape[1:]:
        raise BadCase(f"mask has shape {labels.shape}, image {image.shape[1:]}")
    _same_place([*pictures, mask])
    label = np.stack([np.isin(labels, values) for values in settings.structures.values()])
    spacing = np.array(pictures[0].spacing_mm or settings.spacing)
    if settings.shape is not None:
        before = np.array(image.shape[1:])
        image = images.resize(image, settings.shape)
        label = images.resize(label, settings.shape) >= 0.5
        spacing = spacing * before / image.shape[1:]
    z, y, x = map(float, spacing)
    return image.astype(np.float32), label.astype(np.uint8), (z, y, x)


def _join(settings: FolderPerSite, pictures: Sequence[images.Picture]) -> Array:
    """Return all channels in one array."""
    shapes = {picture.values.shape for picture in pictures}
    if len(shapes) > 1:
        raise BadCase(f"the channels differ in shape: {sorted(shape[1:] for shape in shapes)}")
    image = np.concatenate([picture.values for picture in pictures])
    if len(image) != len(settings.channels):
        raise BadCase(f"found {len(image)} channels, expected {', '.join(settings.channels)}")
    return image


def _labels(settings: FolderPerSite, values: Array) -> Array:
    """Return the label of every voxel, ``(slices, rows, columns)``."""
    if not (values == values[:1]).all():
        raise BadCase("the mask is in color; expected one gray channel of labels")
    labels: Array = values[0]
    if settings.mask_threshold is not None:
        labels = (labels > settings.mask_threshold).astype(np.uint8)
    allowed = {0, *settings.other_labels, *(v for values in settings.structures.values() for v in values)}
    unknown = np.setdiff1d(labels, sorted(allowed))
    if unknown.size:
        raise BadCase(
            f"the mask has the value {unknown[0]:g}, expected {', '.join(map(str, sorted(allowed)))}"
        )
    return labels


def _same_place(pictures: Sequence[images.Picture]) -> None:
    """Check that all files with an affine matrix have the same one."""
    known = [picture.affine for picture in pictures if picture.affine is not None]
    for other in known[1:]:
        if not np.allclose(other, known[0], atol=1e-3):
            raise BadCase("image and mask lie in different places (their affine matrices differ)")

"""Reading one case of images in one folder per site."""

import numpy as np

from simulator.errors import BadCase
from simulator.learning.data import checks, images
from simulator.learning.data.folders_settings import FolderPerSite, FolderSite
from simulator.registry import CaseInfo

Array = np.ndarray


def image_roles(settings: FolderPerSite) -> list[str]:
    """Return the roles of a case's image files, in channel order."""
    return [f"image.{channel}" for channel in settings.channels] if settings.channel_files else ["image"]


def label_values(settings: FolderPerSite, mask: images.Picture) -> Array:
    """The labels of a mask ``(slices, rows, columns)``.

    Raises:
        BadCase: a value that is declared nowhere.
    """
    return checks.label_values(
        mask.values,
        structures=settings.structures,
        other_labels=settings.other_labels,
        threshold=settings.mask_threshold,
    )


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
    image = checks.join(pictures, settings.channels)
    if not np.isfinite(image).all():
        raise BadCase("the image has values that are not finite")
    labels = label_values(settings, mask)
    if labels.shape != image.shape[1:]:
        raise BadCase(f"mask has shape {labels.shape}, image {image.shape[1:]}")
    checks.same_place([*pictures, mask])
    label = np.stack([np.isin(labels, values) for values in settings.structures.values()])
    spacing = np.array(pictures[0].spacing_mm or settings.spacing)
    if settings.shape is not None:
        before = np.array(image.shape[1:])
        image = images.resize(image, settings.shape)
        label = images.resize(label, settings.shape) >= 0.5
        spacing = spacing * before / image.shape[1:]
    z, y, x = map(float, spacing)
    return image.astype(np.float32), label.astype(np.uint8), (z, y, x)

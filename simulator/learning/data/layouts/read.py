"""From a case's files to its arrays: channels, label values, one grid, spacing, intensities."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from simulator.errors import BadCase
from simulator.learning.data import checks, images
from simulator.learning.data.layouts import geometry
from simulator.learning.data.layouts.settings import ImageSet

Array = np.ndarray
Recode = Callable[[Array], Array]
"""From a mask as stored ``(channels, slices, rows, columns)`` to label values of the same shape."""


def read_case(
    settings: ImageSet, files: Mapping[str, str], *, recode: Recode | None, align: bool
) -> tuple[Array, Array, images.Spacing]:
    """Read one case.

    Args:
        settings: of the data set.
        files: roles to paths; besides ``pick`` (which stored channels), ``frame`` (of a label in
            4-D), ``slices`` (which to keep in 2-D) and ``box`` (corners in mm, x1 y1 z1 x2 y2 z2).
        recode: from stored mask values to labels.
        align: images on another grid than the label are brought onto the label's.

    Returns:
        image ``(channels, slices, rows, columns)`` float32; label ``(structures, slices, rows,
        columns)`` of 0 and 1; spacing in mm.

    Raises:
        BadCase: unreadable, wrong channels, shape or place, not finite, or an unknown label value.
    """
    pictures = [_pick(images.read(settings.root / path), files) for path in _image_paths(settings, files)]
    mask = read_mask(settings.root, files)
    if "box" in files:
        pictures, mask = geometry.into_box(pictures, mask, files["box"], settings.target_spacing)
    elif align and not _one_grid([*pictures, mask]):
        pictures = [geometry.onto(picture, mask) for picture in pictures]
    image = checks.join(pictures, settings.channels)
    if not np.isfinite(image).all():
        raise BadCase("the image has values that are not finite")
    labels = labels_of(settings, mask, recode)
    if labels.shape != image.shape[1:]:
        raise BadCase(f"mask has shape {labels.shape}, image {image.shape[1:]}")
    checks.same_place([*pictures, mask])
    label = np.stack([np.isin(labels, values) for values in settings.structures.values()])
    if "slices" in files:
        kept = [int(number) for number in files["slices"].split()]
        image, label = image[:, kept], label[:, kept]
    image = intensities(settings, image.astype(np.float32))
    return geometry.regrid(settings, image, label, pictures[0].spacing_mm or (1.0, 1.0, 1.0))


def read_mask(root: Path, files: Mapping[str, str]) -> images.Picture:
    """Read the label file, one frame of it where it holds several.

    Raises:
        BadCase: as :func:`simulator.learning.data.images.read`, or there is no such frame.
    """
    mask = images.read(root / files["label"], mask=True)
    if "frame" not in files:
        return mask
    return _channels(mask, [int(files["frame"])])


def labels_of(settings: ImageSet, mask: images.Picture, recode: Recode | None) -> Array:
    """Return the label values ``(slices, rows, columns)`` of a mask.

    Raises:
        BadCase: a value that the settings do not name.
    """
    return checks.label_values(
        mask.values if recode is None else recode(mask.values),
        structures=settings.structures,
        other_labels=settings.other_labels,
        threshold=settings.mask_threshold,
    )


def intensities(settings: ImageSet, image: Array) -> Array:
    """Return the image with its values made positive, clipped and scaled as the settings say."""
    if settings.absolute:
        image = np.abs(image)
    if settings.percentiles is not None:
        image = np.stack([_clip(channel, settings.percentiles) for channel in image])
    for name, (low, high) in settings.window.items():
        number = settings.channels.index(name)
        image[number] = (np.clip(image[number], low, high) - low) / (high - low)
    return image


def _clip(channel: Array, percentiles: tuple[float, float]) -> Array:
    inside = channel != 0
    if not inside.any():
        return channel
    low, high = np.percentile(channel[inside], percentiles)
    return np.where(inside, np.clip(channel, low, high), 0).astype(np.float32)


def _image_paths(settings: ImageSet, files: Mapping[str, str]) -> list[str]:
    if "image" in files:
        return [files["image"]]
    return [files[f"image.{channel}"] for channel in settings.channels]


def _pick(picture: images.Picture, files: Mapping[str, str]) -> images.Picture:
    """Return the channels of a file that are wanted, all of them if nothing is said."""
    if "pick" not in files:
        return picture
    return _channels(picture, [int(number) for number in files["pick"].split()])


def _channels(picture: images.Picture, numbers: list[int]) -> images.Picture:
    if max(numbers) >= len(picture.values):
        raise BadCase(f"it has {len(picture.values)} channels or frames, number {max(numbers)} is wanted")
    return images.Picture(
        values=picture.values[numbers], spacing_mm=picture.spacing_mm, affine=picture.affine
    )


def _one_grid(pictures: list[images.Picture]) -> bool:
    """Whether all files have one shape and place, or do not say where they lie."""
    if any(picture.affine is None for picture in pictures):
        return True
    first = pictures[0]
    return all(
        picture.values.shape[1:] == first.values.shape[1:]
        and np.allclose(np.asarray(picture.affine), np.asarray(first.affine), atol=1e-3)
        for picture in pictures
    )

"""What a site's habits make of its cases: another scanner, missing modalities, wrong outlines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.learning.data.brainsim_anatomy import waves
from simulator.learning.data.brainsim_scanner import Scanner, acquire
from simulator.learning.data.corruption_settings import Corruptions, LabelNoise, Missing, ScannerShift

Array = np.ndarray
_WOBBLE_MM = 15.0  # length of the waves by which outlines wander


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """The case that is to be changed.

    Attributes:
        channels: names, in order.
        spacing_mm: of slices, rows and columns.
        rng: the case's stream for a purpose.
    """

    channels: Sequence[str]
    spacing_mm: Sequence[float]
    rng: Callable[[str], np.random.Generator]

    def points(self, shape: Sequence[int]) -> Array:
        """Where the voxels lie, in mm from the first, float32 ``(3, *shape)``."""
        lines = [np.arange(n, dtype=np.float32) * e for n, e in zip(shape, self.spacing_mm, strict=True)]
        return np.stack(np.meshgrid(*lines, indexing="ij")).astype(np.float32)


def corrupt(
    habits: Corruptions, image: Array, label: Array, case: Damage, *, keep_label: bool
) -> tuple[Array, Array]:
    """Return image and label as a site with these habits has them.

    Every kind draws from a stream of its own, so that one changes no other's draws.

    Args:
        habits: what is wrong there.
        image: ``(channels, slices, rows, columns)`` float32, not normalized.
        label: ``(structures, slices, rows, columns)`` of 0 and 1.
        case: the case.
        keep_label: the label stays true, as tests need it.
    """
    if habits.shift is not None:
        image = _shift(habits.shift, image, case)
    for number, one in enumerate(habits.all_missing):
        image = _drop(one, image, case, f"missing {number}")
    if habits.label_noise is not None and not keep_label:
        label = _redraw(habits.label_noise, label, case)
    return image, label


def _shift(shift: ScannerShift, image: Array, case: Damage) -> Array:
    scanner = Scanner(
        contrast=shift.contrast, gamma=shift.gamma, bias_field=shift.bias_field,
        noise=shift.noise, blur_mm=shift.blur, gain=shift.gain,
    )  # fmt: skip
    points = case.points(image.shape[1:])
    found = []
    for name, channel in zip(case.channels, image, strict=True):
        inside = channel != 0
        low, high = np.percentile(channel[inside], (1, 99)) if inside.any() else (0.0, 0.0)
        if high > low:
            seen = acquire(
                (channel - low) / (high - low),
                scanner,
                brain=inside,
                points=points,
                pixel_mm=case.spacing_mm[1:],
                rng=case.rng(f"scanner {name}"),
            )
            channel = seen * np.float32(high - low)
        found.append(channel)
    return np.stack(found).astype(np.float32)


def _drop(missing: Missing, image: Array, case: Damage, purpose: str) -> Array:
    if case.rng(purpose).random() >= missing.share:
        return image
    image = image.copy()
    stand_in = image[case.channels.index(missing.replace_by)] if missing.replace_by else 0
    image[case.channels.index(missing.channel)] = stand_in
    return image


def _redraw(noise: LabelNoise, label: Array, case: Damage) -> Array:
    from scipy.ndimage import distance_transform_edt

    if case.rng("omit").random() < noise.omit:
        return np.zeros_like(label)
    offset_mm: Array = np.float32(noise.wider - noise.tighter) * np.ones((1, 1, 1), np.float32)
    if noise.wobble:
        wandering = waves(case.rng("outline"), _WOBBLE_MM)
        offset_mm = offset_mm + np.float32(noise.wobble) * wandering.at(case.points(label.shape[1:]))
    elif noise.wider == noise.tighter:
        return label
    # one slice: outlines move in its plane only
    flat = label.shape[1] == 1
    spacing_mm = tuple(case.spacing_mm[1:] if flat else case.spacing_mm)
    found = []
    for structure in label:
        inside = structure[0] > 0 if flat else structure > 0
        if inside.any() and not inside.all():
            depth_mm = distance_transform_edt(inside, spacing_mm) - distance_transform_edt(
                ~inside, spacing_mm
            )
            # depth is ±1 voxel at the outline: half of one off makes 0 the outline
            depth_mm = depth_mm - np.sign(depth_mm) * min(spacing_mm) / 2
            inside = (depth_mm.reshape(structure.shape) + offset_mm) > 0
        found.append(np.asarray(inside).reshape(structure.shape))
    return np.stack(found).astype(np.uint8)

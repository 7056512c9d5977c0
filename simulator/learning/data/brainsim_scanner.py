"""Images of the simulated patients: what a scanner makes of tissue, and a hospital of its scanner.

Brightness and gain vanish when images are normalized one by one; contrast, noise, resolution,
missing sequences and outlines do not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.learning.data.brainsim_anatomy import Tissue, waves
from simulator.learning.data.brainsim_tumor import Depths

Array = np.ndarray

MEANS: dict[str, tuple[float, float, float, float, float, float]] = {
    # fluid, gray, white matter; dead part, edema, enhancing rim
    "t1": (0.15, 0.55, 0.80, 0.30, 0.45, 0.50),
    "t1ce": (0.15, 0.55, 0.80, 0.30, 0.45, 1.00),
    "t2": (1.00, 0.62, 0.45, 0.85, 0.85, 0.70),
    "flair": (0.10, 0.62, 0.50, 0.35, 0.95, 0.75),
}
"""Brightness of the tissues by sequence, relative; round figures in the usual order of brightness."""

_T1_DETAIL = {"t1": 0.7, "t1ce": 0.7, "t2": -0.5, "flair": -0.3}
_SPOT_SEQUENCES = ("t2", "flair")  # where harmless white-matter hyperintensities show


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """A hospital's way of imaging.

    Attributes:
        contrast: factor on the distance from middle gray.
        gamma: exponent of the brightness.
        bias_field: deviation of the logarithm of the slowly varying brightness error.
        noise: deviation of the Rician noise, where white matter in T1 is 0.8.
        blur_mm: deviation of the in-plane point spread.
        gain: factor on everything.
    """

    contrast: float
    gamma: float
    bias_field: float
    noise: float
    blur_mm: float
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spots:
    """Harmless white-matter hyperintensities, bright in T2 and FLAIR and no part of any label."""

    centers_mm: Array  # (num, 3)
    radii_mm: Array  # (num,)

    def at(self, points: Array, white: Array) -> Array:
        """Return how much of each point they fill, 0 to 1."""
        filled = np.zeros(points.shape[1:], dtype=np.float32)
        for center, radius_mm in zip(self.centers_mm, self.radii_mm, strict=True):
            away = np.sqrt(sum((points[axis] - center[axis]) ** 2 for axis in range(3)))
            filled = np.maximum(filled, soft(radius_mm - away, 2.0))
        share: Array = filled * white
        return share


def soft(depth_mm: Array, width_mm: float) -> Array:
    """Return 0 outside, 1 inside, with an edge ``width_mm`` wide around depth 0."""
    return np.clip(depth_mm / np.float32(width_mm) + np.float32(0.5), 0, 1)


def draw_spots(rng: np.random.Generator, *, mean_count: float, seeds_mm: Array) -> Spots:
    """Draw the number, places and sizes of a patient's hyperintensities."""
    num = int(rng.poisson(mean_count))
    return Spots(
        centers_mm=seeds_mm[rng.integers(len(seeds_mm), size=num)],
        radii_mm=rng.uniform(1.5, 4.0, size=num).astype(np.float32),
    )


def brightness(
    modality: str, tissue: Tissue, depths: Depths, spots: Array, rng: np.random.Generator
) -> Array:
    """Return the ideal image of one sequence, 0 outside the brain, ``(*grid)``."""
    # patients differ a little in every tissue
    fluid, gray, white, dead, edema, rim = MEANS[modality] * rng.normal(1, 0.03, size=6).astype(np.float32)
    healthy = fluid * tissue.csf + gray * tissue.gray + white * tissue.white
    expected_t1 = 0.40 * tissue.csf + 0.66 * tissue.gray + 0.84 * tissue.white  # of the template
    solid = tissue.gray + tissue.white
    image = healthy + np.float32(_T1_DETAIL[modality]) * (tissue.t1 - expected_t1) * solid
    if modality in _SPOT_SEQUENCES:
        image = image + spots * (edema - image)
    # edema mixes with tissue and fades outward, the core's parts have clearer edges
    image = image + soft(depths.whole - 1, 6.0) * np.float32(0.85) * (edema - image)
    image = image + soft(depths.core, 2.0) * tissue.brain * (rim - image)
    image = image + soft(depths.dead, 2.0) * soft(depths.core, 2.0) * tissue.brain * (dead - image)
    return np.asarray(image)


def texture(points: Array, depths: Depths, rng: np.random.Generator) -> Array:
    """Return the factor by which tissue is not uniform: 3 % in the brain, 10 % in the core."""
    grain, patches = waves(rng, 9.0, num=14), waves(rng, 22.0)
    uneven = grain.at(points) + patches.at(points)
    strength = np.float32(0.7) * (np.float32(0.03) + np.float32(0.07) * soft(depths.core, 3.0))
    return np.asarray(1 + uneven * strength)


def acquire(
    image: Array,
    scanner: Scanner,
    *,
    brain: Array,
    points: Array,
    pixel_mm: Sequence[float],
    rng: np.random.Generator,
) -> Array:
    """Return what ``scanner`` makes of an ideal image; exactly 0 outside the brain.

    Args:
        image: brightness, ``(slices, rows, columns)``.
        scanner: the hospital's habits.
        brain: bool, what remains after skull stripping.
        points: where the voxels lie, for the bias field.
        pixel_mm: in-plane edges of a voxel (rows, columns).
        rng: this sequence's stream.
    """
    from scipy.ndimage import gaussian_filter

    middle = np.float32(0.5)
    image = np.where(brain, middle + np.float32(scanner.contrast) * (image - middle), 0)
    image = np.maximum(image, 0) ** np.float32(scanner.gamma)
    # the field is drawn before the noise, so that its strength changes no other draw
    bias, (real, imaginary) = waves(rng, 220.0, num=5), rng.normal(size=(2, *image.shape)).astype(np.float32)
    if scanner.blur_mm > 0:
        image = gaussian_filter(image, (0, *(scanner.blur_mm / edge for edge in pixel_mm)))
    image = image * np.exp(np.float32(scanner.bias_field) * bias.at(points))
    noise = np.float32(scanner.noise)
    image = np.sqrt((image + noise * real) ** 2 + (noise * imaginary) ** 2) * np.float32(scanner.gain)
    # 0 means outside: what is inside stays above it
    tiny = np.float32(math.ldexp(1, -20) * scanner.gain)
    return np.where(brain, np.maximum(image, tiny), 0).astype(np.float32)

"""Anatomy of the simulated patients: a template brain, bent differently for each of them.

Points are float32 arrays ``(3, *grid)``, axes (z, y, x), in mm of the template's space: z upward,
y forward, x to one side. Sums over the three axes are written out instead of using matrix
products, whose last bit may depend on the number of threads.
"""

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

ASSET = "assets/icbm152_2mm.npz"
VOXEL_MM = 2.0
CENTER_MM = np.array([5.0, -18.0, 0.0], dtype=np.float32)
"""Middle of the brain in the template's space."""

Array = np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """Shares of tissue in every point, and the T1 template there; all ``(*grid)``, 0 to 1."""

    brain: Array
    csf: Array
    gray: Array
    white: Array
    t1: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """Smooth noise of mean 0 and variance 1: a sum of plane waves of random direction."""

    vectors: Array  # (num, 3) radians per mm
    phases: Array  # (num,) radians

    def at(self, points: Array) -> Array:
        """Return the noise at ``points``, shape ``(*grid)``."""
        total = np.zeros(points.shape[1:], dtype=np.float32)
        for (z, y, x), phase in zip(self.vectors, self.phases, strict=True):
            total += np.cos(points[0] * z + points[1] * y + points[2] * x + phase)
        return total * np.float32(math.sqrt(2 / len(self.phases)))


def waves(rng: np.random.Generator, length_mm: float, *, num: int = 10) -> Waves:
    """Draw noise whose waves are about ``length_mm`` long."""
    directions = rng.normal(size=(num, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radians_per_mm = 2 * math.pi / (length_mm * rng.uniform(0.7, 1.5, size=(num, 1)))
    return Waves(
        vectors=(directions * radians_per_mm).astype(np.float32),
        phases=rng.uniform(0, 2 * math.pi, size=num).astype(np.float32),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Warp:
    """How one patient's brain differs from the template: an affine map and two smooth bends."""

    matrix: Array  # (3, 3)
    bends: tuple[tuple[float, tuple[Waves, Waves, Waves]], ...]  # amplitude in mm, one per axis

    def at(self, points: Array) -> Array:
        """Return where in the template each point of the patient lies."""
        offset = [points[axis] - CENTER_MM[axis] for axis in range(3)]
        found = []
        for axis, row in enumerate(self.matrix):
            place = offset[0] * row[0] + offset[1] * row[1] + offset[2] * row[2] + CENTER_MM[axis]
            for amplitude_mm, bend in self.bends:
                place = place + np.float32(amplitude_mm) * bend[axis].at(points)
            found.append(place)
        return np.stack(found)

    def inverse(self, place: Array) -> Array:
        """Return the point ``(3,)`` of the patient that lies at ``place`` of the template, to 0.1 mm."""
        point = place.reshape(3, 1)
        for _ in range(8):
            point = point - (self.at(point) - place.reshape(3, 1))
        return point[:, 0]


def draw_warp(rng: np.random.Generator) -> Warp:
    """Draw a patient: size ±2.5 % per axis, tilt ±2.5°, bends of 2.5 mm and 0.8 mm (deviations)."""
    matrix = np.diag(rng.normal(1, 0.025, size=3))
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = math.radians(rng.normal(0, 2.5))
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    bends = tuple(
        (amplitude_mm, (waves(rng, length_mm), waves(rng, length_mm), waves(rng, length_mm)))
        for amplitude_mm, length_mm in ((2.5, 70.0), (0.8, 24.0))
    )
    return Warp(matrix=matrix.astype(np.float32), bends=bends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The ICBM152 template at 2 mm (Fonov et al., NeuroImage 54, 2011), maps as stored, 0 to 255."""

    origin_mm: Array
    maps: tuple[Array, Array, Array, Array]  # brain, gray, white, t1
    seeds_mm: Array  # (num, 3): where tumors may start, deep in the white matter of the cerebrum

    def at(self, points: Array) -> Tissue:
        """Return the tissue at ``points`` of the template, interpolated linearly."""
        from scipy.ndimage import map_coordinates

        voxels = (points - self.origin_mm.reshape(3, *[1] * (points.ndim - 1))) / VOXEL_MM
        brain, gray, white, t1 = (
            map_coordinates(values, voxels, output=np.float32, order=1) / 255 for values in self.maps
        )
        # gray and white matter are probabilities that can exceed 1 together after rounding
        excess = np.maximum(1, (gray + white) / np.maximum(brain, 1e-3))
        gray, white = gray / excess, white / excess
        return Tissue(brain=brain, csf=brain - gray - white, gray=gray, white=white, t1=t1)


@cache
def template() -> Template:
    """Read the template that ships with the package."""
    with (resources.files(__package__) / ASSET).open("rb") as file, np.load(file) as stored:
        maps = tuple(stored[name] for name in ("brain", "gm", "wm", "t1"))
        origin_mm = stored["origin_mm"]
    seeds_mm = np.argwhere(maps[2] > 215) * VOXEL_MM + origin_mm
    in_cerebrum = seeds_mm[:, 0] > -5
    return Template(
        origin_mm=origin_mm,
        maps=(maps[0], maps[1], maps[2], maps[3]),
        seeds_mm=seeds_mm[in_cerebrum].astype(np.float32),
    )


def grid(
    *, heights_mm: Array, num_pixels: int, field_mm: float, shift_mm: tuple[float, float] = (0.0, 0.0)
) -> Array:
    """Return the points of axial slices, ``(3, slices, num_pixels, num_pixels)``.

    Rows run from front to back, columns along x. ``shift_mm`` (right, down) moves the field of view.
    """
    pixel_mm = field_mm / num_pixels
    line = (np.arange(num_pixels) - (num_pixels - 1) / 2) * pixel_mm
    right, down = shift_mm
    mesh = np.meshgrid(heights_mm, CENTER_MM[1] - line - down, CENTER_MM[2] + line + right, indexing="ij")
    return np.stack(mesh).astype(np.float32)

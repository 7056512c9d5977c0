"""Tumors of the simulated patients: edema around a core with an enhancing rim and a dead center.

Everything is a *depth*: how far inside a boundary a point lies, in about mm, negative outside. So
masks, soft edges, and outlines drawn too wide or too narrow come from the same three numbers.
"""

from dataclasses import dataclass

import numpy as np

from simulator.learning.data.brainsim_anatomy import Tissue, Waves, waves

Array = np.ndarray
RIM_MM = 1.5  # least thickness of the enhancing rim


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """Depths inside the whole tumor, its core and the core's dead part; ``(*grid)`` each.

    Labels in the words of BraTS: whole tumor WT = 1|2|4, core TC = 1|4, enhancing ET = 4, where 1
    is necrosis, 2 edema and 4 enhancing tumor.
    """

    whole: Array
    core: Array
    dead: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One focus: an ellipsoid with three rough boundaries."""

    center_mm: Array  # (3,)
    axes: Array  # (3, 3), turns and stretches
    radius_mm: float
    core_share: float  # radius of the core, relative
    dead_share: float  # radius of the dead part, relative to the core's
    enhancing: bool  # False: a tumor of low grade, whose core has no enhancing rim
    coarse: tuple[Waves, Waves, Waves]
    fine: tuple[Waves, Waves, Waves]

    def distance(self, points: Array) -> Array:
        """Return the stretched distance from the center in mm."""
        offset = [points[axis] - self.center_mm[axis] for axis in range(3)]
        squares = np.zeros(points.shape[1:], dtype=np.float32)
        for row in self.axes:
            squares += (offset[0] * row[0] + offset[1] * row[1] + offset[2] * row[2]) ** 2
        return np.sqrt(squares)

    def depths(self, points: Array, white: Array) -> Depths:
        """Return the depths at ``points``; edema spreads along ``white`` matter."""
        distance = self.distance(points)
        shares = (1.0, self.core_share, self.core_share * self.dead_share)
        whole, core, dead = (
            self.radius_mm * share * (1 + 0.17 * coarse.at(points) + 0.06 * fine.at(points)) - distance
            for share, coarse, fine in zip(shares, self.coarse, self.fine, strict=True)
        )
        whole = whole - np.float32(0.25 * self.radius_mm) * (1 - white)
        dead = np.minimum(dead, core - np.float32(RIM_MM)) if self.enhancing else core + np.float32(RIM_MM)
        return Depths(whole=np.maximum(whole, core), core=core, dead=dead)


def draw_lesion(rng: np.random.Generator, *, seeds_mm: Array, diameter_mm: float, enhancing: bool) -> Lesion:
    """Draw a focus that starts at one of ``seeds_mm``."""
    radius_mm = diameter_mm / 2
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    stretch = rng.uniform(0.75, 1.3, size=3)
    stretch /= np.prod(stretch) ** (1 / 3)
    coarse_mm, fine_mm = max(1.5 * radius_mm, 8.0), max(0.55 * radius_mm, 5.0)
    return Lesion(
        center_mm=seeds_mm[rng.integers(len(seeds_mm))],
        axes=(stretch[:, None] * turn).astype(np.float32),
        radius_mm=radius_mm,
        core_share=rng.uniform(0.5, 0.75),
        dead_share=rng.uniform(0.4, 0.75),
        enhancing=enhancing,
        coarse=(waves(rng, coarse_mm), waves(rng, coarse_mm), waves(rng, coarse_mm)),
        fine=(waves(rng, fine_mm), waves(rng, fine_mm), waves(rng, fine_mm)),
    )


def push(lesion: Lesion, points: Array) -> Array:
    """Return where the tissue at ``points`` came from before the growing tumor displaced it."""
    reach = lesion.distance(points) / np.float32(1.4 * lesion.radius_mm)
    moved = np.float32(0.22) * np.exp(-(reach**2))
    center = lesion.center_mm.reshape(3, *[1] * (points.ndim - 1))
    origin: Array = points - (points - center) * moved
    return origin


def depths_of(lesions: tuple[Lesion, ...], points: Array, tissue: Tissue) -> Depths:
    """Return the depths in the union of all foci, kept inside the brain and out of the fluid."""
    each = [lesion.depths(points, tissue.white) for lesion in lesions]
    found = each[0]
    for other in each[1:]:
        found = Depths(
            whole=np.maximum(found.whole, other.whole),
            core=np.maximum(found.core, other.core),
            dead=np.maximum(found.dead, other.dead),
        )
    solid = tissue.brain - tissue.csf
    # mm; the edges of the brain are about 3 mm wide in the template
    room = np.float32(6) * (solid - np.float32(0.45))
    whole = np.where(room < 0, np.minimum(found.whole, room), found.whole)
    return Depths(whole=whole, core=np.minimum(found.core, whole), dead=found.dead)

"""The embedded data set: simulated brain tumors on a template, at hospitals with different habits.

Nothing to download, and every image is made from (seed, site, number of the case) alone: another
site or more cases change nobody's images. **Simulated**: conclusions about methods are to be drawn
on real data.
"""

import hashlib
import math
from collections.abc import Mapping
from importlib import resources

import numpy as np

from simulator.learning.data import brainsim_anatomy as anatomy
from simulator.learning.data import brainsim_scanner as scanners
from simulator.learning.data import brainsim_tumor as tumors
from simulator.learning.data.brainsim_settings import BrainSim, BrainSimSite
from simulator.learning.data.splits import split_patients
from simulator.registry import CaseInfo, DataMeta, Dataset, SiteIndex
from simulator.rng import stream

VERSION = 1
"""Raised whenever the generator would give other images."""

STRUCTURES = ("WT", "TC", "ET")
Array = np.ndarray


def describe(settings: BrainSim) -> DataMeta:
    """Return channels, structures and shapes."""
    return DataMeta(
        channels=settings.modalities,
        structures=STRUCTURES,
        spatial_dims=settings.dims,
        simulated=True,
        item_shape=(settings.size,) * settings.dims,
    )


def index(settings: BrainSim, sites: Mapping[str, BrainSimSite], seed: int) -> dict[str, SiteIndex]:
    """List the cases of every site; makes no image.

    Raises:
        ScenarioError: a site has too few cases to split.
    """
    found = {}
    for place, (name, site) in enumerate(sites.items()):
        cases = [f"{name}-{number:04d}" for number in range(site.cases)]
        parts = split_patients(
            cases, site=name, settings=settings.split, where=f"sites.{place}", test_only=site.test_only
        )
        found[name] = SiteIndex(
            cases=tuple(
                CaseInfo(
                    site=name,
                    patient=case,
                    case=case,
                    split=parts[case],
                    num_items=settings.slices if settings.dims == 2 else 1,
                    files={"number": str(number)},
                )
                for number, case in enumerate(cases)
            ),
            fingerprint=_fingerprint(settings, site, name, seed),
        )
    return found


def _fingerprint(settings: BrainSim, site: BrainSimSite, name: str, seed: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update((resources.files(__package__) / anatomy.ASSET).read_bytes())
    for part in (VERSION, name, seed, settings.model_dump_json(), site.model_dump_json()):
        digest.update(f"\x1f{part}".encode())
    return digest.hexdigest()


def load(
    settings: BrainSim, site: BrainSimSite, case: CaseInfo, seed: int
) -> tuple[Array, Array, tuple[float, float, float]]:
    """Make one case.

    Returns:
        image ``(modalities, slices, rows, columns)``, float32 from 0, exactly 0 outside the brain;
        label ``(3, slices, rows, columns)`` of WT, TC and ET, nested; spacing in mm.
    """
    number = int(case.files["number"])

    def rng(purpose: str) -> np.random.Generator:
        return stream(seed, "brainsim", case.site, number, purpose)

    warp = anatomy.draw_warp(rng("anatomy"))
    lesions = _draw_lesions(site, rng("tumor"))
    heights_mm, spacing_mm = _slice_heights(settings, warp, lesions[0], rng("slices"))
    points, tissue, depths, spots = _section(settings, site, warp, lesions, heights_mm, rng("spots"))

    brain = tissue.brain > 0.5
    wanted = dict.fromkeys(settings.modalities)
    if site.missing in wanted and rng("missing").random() < site.missing_share:
        source = {**{name: name for name in wanted}, site.missing: "flair"}
    else:
        source = {name: name for name in wanted}
    scanner = scanners.Scanner(
        contrast=site.contrast, gamma=site.gamma, bias_field=site.bias_field,
        noise=site.noise, blur_mm=site.blur, gain=site.gain,
    )  # fmt: skip
    grain = scanners.texture(points, depths, rng("texture"))
    images = {}
    for modality in sorted(set(source.values())):
        draws = rng(f"image {modality}")
        ideal = scanners.brightness(modality, tissue, depths, spots, draws) * grain
        images[modality] = scanners.acquire(
            ideal, scanner, brain=brain, points=points, pixel_mm=spacing_mm[1:], rng=draws
        )
    image = np.stack([images[source[modality]] for modality in settings.modalities])
    return image, _outline(depths, brain, site.annotator), spacing_mm


def _draw_lesions(site: BrainSimSite, rng: np.random.Generator) -> tuple[tumors.Lesion, ...]:
    """Draw the tumor, and its satellites where the patient has them."""
    seeds_mm = anatomy.template().seeds_mm
    share, grade, has_satellites = rng.random(3)
    smallest, largest = site.tumor_diameter
    enhancing = bool(grade >= site.low_grade)
    diameters_mm = [smallest + share * (largest - smallest)]
    if has_satellites < site.satellites:
        diameters_mm += list(rng.uniform(8, 14, size=rng.integers(1, 4)))
    return tuple(
        tumors.draw_lesion(rng, seeds_mm=seeds_mm, diameter_mm=float(diameter_mm), enhancing=enhancing)
        for diameter_mm in diameters_mm
    )


def _slice_heights(
    settings: BrainSim, warp: anatomy.Warp, tumor: tumors.Lesion, rng: np.random.Generator
) -> tuple[Array, tuple[float, float, float]]:
    """Return the height of every slice in mm, and the spacing of the voxels."""
    pixel_mm = settings.field_of_view / settings.size
    if settings.dims == 3:
        steps = np.arange(settings.size) - (settings.size - 1) / 2
        return anatomy.CENTER_MM[0] + steps * pixel_mm, (pixel_mm, pixel_mm, pixel_mm)
    half_mm = (settings.slices - 1) / 2 * settings.slice_spacing
    offset_mm = rng.uniform(-0.5, 0.5) * settings.slice_spacing
    middle_mm = warp.inverse(tumor.center_mm)[0] + offset_mm
    # the stack stays between the temporal poles and the vertex, as far as it fits
    lowest, highest = -42 + half_mm, 74 - half_mm
    middle_mm = min(max(middle_mm, lowest), highest) if lowest < highest else 16.0
    heights_mm = middle_mm - half_mm + np.arange(settings.slices) * settings.slice_spacing
    return heights_mm, (settings.slice_spacing, pixel_mm, pixel_mm)


def _section(
    settings: BrainSim,
    site: BrainSimSite,
    warp: anatomy.Warp,
    lesions: tuple[tumors.Lesion, ...],
    heights_mm: Array,
    rng: np.random.Generator,
) -> tuple[Array, anatomy.Tissue, tumors.Depths, Array]:
    """Cut the patient: points, tissue, depths and hyperintensities, averaged over each slice."""
    num_planes = max(1, math.ceil(site.slice_thickness / 2.5))
    offsets_mm = (np.arange(num_planes) - (num_planes - 1) / 2) * site.slice_thickness / num_planes
    points = anatomy.grid(
        heights_mm=(heights_mm[:, None] + offsets_mm).ravel(),
        num_pixels=settings.size,
        field_mm=settings.field_of_view,
        shift_mm=site.shift,
    )
    template = anatomy.template()
    at = warp.at(points)
    tissue = template.at(tumors.push(lesions[0], at))
    depths = tumors.depths_of(lesions, at, tissue)
    spots = scanners.draw_spots(rng, mean_count=site.hyperintensities, seeds_mm=template.seeds_mm)

    def mean(values: Array) -> Array:
        planes = values.reshape(*values.shape[:-3], len(heights_mm), num_planes, *values.shape[-2:])
        return np.asarray(planes.mean(axis=-3))

    return (
        mean(points),
        anatomy.Tissue(**{name: mean(getattr(tissue, name)) for name in anatomy.Tissue.__slots__}),
        tumors.Depths(**{name: mean(getattr(depths, name)) for name in tumors.Depths.__slots__}),
        mean(spots.at(at, tissue.white)),
    )


def _outline(depths: tumors.Depths, brain: Array, annotator_mm: float) -> Array:
    """Return the masks WT, TC and ET as this hospital's annotators draw them."""
    whole = (depths.whole > -annotator_mm) & brain
    core = (depths.core > -annotator_mm) & whole
    enhancing = core & (depths.dead <= annotator_mm)
    return np.stack([whole, core, enhancing]).astype(np.uint8)


BRAINSIM = Dataset(
    settings=BrainSim,
    site_settings=BrainSimSite,
    describe=describe,
    index=index,
    load=load,
    summary="simulated brain tumors in four MRI sequences; every site with scanner and habits of its own",
    source="simulated on the ICBM152 2009a template (Fonov et al., NeuroImage 54, 2011)",
)
"""The data set ``brainsim``."""

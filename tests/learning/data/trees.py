"""Writes simulated cases as the trees on disk that users have; loaders are tested on them."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from simulator.learning.data.brainsim import BRAINSIM

BRATS = {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
NIFTI_FORMS = ("nifti", "nifti-channels")


def write_tree(folder: Path, form: str, settings, sites, seed: int = 1) -> dict:
    """Write the cases of all sites and return their index.

    ``nifti`` and ``nifti-channels`` (one file per channel) hold volumes with BraTS labels; ``png``
    8-bit color slices with a mask of the whole tumor and a manifest; ``kaggle-3m`` the same as TIFF.
    """
    index = BRAINSIM.index(settings, sites, seed)
    rows = []
    for name, site in index.items():
        for case in site.cases:
            image, label, spacing_mm = BRAINSIM.load(settings, sites[name], case, seed)
            if form in NIFTI_FORMS:
                write_nifti(folder / name, case.case, form, settings.modalities, image, label, spacing_mm)
            elif form == "png":
                rows += write_png(folder / name, name, case, eight_bit(image), label)
            else:
                write_kaggle(folder, name, case, eight_bit(image), label)
    if rows:
        with (folder / "manifest.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("site", "patient", "case", "split"), *rows])
    return index


def eight_bit(image: np.ndarray) -> np.ndarray:
    """The first three channels as 8-bit numbers."""
    return np.rint(np.clip(image[:3], 0, 1.2) / 1.2 * 255).astype(np.uint8)


def brats_labels(label: np.ndarray) -> np.ndarray:
    """0, 1 necrosis, 2 edema, 4 enhancing, from the nested regions."""
    whole, core, enhancing = label.astype(bool)
    return np.select([enhancing, core, whole], [4, 1, 2], 0).astype(np.uint8)


def nifti(values: np.ndarray, spacing_mm, flip: bool = False):
    """A NIfTI image of ``(slices, rows, columns[, channels])``, stored right-to-left if ``flip``."""
    import nibabel

    affine = np.diag([*spacing_mm[::-1], 1.0])
    stored = np.moveaxis(values, (0, 1, 2), (2, 1, 0))
    if flip:
        affine[0, 3] = (stored.shape[0] - 1) * affine[0, 0]
        affine[0, 0] *= -1
        stored = stored[::-1]
    return nibabel.Nifti1Image(np.ascontiguousarray(stored), affine)


def write_nifti(folder: Path, case: str, form: str, channels, image, label, spacing_mm) -> None:
    import nibabel

    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    if form == "nifti":
        nibabel.save(nifti(np.moveaxis(image, 0, -1), spacing_mm), folder / "images" / f"{case}.nii.gz")
    else:
        for channel, values in zip(channels, image, strict=True):
            nibabel.save(nifti(values, spacing_mm), folder / "images" / f"{case}_{channel}.nii.gz")
    nibabel.save(nifti(brats_labels(label), spacing_mm), folder / "masks" / f"{case}.nii.gz")


def write_png(folder: Path, site: str, case, image, label) -> list[tuple[str, ...]]:
    rows = []
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for k in range(image.shape[1]):
        name = f"{case.case}-{k}"
        Image.fromarray(np.moveaxis(image[:, k], 0, -1)).save(folder / "images" / f"{name}.png")
        Image.fromarray(label[0, k] * 255).save(folder / "masks" / f"{name}.png")
        rows.append((site, case.patient, name, case.split))
    return rows


def write_kaggle(folder: Path, site: str, case, image, label) -> None:
    import tifffile

    name = f"TCGA_{site}_{case.case.split('-')[-1]}_20000101"
    (folder / name).mkdir(parents=True)
    for k in range(image.shape[1]):
        stem = folder / name / f"{name}_{2 * k + 1}"  # 1, 3, … 11: not in the order of names
        tifffile.imwrite(f"{stem}.tif", np.moveaxis(image[:, k], 0, -1), photometric="rgb")
        tifffile.imwrite(f"{stem}_mask.tif", label[0, k] * 255)

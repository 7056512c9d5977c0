"""Tiny trees in the layouts of public data sets; every case holds a number of its own."""

import json
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

SHAPE = (4, 12, 10)  # slices, rows, columns


def volume(number: int, shape=SHAPE) -> np.ndarray:
    """Values that tell cases and channels apart, 0 in a corner."""
    z, y, x = np.indices(shape)
    return (100 * (number + 1) + 5 * z + y - x).astype(np.float32) * (y > 0)


def label(values=(1,), shape=SHAPE) -> np.ndarray:
    """Blocks of the given values, one after another along the rows, in all slices but the first."""
    found = np.zeros(shape, np.uint8)
    for place, value in enumerate(values):
        found[1:, 2 + 2 * place : 4 + 2 * place, 3:7] = value
    return found


def affine(spacing_mm=(2.0, 1.0, 1.0)) -> np.ndarray:
    return np.diag([*spacing_mm[::-1], 1.0])


def save(path: Path, values: np.ndarray, place=None) -> None:
    """Write ``(slices, rows, columns[, frames])`` as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.moveaxis(values, (0, 1, 2), (2, 1, 0))
    nibabel.save(
        nibabel.Nifti1Image(np.ascontiguousarray(stored), affine() if place is None else place), path
    )


def picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def photo(number: int, size=16) -> np.ndarray:
    y, x = np.indices((size, size))
    return np.stack([10 * number + y, 3 * x, y + x], axis=-1).astype(np.uint8)


def disc(value=255, size=16) -> np.ndarray:
    found = np.zeros((size, size), np.uint8)
    found[4:12, 4:12] = value
    return found


def brats(
    root: Path, prefix="FeTS2022", table="Partition_ID,Subject_ID", centers=("4", "4", "4", "5", "5", "5")
):
    rows = [table]
    for number, center in enumerate(centers):
        case = f"{prefix}_{number:05d}"
        for place, channel in enumerate(("t1", "t1ce", "t2", "flair")):
            save(root / case / f"{case}_{channel}.nii.gz", volume(10 * number + place))
        save(root / case / f"{case}_seg.nii.gz", label((1, 2, 4)))
        rows.append(f"{center},FeTS2022_{number:05d}")
    if table:
        (root / "partitioning_1.csv").write_text("\n".join(rows) + "\n")


def hecktor(root: Path, cases=("CHUM001", "CHUM002", "CHUM003", "CHGJ001", "CHGJ002", "CHGJ003")):
    boxes = ["PatientID,x1,x2,y1,y2,z1,z2"]
    for number, case in enumerate(cases):
        save(root / f"hecktor_nii/{case}_ct.nii.gz", volume(number))
        # PET on a coarser grid that covers the same place
        coarse = volume(number, (4, 6, 5))
        save(root / f"hecktor_nii/{case}_pt.nii.gz", coarse, affine((2.0, 2.0, 2.0)))
        save(root / f"hecktor_nii/{case}_gtvt.nii.gz", label())
        boxes.append(f"{case},-9,-1,-11,-1,0,6")
    (root / "bbox.csv").write_text("\n".join(boxes) + "\n")


def hecktor2022(root: Path):
    for number, case in enumerate(("CHUM-001", "CHUM-002", "CHUM-003", "MDA-001", "MDA-002", "MDA-003")):
        save(root / f"imagesTr/{case}__CT.nii.gz", volume(number))
        save(root / f"imagesTr/{case}__PT.nii.gz", volume(number, (4, 6, 5)), affine((2.0, 2.0, 2.0)))
        save(root / f"labelsTr/{case}.nii.gz", label((1, 2)))


def panseg(root: Path, suffix="_0000"):
    for number, case in enumerate(("NYU_0001", "NYU_0002", "NYU_0003", "NU_0001", "NU_0002", "NU_0003")):
        save(root / f"imagesTr/{case}{suffix}.nii.gz", volume(number))
        save(root / f"labelsTr/{case}.nii.gz", label())


def msd(root: Path, *, num=6, version=1, channels=1):
    """Version 1: all channels in one file and a list of cases; 2: a file per channel."""
    names = [f"liver_{number:03d}" for number in range(num)]
    for number, case in enumerate(names):
        parts = [volume(10 * number + channel) for channel in range(channels)]
        if version == 2:
            for channel, values in enumerate(parts):
                save(root / f"imagesTr/{case}_{channel:04d}.nii.gz", values)
        else:
            save(root / f"imagesTr/{case}.nii.gz", parts[0] if channels == 1 else np.stack(parts, axis=-1))
        save(root / f"labelsTr/{case}.nii.gz", label((1, 2)))
        (root / f"imagesTr/._{case}.nii.gz").write_bytes(b"resource fork")
    about = {"labels": {"0": "background", "1": "left", "2": "right"}, "modality": {}}
    about["modality"] = {str(number): f"seq{number}" for number in range(channels)}
    about["training"] = [
        {"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in names
    ]
    if version == 2:
        about["channel_names"] = about.pop("modality")
        about["labels"] = {"background": 0, "whole": [1, 2], "right": 2}
        about |= {"numTraining": num, "file_ending": ".nii.gz"}
        del about["training"]
    (root / "dataset.json").write_text(json.dumps(about))


def lits(root: Path, numbers=(0, 1, 29, 30, 31, 59)):
    for number in numbers:
        save(root / f"batch/volume-{number}.nii", volume(number) - 300)
        save(root / f"batch/segmentation-{number}.nii", label((1, 2)))


def lits_slices(root: Path):
    for center, volumes in (("C1", (0, 1, 2)), ("C2", (30, 31, 32))):
        for number in volumes:
            for k in (7, 8):
                folder = root / f"data_{center}"
                picture(folder / f"images_{center}/image{number}_slice{k}.jpg", photo(number)[:, :, 0])
                picture(folder / f"masks_{center}/mask{number}_slice{k}.jpg", disc())


def polypgen(root: Path):
    for center in ("C1", "C6"):
        for number in range(3):
            picture(root / f"data_{center}/images_{center}/p{number}_1.jpg", photo(number))
            mask = np.repeat(disc()[:, :, None], 3, axis=2)
            picture(root / f"data_{center}/masks_{center}/p{number}_1_mask.jpg", mask)


def prostate(root: Path):
    for center, word in (("RUNMC", "segmentation"), ("BMC", "Segmentation")):
        for number in range(3):
            save(root / f"{center}/Case{number:02d}.nii.gz", volume(number))
            save(root / f"{center}/Case{number:02d}_{word}.nii.gz", label((1, 2)))


def prostate_fedsm(root: Path):
    for center in ("I2CVB", "Promise12"):
        for number in range(3):
            save(root / f"dataset/{center}/Image/p{number}.nii.gz", volume(number))
            save(root / f"dataset/{center}/Mask/p{number}.nii.gz", label())


def riga(root: Path):
    for domain in ("BinRushed", "MESSIDOR_Base1"):
        rows = ["image,mask"]
        for number in range(3):
            image, mask = f"img/{domain}/image{number}.tif", f"mask/{domain}/image{number}.tif"
            picture(root / image, photo(number))
            outline = disc()
            outline[6:10, 6:10] = 128
            picture(root / mask.replace(".tif", "-1.tif"), outline)
            rows.append(f"{image},{mask}")
        (root / f"{domain}.csv").write_text("\n".join(rows) + "\n")


def fundus(root: Path):
    for domain in ("Domain1", "Domain2"):
        for number in range(4):
            part = "test" if number == 3 else "train"
            picture(root / f"{domain}/{part}/ROIs/image/g{number}.png", photo(number))
            outline = 255 - disc(127)
            outline[6:10, 6:10] = 0
            picture(root / f"{domain}/{part}/ROIs/mask/g{number}.png", outline)


def mnms(root: Path, *, published=False):
    rows = ["External code,VendorName,Vendor,Centre,ED,ES"]
    for place, center in enumerate(("1", "2")):
        for number in range(3):
            case = f"A{place}B{number}"
            frames = np.stack([volume(10 * number + t) for t in range(5)], axis=-1)
            marked = np.stack([label((1, 2, 3)) * (t in (0, 3)) for t in range(5)], axis=-1)
            if published:
                image, mask = f"Training/{case}/{case}_sa", f"Training/{case}/{case}_sa_gt"
            else:
                image, mask = f"{center}/images/{case}_sa", f"{center}/masks/{case}_sa_gt"
            save(root / f"{image}.nii.gz", frames)
            save(root / f"{mask}.nii.gz", marked)
            rows.append(f"{case},Siemens,A,{center},0,3")
    if published:
        (root / "information.csv").write_text("\n".join(rows) + "\n")

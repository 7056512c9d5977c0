"""Rebuild the anatomical template of the simulated data set from a nilearn wheel.

    pip download --no-deps nilearn==0.14.1
    python tools/build_brainsim_asset.py nilearn-0.14.1-py3-none-any.whl [--check]

The wheel holds the ICBM152 2009a symmetric template at 1 mm, skull-stripped, with maps of gray and
white matter (Fonov et al., "Unbiased average age-appropriate atlases for pediatric studies",
NeuroImage 54, 2011). Each volume becomes the mean of 2 x 2 x 2 voxels, axes (z, y, x), uint8.
``--check`` writes nothing and fails if the file in the tree differs from what it would write.
"""

import argparse
import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import nibabel
import numpy as np
from scipy.ndimage import binary_fill_holes

TARGET = Path(__file__).parents[1] / "simulator/learning/data/assets/icbm152_2mm.npz"
MEMBER = "nilearn/datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
SHA256 = {
    "t1": "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6",
    "gm": "97a5ca69bd24db37a9cb7b32525e1733a209af904129bf1cd36da06d24243bed",
    "wm": "382d92812de4744f9c86c7a0e4f680dc317a0a50e4da1f0153618a6798c7b7db",
}


def read(wheel: zipfile.ZipFile, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a volume, axes (z, y, x), and the position of its first voxel in mm (z, y, x)."""
    packed = wheel.read(MEMBER.format(name))
    if hashlib.sha256(packed).hexdigest() != SHA256[name]:
        raise SystemExit(f"{MEMBER.format(name)}: not the volume of nilearn 0.14.1")
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(packed))
    return np.asarray(image.dataobj).T, np.asarray(image.affine)[2::-1, 3]


def halve(volume: np.ndarray) -> np.ndarray:
    """Average blocks of 2 x 2 x 2 voxels; an odd last plane is dropped (it is empty)."""
    even = volume[tuple(slice(0, size // 2 * 2) for size in volume.shape)].astype(np.float64)
    blocks = even.reshape([part for size in even.shape for part in (size // 2, 2)])
    return blocks.mean(axis=(1, 3, 5))


def build(path: Path) -> bytes:
    """Return the bytes of the asset."""
    with zipfile.ZipFile(path) as wheel:
        (t1, origin), (gm, _), (wm, _) = (read(wheel, name) for name in ("t1", "gm", "wm"))
    brain = binary_fill_holes(t1 > 0)
    inside = np.argwhere(brain)
    first = np.maximum(inside.min(axis=0) // 2 * 2 - 2, 0)
    box = tuple(slice(a, b) for a, b in zip(first, inside.max(axis=0) + 3, strict=True))
    volumes = {
        "t1": t1 * brain,
        "gm": gm * brain,
        "wm": wm * brain,
        "brain": brain * 255,
    }
    maps = {name: np.rint(halve(volume[box])).astype(np.uint8) for name, volume in volumes.items()}
    buffer = io.BytesIO()
    # the center of a block of two voxels lies half a voxel after the first one
    np.savez_compressed(buffer, origin_mm=(origin + first + 0.5).astype(np.float32), **maps)
    return buffer.getvalue()


def main() -> None:
    """Write the asset, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    content = build(options.wheel)
    if not options.check:
        TARGET.write_bytes(content)
    elif TARGET.read_bytes() != content:
        raise SystemExit(f"{TARGET.name} differs from what {options.wheel.name} gives")
    print(f"{TARGET.name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()

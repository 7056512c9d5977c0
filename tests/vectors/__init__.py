"""Numbers that the mathematics must reproduce; each file says where its numbers come from."""

import json
from pathlib import Path

import numpy as np

_FOLDER = Path(__file__).parent


def load(name):
    """The vector as a dictionary; its arrays, if any, under ``arrays``."""
    vector = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    archive = _FOLDER / f"{name}.npz"
    if archive.exists():
        with np.load(archive, allow_pickle=False) as arrays:
            vector["arrays"] = dict(arrays)
    return vector


def close(got, expected, vector):
    """Compare within the vector's own tolerance."""
    np.testing.assert_allclose(got, expected, **vector["tolerance"])

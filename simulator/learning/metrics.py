"""Dice, HD95 and ASSD of one case, with explicit policies for empty masks.

| truth | prediction | status | Dice | distances |
|---|---|---|---|---|
| some | some | ok | 2 overlap / (sum of both) | mm |
| empty | empty | both_empty | 1 (``empty="one"``) or NaN (``"exclude"``) | NaN |
| some | empty | missed | 0, never left out of a mean | NaN |
| empty | some | false_alarm | 0, never left out of a mean | NaN |

Distances are MONAI's: HD95 is the larger of the two directed 95th percentiles, ASSD the mean over
the surface voxels of both sides; surfaces are mask voxels with a face neighbor outside.
"""

from collections.abc import Sequence

import numpy as np
from monai.metrics.utils import get_mask_edges, get_surface_distance

STATUS_NAMES = ("ok", "both_empty", "missed", "false_alarm")
"""Meaning of the status codes 0, 1, 2, 3."""

OK, BOTH_EMPTY, MISSED, FALSE_ALARM = range(4)

Array = np.ndarray


def status_of(prediction: Array, truth: Array) -> int:
    """Return the status code of one structure."""
    if truth.any():
        return OK if prediction.any() else MISSED
    return FALSE_ALARM if prediction.any() else BOTH_EMPTY


def dice_score(prediction: Array, truth: Array, *, empty: str = "one") -> float:
    """Dice of two masks of equal shape; ``empty`` says what counts where both are empty."""
    total = int(prediction.sum()) + int(truth.sum())
    if total == 0:
        return 1.0 if empty == "one" else float("nan")
    return 2.0 * int((prediction & truth).sum()) / total


def surface_distances_mm(prediction: Array, truth: Array, spacing_mm: Sequence[float]) -> tuple[float, float]:
    """Return (HD95, ASSD) in mm of two masks, (nan, nan) unless both have a voxel."""
    if not (prediction.any() and truth.any()):
        return float("nan"), float("nan")
    surfaces = get_mask_edges(prediction, truth, crop=True)
    spacing = tuple(spacing_mm)
    there, back = (
        np.asarray(get_surface_distance(one, other, "euclidean", spacing), dtype=np.float64)
        for one, other in (surfaces, surfaces[::-1])
    )
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return float(hd95), float(np.concatenate([there, back]).mean())

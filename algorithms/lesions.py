"""How large the lesions of an image are, and how much a batch with small ones counts.

P. Schutte, V. Corbetta, R. Beets-Tan, W. Silva, "FedGS: Federated gradient scaling for heterogeneous
medical image segmentation", MICCAI 2024 Workshops (DeCaF), LNCS 15274, arXiv 2408.11701.
"""

from collections.abc import Sequence
from math import log, prod, tanh

import numpy as np


def smallest_ratio(mask: np.ndarray) -> float:
    """Return the size of an image over the bounding box of its smallest lesion, 0 without a lesion.

    Lesions are connected components of the bool ``mask``, diagonal neighbors included; the smallest
    has the fewest pixels, of equals the first in scan order. For data sets without a table of flags
    this stands in for the authors' blob detector (a reconstruction of ours).
    """
    from scipy import ndimage  # slow to import, and only tasks need it

    lesions, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    if count == 0:
        return 0.0
    smallest = int(np.bincount(lesions.reshape(-1))[1:].argmin())
    box = ndimage.find_objects(lesions)[smallest]
    return float(mask.size / prod(side.stop - side.start for side in box))


def scale_factor(
    foreground: Sequence[int], is_small: Sequence[bool], num_pixels: int, log_base: float
) -> float:
    """Return by how much the optimizer's step on a batch counts, at least 1.

    1 + (2/B)·Σ δ over the images with a small lesion; δ = tanh((log(A/|y|))²) with A pixels in all
    and |y| foreground pixels after augmentation, 1 where that left none.

    Args:
        foreground: |y| of each of the B images.
        is_small: whether each shows a small lesion before augmentation.
        num_pixels: A.
        log_base: base of the logarithm.
    """
    total = 0.0
    for pixels, small in zip(foreground, is_small, strict=True):
        if small:
            total += tanh((log(num_pixels / pixels) / log(log_base)) ** 2) if pixels else 1.0
    return 1.0 + 2.0 / len(foreground) * total

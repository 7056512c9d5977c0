"""How large the lesions of an item are."""

from math import prod

import numpy as np
from scipy import ndimage


def smallest_ratio(mask: np.ndarray) -> float:
    """Return the size of an image over the bounding box of its smallest lesion, 0 without a lesion.

    Lesions are connected components of the bool ``mask``, diagonal neighbors included; the smallest
    has the fewest pixels, of equals the first in scan order.
    """
    lesions, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    if count == 0:
        return 0.0
    smallest = int(np.bincount(lesions.reshape(-1))[1:].argmin())
    box = ndimage.find_objects(lesions)[smallest]
    return float(mask.size / prod(side.stop - side.start for side in box))

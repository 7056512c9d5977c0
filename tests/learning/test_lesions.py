"""How large lesions are."""

import numpy as np
import torch

from simulator.learning.cases import Case
from simulator.learning.lesions import smallest_ratio


def test_the_smallest_lesion_decides():
    image = np.zeros((20, 30), dtype=bool)
    assert smallest_ratio(image) == 0
    image[2:12, 3:13] = True
    assert smallest_ratio(image) == 6
    image[15, 20], image[16, 21], image[17, 20] = True, True, True  # one lesion of 3 x 2, by its corners
    assert smallest_ratio(image) == 100
    assert smallest_ratio(np.pad(np.ones((2, 2, 2), dtype=bool), 4)) == 1000 / 8


def test_a_case_knows_the_smallest_lesion_of_each_item():
    labels = torch.zeros(2, 2, 8, 8, dtype=torch.uint8)
    labels[0, 0, :4, :4], labels[0, 1, 6, 6:] = 1, 1
    case = Case(
        name="c", split="train", spacing_mm=(1.0, 1.0, 1.0), images=torch.zeros(2, 1, 8, 8), labels=labels
    )
    assert case.smallest_lesions == [32, 0]

"""Dice of single slices (or volumes), by how small their lesions are.

The measures by which FedGS is judged: P. Schutte, V. Corbetta, R. Beets-Tan, W. Silva, "FedGS: Federated
Gradient Scaling for Heterogeneous Medical Image Segmentation", MICCAI 2024 Workshops (DeCaF). Flags come
from connected components, not from the authors' blob detector.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.learning.cases import Case
from simulator.learning.metrics import dice_score


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionDice:
    """Collects the Dice of items, all structures taken together.

    An item is flagged if its size over the bounding box of its smallest lesion reaches ``threshold``.
    """

    threshold: float
    _scores: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in ("items", "nonempty", "small", "tiny", "large")}
    )

    def add(self, case: Case, decided: np.ndarray) -> None:
        """Score the items of a case; ``decided`` is bool ``(items, structures, *item)``."""
        truths = case.labels.cpu().numpy() > 0
        for prediction, truth, ratio in zip(decided, truths, case.smallest_lesions, strict=True):
            whole = truth.any(axis=0)
            score = dice_score(prediction.any(axis=0), whole)
            for name in self._groups(whole, ratio):
                self._scores[name].append(score)

    def _groups(self, truth: np.ndarray, ratio: float) -> Sequence[str]:
        if not truth.any():
            return ("items",)
        if ratio < self.threshold:
            return ("items", "nonempty", "large")
        tiny = truth.size >= self.threshold * truth.sum()
        return ("items", "nonempty", "small", "tiny") if tiny else ("items", "nonempty", "small")

    def report(self) -> Mapping[str, float]:
        """Means by group, NaN where a group is empty: ``dice_items`` all (an empty prediction of an empty
        mask counts 1), ``dice_nonempty`` those with a lesion (DiceN), ``dice_small`` those flagged
        (DiceS), ``dice_tiny`` those of them whose whole mask is that small too (DiceT), ``dice_large``
        those with a lesion that are not flagged (DiceL).
        """
        return {
            f"dice_{name}": math.fsum(scores) / len(scores) if scores else math.nan
            for name, scores in self._scores.items()
        }

"""A learning rate that falls when validation stands still, as in the GCML authors' single-site trainers.

J. Chen, Y. Yuan, IEEE TMI 2025, and the settings of their public code: constant for the first max(150, E/2)
of E epochs; from then on, after every epoch with the best one clip(E/10, 30, 50) or more epochs behind,
multiplied by 0.3, not below 1e-6.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulator.api import OPTIMIZER
from simulator.scenario.task import Plateau

_STATE = OPTIMIZER + "plateau"


@dataclass(slots=True, kw_only=True)
class FallingRate:
    """The learning rate of one model and what it depends on; epochs are counted from 1, by this model."""

    rule: Plateau
    lr: float
    best_loss: float = math.inf
    best_epoch: int = 0
    epochs: int = 0

    def after_epoch(self, loss: float) -> None:
        """Take the validation loss of the model after one more epoch; one that is no number is no best."""
        self.epochs += 1
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epochs
        if (
            self.epochs >= self.rule.hold_epochs
            and self.epochs - self.best_epoch >= self.rule.patience_epochs
        ):
            self.lr = min(self.lr, max(self.lr * self.rule.factor, self.rule.floor))

    def state(self) -> dict[str, np.ndarray]:
        """As it is kept with the optimizer's state."""
        return {_STATE: np.array([self.lr, self.best_loss, self.best_epoch, self.epochs])}


def falling_rate(rule: Plateau | None, lr: float, arrays: Mapping[str, np.ndarray]) -> FallingRate | None:
    """Return the rate that goes on from ``arrays``, or starts at ``lr``; None without a rule."""
    if rule is None:
        return None
    if _STATE not in arrays:
        return FallingRate(rule=rule, lr=lr)
    now, loss, best, epochs = arrays[_STATE].tolist()
    return FallingRate(rule=rule, lr=now, best_loss=loss, best_epoch=int(best), epochs=int(epochs))

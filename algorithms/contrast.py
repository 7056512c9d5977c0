"""How two models that learn together are coupled through their predictions.

Model i learns from model j, whose logits are constants. An element is one (batch entry, channel,
voxel), or one (batch entry, voxel) of a softmax. The divergence of Bernoulli (or categorical)
predictions is that of Y. Zhang et al., "Deep mutual learning", CVPR 2018. ``contrast="off"`` on the
label's region is GML (arXiv 2401.06180 and 2401.15434).

**The contrast is our reconstruction**, not an equation of the GCML paper: follow j where j is
right, keep away from j where it is wrong. Right and wrong are decidable, the receiver has labels.
"""

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Kind = Literal["correct_wrong", "correct_wrong_unguarded", "difference", "fg_bg", "off"]
Region = Literal["label", "union", "dilated_label", "all"]

_MAX_POOL = {3: functional.max_pool1d, 4: functional.max_pool2d, 5: functional.max_pool3d}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """The coupling term L_mut of one model, times ``lam``.

    Attributes:
        contrast: ``correct_wrong`` (attraction where j is right, hinged repulsion where j is wrong
            and i is right), ``correct_wrong_unguarded`` (wherever j is wrong), ``difference``
            (attraction minus the unguarded mean divergence; unbounded below), ``fg_bg`` (foreground
            plus ``b`` times background, no repulsion), ``off`` (divergence everywhere).
        region: where it acts: on the ``label``, its union with both decisions, the label dilated by
            a cube of side ``2 * dilation + 1`` voxels, or ``all``.
        lam: weight of the whole term.
        beta: weight of the repulsion.
        margin: divergence in nats beyond which nothing is repelled.
        b: weight of the background in ``fg_bg``.
        temperature: logits are divided by it, the divergence multiplied by its square.
    """

    contrast: Kind = "correct_wrong"
    region: Region = "union"
    dilation: int = 1
    lam: float = 1.0
    beta: float = 1.0
    margin: float = log(2)
    b: float = 0.0
    temperature: float = 1.0

    def __call__(self, own: Tensor, other: Tensor, target: Tensor) -> Tensor:
        """Return ``lam`` · L_mut(own ← other), a scalar.

        Args:
            own: logits (batch, channels, *spatial) of the model that learns; one channel more than
                structures means softmax over classes, the background first.
            other: logits of the other model; it gets no gradient.
            target: (batch, structures, *spatial) of 0 and 1.
        """
        other = other.detach()
        if own.shape[1] == target.shape[1] + 1:
            k = softmax_divergence(own, other, self.temperature)
            truth = _classes(target)
            own_decision, other_decision = (z.argmax(dim=1, keepdim=True) for z in (own, other))
        else:
            k = sigmoid_divergence(own, other, self.temperature)
            truth = target > 0
            own_decision, other_decision = own >= 0, other >= 0
        inside = self._region(truth, own_decision, other_decision)
        own_right, other_right = own_decision == truth, other_decision == truth
        return self.lam * self._term(k, inside, truth > 0, own_right, other_right)

    def _region(self, truth: Tensor, own: Tensor, other: Tensor) -> Tensor:
        """The set Ω of elements that count."""
        foreground = truth > 0
        if self.region == "label":
            return foreground
        if self.region == "union":
            return foreground | (own > 0) | (other > 0)
        if self.region == "dilated_label":
            edge, pool = 2 * self.dilation + 1, _MAX_POOL[truth.ndim]
            return pool(foreground.float(), edge, stride=1, padding=self.dilation) > 0
        return torch.ones_like(foreground)

    def _term(
        self, k: Tensor, inside: Tensor, foreground: Tensor, own_right: Tensor, other_right: Tensor
    ) -> Tensor:
        """L_mut; every mean runs over all elements of its set at once."""
        if self.contrast == "off":
            return mean_over(k, inside)
        if self.contrast == "fg_bg":
            rest = mean_over(k, inside & ~foreground) if self.b else 0.0
            return mean_over(k, inside & foreground) + self.b * rest
        attract = mean_over(k, inside & other_right)
        if self.beta == 0:
            return attract
        wrong = inside & ~other_right
        if self.contrast == "difference":
            return attract - self.beta * mean_over(k, wrong)
        if self.contrast == "correct_wrong":
            # pushing away from j has no direction: where i is wrong too it may push off the label
            wrong = wrong & own_right
        return attract + self.beta * mean_over((self.margin - k).relu(), wrong)


def sigmoid_divergence(own: Tensor, other: Tensor, temperature: float = 1.0) -> Tensor:
    """T²·KL(q‖p) per element, q = σ(other/T), p = σ(own/T), both ways of the Bernoulli variable.

    With ln(1 − p) = ln p − z this is (ln q − ln p) + (1 − q)(z_own − z_other): finite for any finite
    logits, exactly 0 for equal ones.
    """
    if temperature != 1:
        own, other = own / temperature, other / temperature
    k = functional.logsigmoid(other) - functional.logsigmoid(own) + torch.sigmoid(-other) * (own - other)
    return k if temperature == 1 else temperature**2 * k


def softmax_divergence(own: Tensor, other: Tensor, temperature: float = 1.0) -> Tensor:
    """T²·KL(q‖p) over the channels, shape (batch, 1, *spatial)."""
    log_p = functional.log_softmax(own / temperature, dim=1)
    log_q = functional.log_softmax(other / temperature, dim=1)
    return temperature**2 * (log_q.exp() * (log_q - log_p)).sum(dim=1, keepdim=True)


def mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of ``values`` over the chosen elements; 0 with zero gradient where there are none."""
    total = torch.where(chosen, values, 0.0).sum()
    return total / chosen.sum().clamp(min=1)


def _classes(target: Tensor) -> Tensor:
    """Class index (batch, 1, *spatial) of exclusive structures, 0 for the background."""
    numbers = torch.arange(1, target.shape[1] + 1, device=target.device, dtype=target.dtype)
    return (target * numbers.view(1, -1, *[1] * (target.ndim - 2))).sum(dim=1, keepdim=True).long()

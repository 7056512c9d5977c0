"""Supervised losses, from logits and in float32 or better.

``output`` is what a network returns: logits ``(batch, outputs, *spatial)`` or a sequence of them,
the main head first (deep supervision). ``target`` is ``(batch, structures, *spatial)`` of 0 and 1.

``jaccard_focal`` and ``jaccard_ce`` follow the single-site trainers of the GCML authors (Chen and
Yuan, "Decentralized Personalization for Federated Medical Image Segmentation via Gossip
Contrastive Mutual Learning", IEEE TMI 2025) for BraTS and PanSeg. ``dice_ce`` and ``dice`` are
*not* their losses: they are the usual ones of the field, for small experiments.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Output = Tensor | Sequence[Tensor]
Weights = tuple[float, ...] | None
HeadLoss = Callable[[Tensor, Tensor], Tensor]

_DICE_SMOOTHING = 1e-5  # MONAI's
_BRATS_SMOOTHING = 10.0
_PANSEG_SMOOTHING = 1.0
_CLAMP_LOGIT = math.log((1 - 1e-7) / 1e-7)  # probabilities within [1e-7, 1 - 1e-7]
_BRATS_MAIN, _BRATS_AUXILIARY = 0.4, 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One loss: what is minimized, and what selects models on validation cases.

    ``heads`` combines a value of each head, called in the order main, auxiliary heads, as ``train``
    combines the heads' losses. ``validation`` takes the logits of the main head for one whole case.
    """

    train: Callable[[Output, Tensor], Tensor]
    validation: Callable[[Tensor, Tensor], Tensor]
    heads: Callable[[Output, Tensor, HeadLoss], Tensor]
    softmax: bool = False


def make_loss(name: str, class_weight: Weights = None) -> Loss:
    """Return the loss of that name.

    Args:
        name: ``dice_ce``, ``dice``, ``jaccard_focal`` or ``jaccard_ce``.
        class_weight: shares of the overlap term by output channel, scaled to sum to 1; None: equal.
    """

    def weighted(head: Callable[[Tensor, Tensor, Weights], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda logits, target: head(logits, target, class_weight)

    if name == "jaccard_focal":
        head = weighted(jaccard_focal)
        return Loss(
            train=lambda output, target: brats_heads(output, target, head),
            validation=jaccard,
            heads=brats_heads,
        )
    if name == "jaccard_ce":
        head = weighted(jaccard_ce)
        return Loss(
            train=lambda output, target: panseg_heads(output, target, head),
            validation=hard_dice_loss,
            heads=panseg_heads,
            softmax=True,
        )
    head = weighted({"dice_ce": dice_ce, "dice": dice}[name])
    return Loss(
        train=lambda output, target: head(main_head(output), target), validation=head, heads=main_only
    )


def main_head(output: Output) -> Tensor:
    """The logits that predictions are made of."""
    return output if isinstance(output, Tensor) else output[0]


def decide(logits: Tensor, *, softmax: bool) -> Tensor:
    """Return the hard decision, bool ``(batch, structures, *spatial)``; a logit of 0 is positive.

    With softmax, channel 0 is the background and the largest logit wins.
    """
    if not softmax:
        return logits >= 0
    winner = logits.argmax(dim=1, keepdim=True)
    classes = torch.arange(1, logits.shape[1], device=logits.device)
    return winner == classes.view(1, -1, *[1] * (logits.ndim - 2))


def _mean_over_channels(per_channel: Tensor, class_weight: Weights) -> Tensor:
    """Weighted mean over the last axis, plain mean over what is before it."""
    if class_weight is None:
        return per_channel.mean()
    weight = per_channel.new_tensor(class_weight)
    return (per_channel * weight).sum(dim=-1).mean() / weight.sum()


def _wide(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one type of at least 32 bits."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits, target.to(logits.dtype)


def _spatial(tensor: Tensor) -> tuple[int, ...]:
    return tuple(range(2, tensor.ndim))


def _soft_dice(probability: Tensor, target: Tensor, class_weight: Weights) -> Tensor:
    """1 − soft Dice, sums over batch and voxels together."""
    axes = (0, *_spatial(target))
    overlap = (probability * target).sum(axes)
    total = probability.sum(axes) + target.sum(axes)
    ratio = (2 * overlap + _DICE_SMOOTHING) / (total + _DICE_SMOOTHING)
    return 1 - _mean_over_channels(ratio, class_weight)


def dice(logits: Tensor, target: Tensor, class_weight: Weights = None) -> Tensor:
    """Soft Dice loss, sigmoid (Milletari et al., "V-Net", 3DV 2016, without squares).

    Sums run over batch and voxels together, as MONAI's ``DiceLoss(sigmoid=True, batch=True)``.
    """
    logits, target = _wide(logits, target)
    return _soft_dice(torch.sigmoid(logits), target, class_weight)


def dice_ce(logits: Tensor, target: Tensor, class_weight: Weights = None) -> Tensor:
    """Soft Dice plus mean binary cross-entropy; a substitute, not the GCML authors' loss."""
    logits, target = _wide(logits, target)
    log_p = functional.logsigmoid(logits)  # one logarithm serves both terms
    cross_entropy = (logits - log_p - target * logits).mean()
    return _soft_dice(log_p.exp(), target, class_weight) + cross_entropy


def jaccard(logits: Tensor, target: Tensor, class_weight: Weights = None) -> Tensor:
    """Soft Jaccard distance with smoothing 10 per batch entry and channel."""
    logits, target = _wide(logits, target)
    p = torch.sigmoid(logits.clamp(-_CLAMP_LOGIT, _CLAMP_LOGIT))
    axes = _spatial(target)
    overlap = (p * target).sum(axes)
    union = p.sum(axes) + target.sum(axes) - overlap
    ratio = (overlap + _BRATS_SMOOTHING) / (union + _BRATS_SMOOTHING)
    return _mean_over_channels(1 - ratio, class_weight)


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Focal loss with γ = 2, mean over all elements (Lin et al., ICCV 2017)."""
    logits, target = _wide(logits, target)
    logits = logits.clamp(-_CLAMP_LOGIT, _CLAMP_LOGIT)
    cross_entropy = functional.softplus(logits) - target * logits
    return (torch.expm1(-cross_entropy).square() * cross_entropy).mean()


def jaccard_focal(logits: Tensor, target: Tensor, class_weight: Weights = None) -> Tensor:
    """One BraTS head: half Jaccard (weighted by class), half focal (not weighted)."""
    return 0.5 * jaccard(logits, target, class_weight) + 0.5 * focal(logits, target)


def main_only(output: Output, target: Tensor, head: HeadLoss) -> Tensor:
    """The main head alone."""
    return head(main_head(output), target)


def brats_heads(output: Output, target: Tensor, head: HeadLoss) -> Tensor:
    """0.4 × main head + 0.6 × mean of the auxiliary heads, all at full size."""
    main = head(main_head(output), target)
    if isinstance(output, Tensor) or len(output) == 1:
        return main
    auxiliary = torch.stack([head(logits, target) for logits in output[1:]])
    return _BRATS_MAIN * main + _BRATS_AUXILIARY * auxiliary.mean()


def _with_background(target: Tensor) -> Tensor:
    """One-hot classes with the background first, from exclusive structures."""
    return torch.cat([1 - target.sum(dim=1, keepdim=True), target], dim=1)


def jaccard_ce(logits: Tensor, target: Tensor, class_weight: Weights = None) -> Tensor:
    """One PanSeg head: half soft Jaccard over classes with smoothing 1, half cross-entropy.

    Softmax over background and structures, which must not overlap; the sums run over batch and
    voxels together, the background counts as a class.
    """
    logits, target = _wide(logits, target)
    log_p, one_hot = functional.log_softmax(logits, dim=1), _with_background(target)
    p, axes = log_p.exp(), (0, *_spatial(logits))
    overlap = (p * one_hot).sum(axes)
    union = p.sum(axes) + one_hot.sum(axes) - overlap
    ratio = (overlap + _PANSEG_SMOOTHING) / (union + _PANSEG_SMOOTHING)
    cross_entropy = -(one_hot * log_p).sum(dim=1).mean()
    return 0.5 * (1 - _mean_over_channels(ratio, class_weight)) + 0.5 * cross_entropy


def panseg_heads(output: Output, target: Tensor, head: HeadLoss) -> Tensor:
    """Main head plus auxiliary heads at weights ½, ¼, …, on labels reduced to their size, over the
    sum of all weights.
    """
    total, weights = head(main_head(output), target), 1.0
    auxiliary = [] if isinstance(output, Tensor) else list(output[1:])
    for level, logits in enumerate(auxiliary, start=1):
        size = list(logits.shape[2:])
        reduced = functional.interpolate(target.float(), size=size, mode="nearest-exact")
        total = total + 0.5**level * head(logits, reduced)
        weights += 0.5**level
    return total / weights


def hard_dice(logits: Tensor, target: Tensor, *, softmax: bool) -> Tensor:
    """Dice of the hard decision per batch entry and structure; 1 where both are empty."""
    decision, axes = decide(logits, softmax=softmax), _spatial(target)
    truth = target > 0
    overlap = (decision & truth).sum(axes).double()
    total = (decision.sum(axes) + truth.sum(axes)).double()
    return torch.where(total > 0, 2 * overlap / total.clamp(min=1), 1.0)


def hard_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 − mean hard Dice of the structures, of a softmax head."""
    return 1 - hard_dice(logits, target, softmax=True).mean()

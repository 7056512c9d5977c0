"""One stage of mutual learning at the receiver, with merge and gate: the task behind GCML and GML.

J. Chen, Y. Yuan, "Decentralized Personalization for Federated Medical Image Segmentation via Gossip
Contrastive Mutual Learning", IEEE TMI 2025. That both models train on the receiver's cases is
published; contrast and merge are our reconstruction.
"""

from math import isfinite, isnan
from typing import Any, Literal

from algorithms.contrast import Contrast, Kind, Region
from algorithms.merging import Rule, Standing, merge_weights
from algorithms.mixing import merge as merge_models
from algorithms.mixing import state_of
from algorithms.parts import is_finite
from simulator.api import Bundle, TaskContext

Optimizer = Literal["keep", "reset"]


def stage(
    ctx: TaskContext,
    local: Bundle,
    incoming: Bundle,
    *,
    epochs: int,
    first_epoch: int,
    contrast: Kind,
    region: Region,
    dilation: int,
    lam: float,
    beta: float,
    margin: float,
    b: float,
    temperature: float,
    heads: Literal["main", "all"],
    update: Literal["simultaneous", "alternating"],
    merge: Rule,
    gate: bool,
    optimizer_after_merge: Optimizer,
    num_cases_local: int,
    num_cases_incoming: int,
) -> Bundle:
    """Train both models together, merge them, and keep the local one if the gate refuses the merge.

    An incoming model that is not finite, or a loss that becomes so, is rejected: the local model
    trains alone instead. Meta: ``merge``, ``weights`` (as used), ``accepted``, ``rejected`` (reason
    or None), ``val_loss`` of local, incoming and merged model (None: not measured), ``loss``.

    Raises:
        ValueError: merge or gate needs validation cases and the site has none.
        Diverged: the local model alone diverges too.
    """
    if not is_finite(incoming):
        return _alone(ctx, local, epochs, first_epoch, merge, "the incoming model is not finite")
    coupling = Contrast(
        contrast=contrast, region=region, dilation=dilation, lam=lam, beta=beta, margin=margin,
        b=b, temperature=temperature,
    )  # fmt: skip
    own, other = ctx.train_together(
        local, incoming, epochs=epochs, first_epoch=first_epoch, coupling=coupling,
        alternating=update == "alternating", all_heads=heads == "all",
    )  # fmt: skip
    if not own.meta["finite"]:
        return _alone(ctx, local, epochs, first_epoch, merge, "the loss is not finite")
    cases = num_cases_local, num_cases_incoming
    return merge_and_gate(
        ctx, own, other, cases, rule=merge, gate=gate, optimizer_after_merge=optimizer_after_merge
    )


def transfer(ctx: TaskContext, incoming: Bundle, local: Bundle, **settings: Any) -> Bundle:
    """The stage for a method that keeps the incoming model, whose network may be another one: that is the
    outcome's, so it comes first.

    Raises:
        ValueError: the incoming model was rejected, and the local one is of another network.
    """
    outcome = stage(ctx, local, incoming, **settings)
    if local.network is not None and outcome.meta["weights"] != [0.0, 1.0]:
        reason = outcome.meta["rejected"] or "the incoming model has no finite validation loss"
        raise ValueError(f"{reason}, and {ctx.site} cannot go on with its own: it has another network")
    return outcome


def merge_and_gate(
    ctx: TaskContext,
    local: Bundle,
    incoming: Bundle,
    num_cases: tuple[int, int],
    *,
    rule: Rule,
    gate: bool,
    optimizer_after_merge: Optimizer,
) -> Bundle:
    """Merge two trained models; with ``gate`` only if that validates no worse than the local one."""
    losses, scores = zip(ctx.validate(local), ctx.validate(incoming), strict=True)
    has_cases = not all(isnan(loss) for loss in losses)
    own, other = (
        Standing(
            val_loss=losses[who] if has_cases else None,
            val_dice=scores[who] if has_cases else None,
            num_cases=num_cases[who],
        )
        for who in range(2)
    )
    weights = merge_weights(rule, own, other)
    arrays = merge_models([local, incoming], weights)
    if incoming.network != local.network and weights[0] == 0:
        arrays["counters"] = incoming.arrays["counters"]
    accepted, merged_loss = True, None
    if gate and weights[1] > 0:
        if not has_cases:
            raise ValueError("the gate needs validation cases; use gate: false")
        merged_loss = losses[1] if weights[1] == 1 else ctx.validate(Bundle(arrays=arrays))[0]
        accepted = merged_loss <= losses[0]
    state = state_of(local)
    if not accepted:
        weights, arrays = (1.0, 0.0), {name: local.arrays[name] for name in arrays}
    elif optimizer_after_merge == "reset":
        state = {}
    known = {"local": losses[0], "incoming": losses[1], "merged": merged_loss}
    meta = _report(rule, weights, accepted, None, known) | {"loss": local.meta["loss"]}
    return Bundle(arrays=arrays | state, meta=meta)


def _alone(ctx: TaskContext, local: Bundle, epochs: int, first_epoch: int, rule: Rule, reason: str) -> Bundle:
    """The round's local epochs without the rejected model."""
    trained = ctx.train(local, epochs=epochs, first_epoch=first_epoch)
    losses = {"local": None, "incoming": None, "merged": None}
    meta = _report(rule, (1.0, 0.0), False, reason, losses) | {"loss": trained.meta["loss"]}
    return Bundle(arrays=trained.arrays, meta=meta)


def _report(
    rule: Rule,
    weights: tuple[float, float],
    accepted: bool,
    rejected: str | None,
    losses: dict[str, Any],
) -> dict[str, Any]:
    known = {who: loss if loss is not None and isfinite(loss) else None for who, loss in losses.items()}
    return {
        "merge": rule,
        "weights": list(weights),
        "accepted": accepted,
        "rejected": rejected,
        "val_loss": known,
    }

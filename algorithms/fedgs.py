"""FedGS: the update that a site sends amplifies the steps it took on batches with small lesions.

P. Schutte, V. Corbetta, R. Beets-Tan, W. Silva, "FedGS: Federated gradient scaling for heterogeneous
medical image segmentation", MICCAI 2024 Workshops (DeCaF), LNCS 15274, arXiv 2408.11701.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import log, tanh
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from algorithms.common import Steps, fine_tuned
from algorithms.mixing import state_of, weighted_mean
from algorithms.parts import is_finite
from algorithms.server_based import Method, Work, in_order, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import site
from simulator.api import (
    OPTIMIZER,
    Algorithm,
    Bundle,
    Cost,
    Message,
    ModelSize,
    Node,
    Ref,
    SiteData,
    Task,
    TaskContext,
)

UPDATE = "scaled_update"
"""What a site sends instead of parameters: the sum of its scaled steps, to be subtracted."""
MOMENTUM = OPTIMIZER + "server_momentum"
"""The server's momentum; it never travels."""


class FedGS(ServerBased):
    """FedGS: local training is AdamW's; each step counts eta-fold in what is sent, without weight decay.

    eta is 1 for a batch without small lesions and grows with their share and smallness, see
    :func:`scale_factor`. An image (slice or volume) has a small lesion if its
    pixels over those of the bounding box of its smallest lesion reach ``small_threshold``. The
    defaults of ``log_base`` and ``small_threshold`` are the authors' for PolypGen (their log base for
    LiTS is 1000). ``scaling: false`` is the comparator with eta 1. A last batch that is not full is
    left out. ``missing: discard`` keeps the old model unless every site that was asked answers.
    """

    name: Literal["fedgs"] = "fedgs"
    local_epochs: Annotated[int, Field(ge=1)] = 5
    sender_weights: Literal["steps", "cases", "uniform"] = "steps"
    log_base: Annotated[float, Field(gt=1)] = 100.0
    small_threshold: Annotated[float, Field(ge=1)] = 150.0
    scaling: bool = True
    server_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    missing: Literal["proceed", "discard"] = "proceed"

    def answers_needed(self, num_wanted: int) -> int:
        """Answers without which a round counts for nothing, of those wanted."""
        return num_wanted if self.missing == "discard" else super().answers_needed(num_wanted)


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


def factor_of(batch: Any, *, log_base: float, small_threshold: float) -> float:
    """Return the scale factor of a batch; lesions of all structures count together."""
    foreground = (batch.labels > 0).any(dim=1).flatten(1)
    is_small = [case.smallest_lesions[number] >= small_threshold for case, number in batch.items]
    return scale_factor(foreground.sum(dim=1).tolist(), is_small, foreground.shape[1], log_base)


def train_scaled(
    ctx: TaskContext,
    received: Bundle,
    own: Bundle | None = None,
    *,
    scaling: bool,
    log_base: float,
    small_threshold: float,
    epochs: int,
    first_epoch: int,
    keep_optimizer: bool,
) -> Bundle:
    """Local epochs by AdamW, and the sum of their scaled steps (a task function).

    ``own`` is the site's last outcome, for an optimizer that goes on. Meta: ``loss``, ``steps`` and
    the mean scale factor ``eta``.
    """
    pupil = ctx.pupil(received, "local", state=own)
    total: Any = None
    factors: list[float] = []

    def step(batch: Any) -> Any:
        nonlocal total
        loss = pupil.supervised(pupil.output(batch), batch)
        pupil.step(loss)
        eta = factor_of(batch, log_base=log_base, small_threshold=small_threshold) if scaling else 1.0
        factors.append(eta)
        scaled = pupil.adam_update() * eta
        total = scaled if total is None else total.add_(scaled)
        return loss.detach()

    losses, steps = ctx.epochs(step, epochs=epochs, first_epoch=first_epoch, drop_last=True)
    mean = sum(factors) / len(factors)
    trained = pupil.bundle(keep_optimizer=keep_optimizer, loss=losses, steps=steps, eta=mean)
    arrays = {UPDATE: total.cpu().numpy(), "buffers": trained.arrays["buffers"]} | state_of(trained)
    return Bundle(arrays=arrays, meta=trained.meta)


def server_step(
    ctx: TaskContext, state: Bundle, *updates: Bundle, weights: Sequence[float], server_momentum: float
) -> Bundle:
    """Subtract the mean update, with momentum if wanted, and average float buffers (a task function).

    An update with a value that is not finite, as a coarse codec can make it, is left out; meta
    ``rejected`` counts them. Integer buffers stay the server's.
    """
    good = [place for place, update in enumerate(updates) if is_finite(update, UPDATE)]
    meta = {"rejected": len(updates) - len(good)}
    if not good:
        return Bundle(arrays=state.arrays, meta=meta)
    share = sum(weights[place] for place in good)
    shares = [weights[place] / share for place in good]
    chosen = [updates[place].arrays for place in good]
    step = weighted_mean([arrays[UPDATE].astype(np.float64) for arrays in chosen], shares)
    if server_momentum and MOMENTUM in state.arrays:
        step = server_momentum * state.arrays[MOMENTUM] + step
    model = state.arrays["model"]
    arrays = {
        "model": (model.astype(np.float64) - step).astype(model.dtype),
        "buffers": weighted_mean([arrays["buffers"] for arrays in chosen], shares),
        "counters": state.arrays["counters"],
    }
    return Bundle(arrays=arrays | ({MOMENTUM: step} if server_momentum else {}), meta=meta)


def _train_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Full batches only, and a multiply-add per parameter and step."""
    epochs = params["epochs"]
    scaling = 2.0 * model.num_parameters * data.full_batches * epochs
    return Cost(train_items=data.full_items * epochs, flop=scaling)


def _step_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    return Cost(flop=2.0 * num_inputs * (model.num_parameters + model.num_buffers))


def _payload(model: ModelSize, params: Mapping[str, Any]) -> tuple[int, ...]:
    return model.num_buffers, model.num_parameters


TRAIN = Task(
    name="train_scaled",
    function="algorithms.fedgs:train_scaled",
    version=1,
    cost=_train_cost,
    data="own",
    seeded="site",
    reported=True,
    change=True,
    payload=_payload,
)
STEP = Task(
    name="fedgs_step", function="algorithms.fedgs:server_step", version=1, cost=_step_cost, reported=True
)


def local(node: Node, cfg: FedGS, state: Ref, own: Ref | None, round_: int) -> Steps:
    """Local epochs from the model received; the optimizer is fresh unless it persists."""
    persistent = cfg.optimizer_state == "persistent"
    update = yield node.compute(
        TRAIN,
        *((state, own) if persistent and own is not None else (state,)),
        scaling=cfg.scaling,
        log_base=cfg.log_base,
        small_threshold=cfg.small_threshold,
        epochs=cfg.local_epochs,
        first_epoch=round_ * cfg.local_epochs,
        keep_optimizer=persistent,
        round=round_,
    )
    return Work(update=update, own=update, header={"steps": cfg.local_epochs * node.data.full_batches})


def aggregate(node: Node, cfg: FedGS, state: Ref, answers: Mapping[str, Message], round_: int) -> Steps:
    """Step the server's model."""
    updates, weights = in_order(node, cfg, answers)
    return (
        yield node.compute(
            STEP, state, *updates, weights=weights, server_momentum=cfg.server_momentum, round=round_
        )
    )


def check_steps(cfg: FedGS, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """The rule is AdamW's, and a site without a full batch would take no step."""
    if task.optimizer.name != "adamw":
        return (
            f"task.optimizer: fedgs sends AdamW's steps without their weight decay, and this is "
            f"{task.optimizer.name}; write {{name: adamw, lr: …}}"
        )
    for name, known in sorted(data.items()):
        if not known.full_batches:
            return (
                f"task.batch_size: {name} has {known.train_items} items, not one full batch of "
                f"{task.batch_size}, and fedgs drops batches that are not full; use a smaller batch"
            )
    return check(cfg, data, model, task)


METHOD = Method(local=local, aggregate=aggregate)
FEDGS = Algorithm(
    settings=FedGS,
    site=fine_tuned(partial(site, method=METHOD)),
    server=partial(server, method=METHOD),
    check=check_steps,
    summary="FedAvg of steps, amplified where lesions are small",
    source="Schutte et al., MICCAI Workshops (DeCaF) 2024",
)

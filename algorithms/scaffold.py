"""SCAFFOLD: controls correct the drift of sites whose data differ.

S. P. Karimireddy et al., "SCAFFOLD: stochastic controlled averaging for federated learning", ICML
2020.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from algorithms.common import Positive, Steps, fine_tuned
from algorithms.mixing import weighted_mean
from algorithms.server_based import Method, Work, in_order, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import lasting, site
from algorithms.tasks import epochs_cost
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

OWN_CONTROL = OPTIMIZER + "control"
"""A site's control, which stays at home; what travels is ``control``: the server's, or a difference."""


class Scaffold(ServerBased):
    """SCAFFOLD, option II: model and control travel both ways, twice FedAvg's bytes.

    Every gradient is corrected by the server's control minus the site's own. The new control of a
    site is its mean gradient of the round, which under plain SGD is the paper's
    c_i − c + (x − y)/(K·lr). ``any_optimizer`` allows others, weight decay and clipping: then the control
    is still the mean gradient of the loss, and the correction passes through whatever the optimizer makes
    of a gradient (our generalization).
    """

    name: Literal["scaffold"] = "scaffold"
    sender_weights: Literal["uniform", "cases", "steps"] = "uniform"
    server_lr: Positive = 1.0
    any_optimizer: bool = False


def corrected_epochs(
    ctx: TaskContext,
    received: Bundle,
    own: Bundle | None = None,
    *,
    epochs: int,
    first_epoch: int,
    keep_optimizer: bool = False,
) -> Bundle:
    """Local epochs with corrected gradients (a task function): differences of model and control
    travel, the new control stays.
    """
    import torch  # algorithms are imported where torch is not

    x = received.arrays["model"]
    control = received.arrays.get("control", np.zeros_like(x))
    before = np.zeros_like(x) if own is None else own.arrays[OWN_CONTROL]
    pupil = ctx.pupil(received, "local", state=own if keep_optimizer else None)
    correction = torch.tensor(control - before).to(pupil.flat().device)
    total = torch.zeros_like(correction)

    def step(batch: Any) -> Any:
        loss = pupil.supervised(pupil.output(batch), batch)
        gradient = torch.autograd.grad(loss, pupil.parameters)
        total.add_(torch.cat([values.reshape(-1) for values in gradient]))
        offsets = torch.split(correction, [values.numel() for values in gradient])
        pairs = zip(gradient, offsets, strict=True)
        pupil.apply([values + offset.view_as(values) for values, offset in pairs])
        return loss.detach()

    losses, steps = ctx.epochs(step, epochs=epochs, first_epoch=first_epoch)
    trained = pupil.bundle(keep_optimizer=keep_optimizer, loss=losses, steps=steps)
    after = (total / steps).cpu().numpy()
    arrays = dict(trained.arrays) | {
        "model": trained.arrays["model"] - x,
        "control": after - before,
        OWN_CONTROL: after,
    }
    return Bundle(arrays=arrays, meta=trained.meta)


def server_step(
    ctx: TaskContext,
    state: Bundle,
    *updates: Bundle,
    weights: Sequence[float],
    server_lr: float,
    num_sites: int,
) -> Bundle:
    """X + lr·mean of differences; c + (answers/N)·mean of control differences (a task function)."""
    kind = state.arrays["model"].dtype
    x = state.arrays["model"].astype(np.float64)
    control = state.arrays.get("control", np.zeros_like(x)).astype(np.float64)
    step = weighted_mean([update.arrays["model"].astype(np.float64) for update in updates], weights)
    turn = sum(update.arrays["control"].astype(np.float64) for update in updates) / num_sites
    return Bundle(
        arrays={
            "model": (x + server_lr * step).astype(kind),
            "control": (control + turn).astype(kind),
            "buffers": weighted_mean([update.arrays["buffers"] for update in updates], weights),
            "counters": updates[0].arrays["counters"],
        }
    )


def _payload(model: ModelSize, params: Mapping[str, Any]) -> tuple[int, ...]:
    return model.num_buffers, model.num_parameters, model.num_parameters


def _step_cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    return Cost(flop=2.0 * num_inputs * (2 * model.num_parameters + model.num_buffers))


TRAIN = Task(
    name="train_corrected",
    function="algorithms.scaffold:corrected_epochs",
    version=1,
    cost=epochs_cost,
    data="own",
    seeded="site",
    change=True,
    payload=_payload,
)
STEP = Task(
    name="scaffold_step",
    function="algorithms.scaffold:server_step",
    version=1,
    cost=_step_cost,
    stateful=False,
    payload=_payload,
)


def local(node: Node, cfg: Scaffold, state: Ref, own: Ref | None, round_: int) -> Steps:
    """Local epochs with the correction; the new control counts once the server has the difference."""
    update = yield node.compute(
        TRAIN,
        *(ref for ref in (state, own) if ref is not None),
        epochs=cfg.local_epochs,
        first_epoch=round_ * cfg.local_epochs,
        round=round_,
        **lasting(cfg),
    )
    return Work(update=update, own=update)


def aggregate(node: Node, cfg: Scaffold, state: Ref, answers: Mapping[str, Message], round_: int) -> Steps:
    """Step the server's model and control."""
    updates, weights = in_order(node, cfg, answers)
    return (
        yield node.compute(
            STEP,
            state,
            *updates,
            weights=weights,
            server_lr=cfg.server_lr,
            num_sites=len(node.sites),
            round=round_,
        )
    )


def check_optimizer(cfg: Scaffold, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """Under other optimizers than plain SGD the method is not the published one."""
    one = task.optimizer
    plain = one.name == "sgd" and not (one.momentum or one.weight_decay or one.clip_norm)
    if not (plain or cfg.any_optimizer):
        return (
            "task.optimizer: scaffold is defined for plain SGD; write {name: sgd, lr: …} without momentum, "
            "weight_decay and clip_norm, or algorithm.any_optimizer: true for our generalization"
        )
    return check(cfg, data, model, task)


METHOD = Method(local=local, aggregate=aggregate, own_if_delivered=True)
SCAFFOLD = Algorithm(
    settings=Scaffold,
    site=fine_tuned(partial(site, method=METHOD)),
    server=partial(server, method=METHOD),
    check=check_optimizer,
    summary="FedAvg with controls that correct the drift of unlike sites",
    source="Karimireddy et al., ICML 2020",
)

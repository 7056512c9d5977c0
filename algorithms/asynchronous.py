"""FedAsync and FedBuff: a server that never waits for anybody.

C. Xie, S. Koyejo, I. Gupta, "Asynchronous federated optimization", arXiv 1903.03934, 2019.
J. Nguyen et al., "Federated learning with buffered asynchronous aggregation", AISTATS 2022.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from algorithms.asynchronous_desk import Asynchronous, Turn
from algorithms.asynchronous_roles import check, server, site
from algorithms.common import Count, Positive, Share, Steps, fine_tuned, train_round
from algorithms.mixing import merge, weighted_mean
from algorithms.tasks import CARRY, TRAIN_PROX, free, mean_cost
from simulator.api import Algorithm, Bundle, Message, Node, Ref, Task, TaskContext, only_with


class FedAsync(Asynchronous):
    """FedAsync: each arriving model is mixed in at once, w ← (1 − α·s(d))·w + α·s(d)·w_i.

    d counts the updates since the site's download. ``staleness``: s = 1 (constant), (1 + d)^−a
    (polynomial), or 1 up to b and 1/(a·(d − b) + 1) beyond (hinge). Sites stay near the model they
    received with weight ``rho``.
    """

    name: Literal["fedasync"] = "fedasync"
    alpha: Share = 0.6
    rho: Annotated[float, Field(ge=0)] = 0.005
    staleness: Literal["constant", "polynomial", "hinge"] = "polynomial"
    a: Positive | None = None
    b: Annotated[int, Field(ge=0)] = 4

    @model_validator(mode="after")
    def _of_this_staleness(self) -> "FedAsync":
        only_with(self, "staleness", {"a": ("polynomial", "hinge"), "b": ("hinge",)})
        return self

    def weight(self, staleness: int) -> float:
        """The share α_t of a model so stale; ``a`` is .5 for polynomial and 10 for hinge by default."""
        if self.staleness == "constant":
            return self.alpha
        if self.staleness == "polynomial":
            return float(self.alpha * (1 + staleness) ** -(self.a or 0.5))
        beyond = max(staleness - self.b, 0)
        return self.alpha / ((self.a or 10.0) * beyond + 1)


class FedBuff(Asynchronous):
    """FedBuff: w ← w − server_lr/B · Σ Δ_i/√(1 + d_i) after every B arrivals; Δ = received − trained.

    d counts flushes since the site's download. B is ``buffer``, by default min(10, ⌈N/2⌉). What is in
    the buffer dies with the server.
    """

    name: Literal["fedbuff"] = "fedbuff"
    buffer: Count | None = None
    server_lr: Positive = 1.0


def blend(ctx: TaskContext, model: Bundle, arrived: Bundle, *, share: float) -> Bundle:
    """(1 − share)·model + share·arrived (a task function)."""
    return Bundle(arrays=merge([model, arrived], [1 - share, share]), meta={"share": share})


def difference(ctx: TaskContext, received: Bundle, trained: Bundle) -> Bundle:
    """What a site sends in FedBuff: received minus trained parameters, its own buffers (a task
    function).
    """
    arrays = {name: trained.arrays[name] for name in ("buffers", "counters")}
    return Bundle(arrays=arrays | {"model": received.arrays["model"] - trained.arrays["model"]})


def flush(
    ctx: TaskContext, model: Bundle, *deltas: Bundle, scales: Sequence[float], server_lr: float
) -> Bundle:
    """Model − server_lr/B · Σ scale·delta; the mean of the buffers (a task function)."""
    total = sum(
        scale * delta.arrays["model"].astype(np.float64) for scale, delta in zip(scales, deltas, strict=True)
    )
    values = model.arrays["model"].astype(np.float64) - server_lr * total / len(deltas)
    alike = [1 / len(deltas)] * len(deltas)
    return Bundle(
        arrays={
            "model": values.astype(model.arrays["model"].dtype),
            "buffers": weighted_mean([delta.arrays["buffers"] for delta in deltas], alike),
            "counters": model.arrays["counters"].copy(),
        }
    )


BLEND = Task(
    name="blend", function="algorithms.asynchronous:blend", version=1, cost=mean_cost, stateful=False
)
DIFFERENCE = Task(
    name="difference",
    function="algorithms.asynchronous:difference",
    version=1,
    cost=free,
    stateful=False,
    change=True,
)
FLUSH = Task(
    name="flush", function="algorithms.asynchronous:flush", version=1, cost=mean_cost, stateful=False
)


def with_optimizer(node: Node, cfg: Asynchronous, received: Ref) -> Steps:
    """The model received, with the optimizer of the site's last one if it persists."""
    own = node.durable.get("own")
    if own is None or cfg.optimizer_state == "reset":
        return received
    return (yield node.compute(CARRY, received, own))


def train_near(node: Node, cfg: FedAsync, received: Ref, round_: int) -> Steps:
    """FedAsync's local work: epochs held near the model received."""
    epochs, first = cfg.local_epochs, round_ * cfg.local_epochs
    start = yield from with_optimizer(node, cfg, received)
    model = yield node.compute(TRAIN_PROX, start, mu=cfg.rho, epochs=epochs, first_epoch=first, round=round_)
    node.durable["own"] = model
    return model


def mix_in(node: Node, cfg: FedAsync, turn: Turn, message: Message, staleness: int) -> Steps:
    """Mix an arrived model in: a new version."""
    model = yield node.compute(BLEND, turn.model, message.model, share=cfg.weight(staleness))
    return Turn(model=model, version=turn.version + 1)


def train_and_subtract(node: Node, cfg: FedBuff, received: Ref, round_: int) -> Steps:
    """FedBuff's local work: what training took away from the model received."""
    start = yield from with_optimizer(node, cfg, received)
    model = node.durable["own"] = yield from train_round(node, cfg, start, round_)
    return (yield node.compute(DIFFERENCE, received, model))


def keep_or_flush(node: Node, cfg: FedBuff, turn: Turn, message: Message, staleness: int) -> Steps:
    """Keep an arrived difference; with a full buffer, step: a new version."""
    waiting = (*turn.waiting, (message.src, message.model, (1 + staleness) ** -0.5))
    if len(waiting) < (cfg.buffer or min(10, -(-len(node.sites) // 2))):
        return Turn(model=turn.model, version=turn.version, waiting=waiting)
    in_order = sorted(waiting, key=lambda one: one[0])  # by site; the oldest first of one site
    scales = [scale for _, _, scale in in_order]
    model = yield node.compute(
        FLUSH, turn.model, *(ref for _, ref, _ in in_order), scales=scales, server_lr=cfg.server_lr
    )
    return Turn(model=model, version=turn.version + 1)


def _algorithm(settings: Any, work: Any, absorb: Any, texts: Mapping[str, Any]) -> Algorithm:
    return Algorithm(
        settings=settings,
        site=fine_tuned(partial(site, work=work, absorb=absorb)),
        server=partial(server, absorb=absorb),
        check=check,
        **texts,
    )


FEDASYNC = _algorithm(
    FedAsync,
    train_near,
    mix_in,
    {
        "summary": "a server mixes in every model at once, the staler the less",
        "source": "Xie, Koyejo, Gupta, arXiv 1903.03934, 2019",
    },
)
FEDBUFF = _algorithm(
    FedBuff,
    train_and_subtract,
    keep_or_flush,
    {
        "summary": "a server steps after every few arrivals, the staler the less",
        "source": "Nguyen et al., AISTATS 2022",
    },
)

"""APFL: each site learns how much of a private and of the averaged model it uses.

Y. Deng, M. Kamani, M. Mahdavi, "Adaptive personalized federated learning", arXiv 2003.13461, 2020.
"""

from functools import partial
from typing import Any, Literal

import numpy as np

from algorithms.common import Share, Steps, fine_tuned
from algorithms.defenses import Defended
from algorithms.parts import ARRAYS
from algorithms.server_based import Method, Work, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import lasting, site
from algorithms.tasks import free, twice_epochs_cost
from simulator.api import OPTIMIZER, Algorithm, Bundle, Node, Ref, Task, TaskContext

PRIVATE, ALPHA = OPTIMIZER + "private.", OPTIMIZER + "alpha"
"""Beginning of the names of the private model's arrays, and the share: both stay at home."""


class Apfl(Defended, ServerBased):
    """APFL: a private model v, FedAvg's model w, and a share alpha; the site uses alpha·v + (1−alpha)·w
    with the w that it trained.

    ``alpha`` is where the share starts; ``adaptive`` lets it learn once a round, with the learning
    rate of the optimizer. Compute doubles.
    """

    name: Literal["apfl"] = "apfl"
    when_server_lost: Literal["stop", "train_alone", "elect"] = "stop"
    alpha: Share = 0.5
    adaptive: bool = True


def next_alpha(alpha: float, difference: Any, gradient: Any, learning_rate: float) -> float:
    """Return alpha after a step: clip(alpha − η·⟨v − w, ∇f(mixed)⟩, 0, 1); flat vectors."""
    return min(max(alpha - learning_rate * float((difference * gradient).sum()), 0.0), 1.0)


def train_both(
    ctx: TaskContext,
    received: Bundle,
    own: Bundle | None = None,
    *,
    alpha: float,
    adaptive: bool,
    epochs: int,
    first_epoch: int,
    keep_optimizer: bool = False,
) -> Bundle:
    """Local epochs of w and v (a task function). In every step w learns first, then v with the
    gradient at the mixed model times alpha; in the first step of a round alpha learns after both.
    """
    import torch  # algorithms are imported where torch is not

    share = alpha if own is None else float(own.arrays[ALPHA][0])
    before = received if own is None else private_of(own)
    going_on = keep_optimizer and own is not None
    shared = ctx.pupil(received, "local", state=own if going_on else None)
    private = ctx.pupil(before, "private", state=before if going_on else None)
    mixed = ctx.pupil(before, "incoming")

    def mix() -> None:
        with torch.no_grad():
            for into, v, w in zip(mixed.parameters, private.parameters, shared.parameters, strict=True):
                into.copy_(share * v + (1 - share) * w)

    def gradient(batch: Any) -> list[Any]:
        mix()
        loss = mixed.supervised(mixed.output(batch), batch)
        return list(torch.autograd.grad(loss, mixed.parameters))

    def step(batch: Any) -> Any:
        nonlocal share, adaptive
        loss = shared.supervised(shared.output(batch), batch)
        shared.step(loss)
        private.apply([share * values for values in gradient(batch)])
        if adaptive:
            adaptive = False  # once a round
            slope = torch.cat([values.reshape(-1) for values in gradient(batch)])
            share = next_alpha(share, (private.flat() - shared.flat()).detach(), slope, ctx.learning_rate)
        return loss.detach()

    losses, steps = ctx.epochs(step, epochs=epochs, first_epoch=first_epoch)
    mix()
    after = private.bundle(keep_optimizer=keep_optimizer).arrays
    kept = {PRIVATE + name: array for name, array in after.items()}
    # what normalization layers have seen belongs to the mixed model, which is the one that is used
    seen = mixed.bundle(keep_optimizer=False).arrays
    kept |= {PRIVATE + name: seen[name] for name in ARRAYS[1:]}
    update = shared.bundle(keep_optimizer=keep_optimizer, loss=losses, steps=steps)
    return Bundle(arrays=dict(update.arrays) | kept | {ALPHA: np.array([share])}, meta=update.meta)


def private_of(own: Bundle) -> Bundle:
    """The private model of an outcome, with its optimizer's state if that goes on."""
    return Bundle(
        arrays={n.removeprefix(PRIVATE): array for n, array in own.arrays.items() if n.startswith(PRIVATE)}
    )


def mixture(ctx: TaskContext, trained: Bundle) -> Bundle:
    """alpha·v + (1−alpha)·w (a task function)."""
    share, private = float(trained.arrays[ALPHA][0]), private_of(trained)
    values = share * private.arrays["model"] + (1 - share) * trained.arrays["model"]
    arrays = {name: private.arrays[name] for name in ARRAYS[1:]}
    arrays["model"] = values.astype(trained.arrays["model"].dtype)
    return Bundle(arrays=arrays, meta={"alpha": share})


TRAIN_BOTH = Task(
    name="train_both",
    function="algorithms.apfl:train_both",
    version=1,
    cost=twice_epochs_cost,
    data="own",
    seeded="site",
)
MIXTURE = Task(
    name="mixture", function="algorithms.apfl:mixture", version=1, cost=free, stateful=False, reported=True
)


def local(node: Node, cfg: Apfl, state: Ref, own: Ref | None, round_: int) -> Steps:
    """Train both models; use their mixture."""
    trained = yield node.compute(
        TRAIN_BOTH,
        *(ref for ref in (state, own) if ref is not None),
        alpha=cfg.alpha,
        adaptive=cfg.adaptive,
        epochs=cfg.local_epochs,
        first_epoch=round_ * cfg.local_epochs,
        round=round_,
        **lasting(cfg),
    )
    personal = yield node.compute(MIXTURE, trained, round=round_)
    return Work(update=trained, own=trained, personal=personal)


METHOD = Method(local=local, personal=True)
APFL = Algorithm(
    settings=Apfl,
    site=fine_tuned(partial(site, method=METHOD)),
    server=partial(server, method=METHOD),
    check=check,
    summary="FedAvg and, at each site, a learned mixture with a private model",
    source="Deng et al., arXiv 2003.13461, 2020",
)

"""MOON: FedAvg whose sites keep their features near the received model's and away from their own last.

Q. Li, B. He, D. Song, "Model-contrastive federated learning", CVPR 2021. Features are those of the
bottleneck, averaged over space, without a projection head, as in a segmentation benchmark.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from algorithms.common import Positive, Steps, fine_tuned
from algorithms.defenses import Defended
from algorithms.server_based import Method, Work, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import lasting, site
from simulator.api import Algorithm, Bundle, Cost, ModelSize, Node, Ref, SiteData, Task, TaskContext


class Moon(Defended, ServerBased):
    """MOON: the loss gains mu times the model-contrastive loss at temperature ``tau``.

    Three forward passes per batch. In a site's first round the last model is the one received, so
    the term is ln 2 and teaches nothing.
    """

    name: Literal["moon"] = "moon"
    mu: Positive = 0.01
    tau: Positive = 0.5


def contrastive(features: Any, received: Any, previous: list[Any], tau: float) -> Any:
    """Return the model-contrastive loss of each batch entry.

    −ln(e^(cos(z, z_g)/τ) / (e^(cos(z, z_g)/τ) + Σ e^(cos(z, z_prev)/τ))), all ``(batch, channels)``.
    """
    import torch  # algorithms are imported where torch is not

    towards = [torch.cosine_similarity(features, other, dim=1) / tau for other in (received, *previous)]
    return torch.logsumexp(torch.stack(towards), dim=0) - towards[0]


def train_contrastive(
    ctx: TaskContext,
    received: Bundle,
    own: Bundle | None = None,
    *,
    mu: float,
    tau: float,
    epochs: int,
    first_epoch: int,
    keep_optimizer: bool = False,
) -> Bundle:
    """Local epochs with the contrastive term (a task function); ``own`` is the site's last model."""
    import torch  # algorithms are imported where torch is not

    pupil = ctx.pupil(received, "local", state=own if keep_optimizer else None)
    frozen = [ctx.pupil(received, "incoming"), ctx.pupil(received if own is None else own, "previous")]
    for model in frozen:
        model.module.eval()

    def step(batch: Any) -> Any:
        output, features = pupil.output_and_features(batch)
        with torch.no_grad():
            others = [model.output_and_features(batch)[1] for model in frozen]
        loss = pupil.supervised(output, batch)
        pupil.step(loss + mu * contrastive(features, others[0], others[1:], tau).mean())
        return loss.detach()

    losses, steps = ctx.epochs(step, epochs=epochs, first_epoch=first_epoch)
    return pupil.bundle(keep_optimizer=keep_optimizer, loss=losses, steps=steps)


def _cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    items = data.train_items * params["epochs"]
    return Cost(train_items=items, forward_items=2 * items)


TRAIN = Task(
    name="train_contrastive",
    function="algorithms.moon:train_contrastive",
    version=1,
    cost=_cost,
    data="own",
    seeded="site",
    stateful=False,
)
TRAIN_ON = replace(TRAIN, stateful=True)
"""The same with an optimizer that goes on."""


def local(node: Node, cfg: Moon, state: Ref, own: Ref | None, round_: int) -> Steps:
    """Local epochs between the model received and the last one of this site."""
    model = yield node.compute(
        TRAIN_ON if cfg.optimizer_state == "persistent" else TRAIN,
        *(ref for ref in (state, own) if ref is not None),
        mu=cfg.mu,
        tau=cfg.tau,
        epochs=cfg.local_epochs,
        first_epoch=round_ * cfg.local_epochs,
        round=round_,
        **lasting(cfg),
    )
    return Work(update=model, own=model)


METHOD = Method(local=local)
MOON = Algorithm(
    settings=Moon,
    site=fine_tuned(partial(site, method=METHOD)),
    server=partial(server, method=METHOD),
    check=check,
    summary="FedAvg with a model-contrastive loss on bottleneck features",
    source="Li, He, Song, CVPR 2021",
)

"""D-PSGD: every site averages with its neighbors on the overlay in every round.

X. Lian et al., "Can decentralized algorithms outperform centralized algorithms? A case study for
decentralized parallel stochastic gradient descent", NeurIPS 2017. Weights: L. Xiao, S. Boyd, S.-J. Kim,
"Distributed average consensus with least-mean-square deviation", JPDC 67, 2007 (Metropolis).
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
from pydantic import model_validator

from algorithms.common import Steps, fine_tuned, train_round
from algorithms.defenses import Defended
from algorithms.mixing import state_of, weighted_mean
from algorithms.overlay_repair import around, neighbors_of
from algorithms.peer_mail import collect, confirm, reachable, send_out, swap
from algorithms.peer_rounds import PeerRounds, mix, peer_site, settle
from algorithms.tasks import mean_cost
from simulator.api import Algorithm, Bundle, Message, Node, Ref, Task, TaskContext


class Dpsgd(Defended, PeerRounds):
    """D-PSGD with Metropolis weights W, one exchange per round of local epochs.

    ``adapt_local``: models are sent as the round begins and sites train meanwhile; then x_i becomes
    Σ_j W_ij x_j plus what training did to x_i. ``combine_then_adapt``: sites average first and train
    the mean. ``adapt_then_combine``: they train first and average what came of it. The weight of a peer
    that sends nothing in time goes to the site itself.
    """

    name: Literal["dpsgd"] = "dpsgd"
    order: Literal["adapt_local", "combine_then_adapt", "adapt_then_combine"] = "adapt_local"

    @model_validator(mode="after")
    def _defensible(self) -> "Dpsgd":
        if self.defense is not None and self.order == "adapt_local":
            raise ValueError(
                "defense: with order adapt_local the mean is taken beside the training; choose order "
                "adapt_then_combine or combine_then_adapt"
            )
        return self


def metropolis(
    name: str, neighbors: Mapping[str, Collection[str]], heard: Collection[str]
) -> dict[str, float]:
    """A site's row of W: 1/(max of both degrees + 1) for those heard, the rest for itself."""
    weights = {peer: 1 / (max(len(neighbors[name]), len(neighbors[peer])) + 1) for peer in sorted(heard)}
    return weights | {name: 1 - sum(weights.values())}


def add_step(
    ctx: TaskContext, trained: Bundle, *models: Bundle, weights: Sequence[float], own: int
) -> Bundle:
    """Σ weight·model plus what training did to ``models[own]`` (a task function). Running statistics are
    averaged with those of the trained model in place of the own one.
    """
    before = models[own].arrays["model"]
    mean = weighted_mean([model.arrays["model"].astype(np.float64) for model in models], weights)
    moved = mean + (trained.arrays["model"].astype(np.float64) - before)
    seen = [(trained if i == own else model).arrays["buffers"] for i, model in enumerate(models)]
    arrays = {
        "model": moved.astype(before.dtype),
        "buffers": weighted_mean(seen, weights),
        "counters": trained.arrays["counters"],
    }
    return Bundle(arrays=arrays | state_of(trained), meta={"weights": list(weights)})


ADD_STEP = Task(name="mix_and_step", function="algorithms.dpsgd:add_step", version=1, cost=mean_cost)
"""The weighted mean of models and the step of training on top: ``(trained, *models), weights, own``."""


def take_turn(node: Node, cfg: Dpsgd, model: Ref, round_: int, mail: list[Message]) -> Steps:
    """A round in the order chosen."""
    peers = reachable(node, around(node))
    if cfg.order == "adapt_local":
        model = yield from adapt_local(node, cfg, model, round_, mail)
        return model, model
    if cfg.order == "adapt_then_combine":
        model = yield from train_round(node, cfg, model, round_)
    came = yield from swap(node, cfg, mail, dict.fromkeys(peers, model), peers, round_)
    heard = of_neighbors(node, came)
    weights = metropolis(node.name, neighbors_of(node), heard)
    others = {name: message.model for name, message in heard.items()}
    model = yield from mix(node, cfg, model, others, weights, round_)
    if cfg.order == "combine_then_adapt":
        model = yield from train_round(node, cfg, model, round_)
    return model, model


def of_neighbors(node: Node, came: Mapping[str, Message]) -> dict[str, Message]:
    """What neighbors sent: others may have mended the overlay before this site did."""
    return {name: message for name, message in came.items() if name in around(node)}


def adapt_local(node: Node, cfg: Dpsgd, model: Ref, round_: int, mail: list[Message]) -> Steps:
    """Send and train at the same time, then average and step."""
    peers = reachable(node, around(node))
    sent = send_out(node, dict.fromkeys(peers, model), round_)
    trained = yield from train_round(node, cfg, model, round_)
    lost = yield from confirm(node, sent, round_)
    for peer in lost:  # one that returned while this site trained waits in vain
        node.post(peer, "model", round=round_)
    heard = of_neighbors(node, (yield from collect(node, cfg, mail, set(peers) - set(lost), round_)))
    if not heard:
        return (yield from settle(node, cfg, trained))
    weights = metropolis(node.name, neighbors_of(node), heard)
    models = {node.name: model} | {name: message.model for name, message in heard.items()}
    names = sorted(models)
    model = yield node.compute(
        ADD_STEP,
        trained,
        *(models[name] for name in names),
        weights=[weights[name] for name in names],
        own=names.index(node.name),
        round=round_,
    )
    return (yield from settle(node, cfg, model))


DPSGD = Algorithm(
    settings=Dpsgd,
    site=fine_tuned(partial(peer_site, take_turn=take_turn)),
    summary="sites average with all neighbors on the overlay in every round",
    source="Lian et al., NeurIPS 2017",
)

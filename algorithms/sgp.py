"""SGP, stochastic gradient push: sites push shares of model and weight to directed peers.

M. Assran et al., "Stochastic gradient push for distributed deep learning", ICML 2019; push-sum:
D. Kempe, A. Dobra, J. Gehrke, "Gossip-based computation of aggregate information", FOCS 2003.

A site holds x and a weight ω and uses z = x/ω. Here z itself is held and sent, with its weight in the
message's header: sums of shares of x over sums of shares of ω are weighted means of z. The weights follow
from the overlay and from what arrives, never from a value, so they are known without waiting for one.
"""

from collections.abc import Mapping
from functools import partial
from typing import Literal

import numpy as np
from pydantic import model_validator

from algorithms.common import Count, Steps, fine_tuned, train_round
from algorithms.overlay_repair import neighbors_of
from algorithms.peer_mail import collect, confirm, reachable, send_out
from algorithms.peer_rounds import PeerRounds, exponential, initial, peer_site, senders_to
from algorithms.tasks import CARRY, MEAN, free
from simulator.api import Algorithm, Bundle, Message, Node, Ref, Task, TaskContext, only_with


class Sgp(PeerRounds):
    """SGP: train, keep an even share of model and weight, push the others to the out-peers.

    ``overlay: exponential`` is directed: in round t one sends to ``out_degree`` sites at distances 2^k,
    k = t, t + 1, …, over again beyond N. ``given`` pushes to all neighbors of the scenario's overlay. A
    share that cannot be delivered returns to its sender; one that comes late is taken in with the next.
    """

    name: Literal["sgp"] = "sgp"
    overlay: Literal["exponential", "given"] = "exponential"
    out_degree: Count = 1

    @model_validator(mode="after")
    def _of_this_overlay(self) -> "Sgp":
        only_with(self, "overlay", {"out_degree": ("exponential",), "overlay_repair": ("given",)})
        return self


def receivers(node: Node, cfg: Sgp, round_: int) -> Mapping[str, list[str]]:
    """Out-peers of every site."""
    if cfg.overlay == "given":
        return {name: list(peers) for name, peers in neighbors_of(node).items()}
    return exponential(node, round_, cfg.out_degree)


def scaled_step(ctx: TaskContext, trained: Bundle, start: Bundle, *, weight: float) -> Bundle:
    """Z after a step of x = ωz: start + (trained − start)/weight (a task function)."""
    before = start.arrays["model"].astype(np.float64)
    moved = before + (trained.arrays["model"].astype(np.float64) - before) / weight
    return Bundle(arrays=dict(trained.arrays) | {"model": moved.astype(start.arrays["model"].dtype)})


SCALED_STEP = Task(name="scaled_step", function="algorithms.sgp:scaled_step", version=1, cost=free)
"""What training did to z, as a step of x: ``(trained, start), weight``."""


def start(node: Node, cfg: Sgp) -> Steps:
    """The initial weights, with weight 1."""
    return (yield from initial(node, cfg)), 1.0


def model_of(state: tuple[Ref, float]) -> Ref:
    """What travels of a state."""
    return state[0]


def adopt(node: Node, state: tuple[Ref, float], model: Ref) -> Steps:
    """Another model, with the weight that a state had."""
    yield from ()
    return model, state[1]


def take_turn(node: Node, cfg: Sgp, state: tuple[Ref, float], round_: int, mail: list[Message]) -> Steps:
    """Train, push shares, add what comes."""
    model, weight = state
    trained = yield from train_round(node, cfg, model, round_)
    if weight != 1:
        trained = yield node.compute(SCALED_STEP, trained, model, weight=weight, round=round_)
    wanted = receivers(node, cfg, round_)
    keep = cfg.optimizer_state == "persistent"
    state = yield from push_sum(node, cfg, (trained, weight), wanted, round_, mail, keep_state=keep)
    return state, state[0]


def push_sum(
    node: Node,
    cfg: PeerRounds,
    state: tuple[Ref, float],
    wanted: Mapping[str, list[str]],
    round_: int,
    mail: list[Message],
    *,
    used: Ref | None = None,
    keep_state: bool,
) -> Steps:
    """Split the weight evenly over the out-peers and the site itself, add what comes; the new state.

    A share counts as given once it is delivered, whatever becomes of its sender; ``used`` is the model
    that the site uses then, by default the one it sends. What stays at home goes with the outcome if
    ``keep_state``.
    """
    model, weight = state
    peers = reachable(node, wanted[node.name])
    share = weight / (len(peers) + 1)
    sent = send_out(node, dict.fromkeys(peers, model), round_, weight=share)
    lost = yield from confirm(node, sent, round_)
    weight -= share * (len(peers) - len(lost))
    node.durable["round"] = (round_ + 1, (model, weight), used or model)
    expected = [name for name in reachable(node, senders_to(node.name, wanted)) if name not in lost]
    late: list[Message] = []
    heard = yield from collect(node, cfg, mail, expected, round_, late)
    return (yield from take_in(node, (model, weight), [*late, *heard.values()], round_, keep_state))


def take_in(
    node: Node, state: tuple[Ref, float], messages: list[Message], round_: int, keep_state: bool
) -> Steps:
    """Add what came to what was kept, in the order of sites."""
    model, weight = state
    parts = [(node.name, round_, weight, model)]
    parts += [(one.src, one.header["round"], one.header["weight"], one.model) for one in messages]
    parts.sort(key=lambda part: part[:2])
    total = sum(part[2] for part in parts)
    if len(parts) == 1 and keep_state:
        return model, total
    shares = [part[2] / total for part in parts]
    mean = yield node.compute(MEAN, *(part[3] for part in parts), weights=shares, round=round_)
    if keep_state:
        mean = yield node.compute(CARRY, mean, model)
    return mean, total


SGP = Algorithm(
    settings=Sgp,
    site=fine_tuned(partial(peer_site, take_turn=take_turn, start=start, model_of=model_of, adopt=adopt)),
    summary="sites push shares of model and weight to directed peers and use their ratio",
    source="Assran et al., ICML 2019",
)

"""Def-KT: decentralized federated learning by mutual knowledge transfer.

C. Li, G. Li, P. K. Varshney, "Decentralized federated learning via mutual knowledge transfer", IEEE
Internet of Things Journal 2022, arXiv 2012.13063.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from algorithms.common import Count, Steps, fine_tuned
from algorithms.gcml import Gcml, check_heads, needs_equal, stage_settings
from algorithms.gossip_rounds import Absorb, await_model, finish_round, learn, push, settled, vetted
from algorithms.gossip_sites import gossip_site
from algorithms.schedules import draw_pairs, members_of
from algorithms.tasks import TRANSFER
from algorithms.turns import Turn
from simulator.api import Algorithm, Message, ModelSize, Node, Ref, SiteData


class DefKt(Gcml):
    """Def-KT: a sender trains, then sends; its receiver trains the incoming and its own model by mutual
    learning on its own cases and keeps the incoming one.

    The pieces are GCML's: divergence on all elements without contrast, no gate. ``num_pairs`` of senders
    and receivers are drawn per round (by default ⌊N/2⌋, GCML's traffic; the paper has far fewer), all
    sites alike. Sites that are not drawn train alone, or are ``idle`` as in the paper. The optimizer of
    the model that a receiver drops ends with it.
    """

    name: Literal["defkt"] = "defkt"  # type: ignore[assignment]
    schedule: Literal["pairs"] = "pairs"
    sender_weights: Literal["cases", "uniform"] = "uniform"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    contrast: Literal["off"] = "off"
    region: Literal["label", "union", "dilated_label", "all"] = "all"
    merge: Literal["keep_incoming"] = "keep_incoming"
    gate: Literal[False] = False
    optimizer_after_merge: Literal["keep", "reset"] = "reset"
    num_pairs: Count | None = None
    others: Literal["train", "idle"] = "train"


def absorb(node: Node, cfg: DefKt, model: Ref, messages: list[Message], round_: int) -> Steps:
    """Mutual learning with the incoming model in place of the round's local epochs; it becomes the site's
    model, with its network.
    """
    for message in messages:
        incoming = yield from vetted(node, cfg, model, message, round_)
        settings = stage_settings(node, cfg, message, round_, first=round_)
        own = yield from settled(node, cfg, model)
        model = yield node.compute(TRANSFER, incoming, own, **settings)
    return model


def check(cfg: DefKt, data: Mapping[str, SiteData], model: ModelSize, task: Any) -> str:
    """No more pairs than sites make."""
    most = len(data) // 2
    if cfg.num_pairs is not None and cfg.num_pairs > most:
        remedy = f"write {most}" if most else "leave it out"
        return f"algorithm.num_pairs: {len(data)} site(s) make {most} pair(s), not {cfg.num_pairs}; {remedy}"
    return check_heads(cfg, model, task)


def mixed_networks(cfg: DefKt) -> str:
    """Models wander with their networks; what a site knows of one's optimizer does not fit another."""
    if cfg.optimizer_after_merge == "reset":
        return needs_equal(cfg)
    return needs_equal(cfg) or (
        "algorithm.optimizer_after_merge: keep goes on with the optimizer of the model that was dropped, and "
        "sites have different networks; use optimizer_after_merge: reset"
    )


def trained_pairs(node: Node, cfg: DefKt, model: Ref, done: int, absorb: Absorb, turn: Turn) -> Steps:
    """Rounds of disjoint pairs in which the sender trains before it sends."""
    waiting: list[Message] = []
    for now in range(done, cfg.num_rounds):
        turn.now = now
        drawn = draw_pairs(node.common_rng("pairs", now), members_of(node, cfg, now), node.neighbors_of)
        receiver_of = dict(list(drawn.items())[: cfg.num_pairs])
        message = None
        if node.name in receiver_of.values():
            since = node.durable.setdefault("waiting_since", {}).setdefault(now, node.now)
            message = yield from await_model(node, cfg, waiting, now, since)
        if cfg.others == "train" or node.name in {*receiver_of, *receiver_of.values()}:
            model = yield from learn(node, cfg, model, message, waiting, now, absorb)
        else:
            finish_round(node, model, now)
        if node.name in receiver_of:
            yield from push(node, cfg, receiver_of[node.name], model, now)
    return model


DEFKT = Algorithm(
    settings=DefKt,
    site=fine_tuned(partial(gossip_site, absorb=absorb, loop=trained_pairs)),
    check=check,
    mixed_networks=mixed_networks,
    summary="a sender trains and sends; its receiver learns mutually and keeps the incoming model",
    source="Li, Li, Varshney, IEEE IoT Journal 2022, arXiv 2012.13063",
)

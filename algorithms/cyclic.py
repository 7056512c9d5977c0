"""Cyclic weight transfer: one model visits the sites in turn.

K. Chang et al., "Distributed deep learning networks among institutions for medical imaging", JAMIA
25(8), 2018. What happens when a site falls silent is in :mod:`algorithms.cyclic_relay`.
"""

from typing import Literal

import numpy as np

from algorithms.common import Steps, fine_tuned, train_round
from algorithms.cyclic_relay import Relay, Visit, await_visit, hand_on, look_around, tell_final
from algorithms.tasks import BARE, CARRY
from simulator.api import Algorithm, Node


class Cyclic(Relay):
    """Cyclic weight transfer; a round is a cycle, and every site trains ``local_epochs`` per visit.

    Sites are visited in the order of their names, in one drawn anew for every cycle (``shuffled``), or so
    that none is visited twice in a row (``shuffled_no_repeat``).
    """

    name: Literal["cyclic"] = "cyclic"
    order: Literal["fixed", "shuffled", "shuffled_no_repeat"] = "fixed"
    optimizer_state: Literal["reset", "persistent"] = "reset"


def route_of(node: Node, cfg: Cyclic) -> list[str]:
    """The site of every hop, cycle after cycle."""
    names = list(node.sites)
    route: list[str] = []
    for cycle in range(cfg.num_rounds):
        order = names
        if cfg.order != "fixed":
            order = node.common_rng("order", cycle).permutation(np.array(names)).tolist()
        if cfg.order == "shuffled_no_repeat" and route and order[0] == route[-1]:
            order = [*order[1:], order[0]]
        route += order
    return route


def site(node: Node, cfg: Cyclic) -> Steps:
    """Wait for the model, train it, hand it on; return the model used last."""
    node.on("final?", lambda message: tell_final(node, message.src))
    route = route_of(node, cfg)
    if node.now > 0 and "final" not in node.durable:
        yield from look_around(node, cfg)
    visit = None
    if "handed" in node.durable and "final" not in node.durable:  # a crash ended the watch over the next one
        visit = yield from hand_on(node, cfg, route, *node.durable["handed"])
    while "final" not in node.durable:
        visit = visit or (yield from await_visit(node, cfg, route))
        if visit is None:
            break
        trained = yield from train(node, cfg, visit)
        node.durable["copy"], node.durable["seen"] = trained, visit.hop
        node.record("round", round=visit.hop // len(node.sites), model=trained)
        visit = yield from hand_on(node, cfg, route, visit.hop + 1, trained, visit.src)
    return node.durable.get("final", node.durable.get("copy"))


def train(node: Node, cfg: Cyclic, visit: Visit) -> Steps:
    """The local epochs of a visit; the optimizer never travels."""
    model, own = visit.model, node.durable.get("copy")
    if own is not None:
        keep = cfg.optimizer_state == "persistent"
        model = yield node.compute(CARRY, model, own) if keep else node.compute(BARE, model)
    return (yield from train_round(node, cfg, model, visit.hop // len(node.sites)))


CYCLIC = Algorithm(
    settings=Cyclic,
    site=fine_tuned(site),
    summary="one model visits the sites in turn",
    source="Chang et al., JAMIA 2018",
)

"""AD-PSGD: sites train without barriers and average with one neighbor at a time.

X. Lian, W. Zhang, C. Zhang, J. Liu, "Asynchronous decentralized parallel stochastic gradient descent",
ICML 2018. Averaging is atomic there; here messages take time, and the rule that conserves the sum over
sites nevertheless is ours: an active site sends a, a passive one answers with b and adds (a − b)/2, the
active one adds (b − a)/2 when the answer comes. What either learned in between stays.
"""

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np

from algorithms.adpsgd_exchange import Desk, await_reply, give_half, propose, take_reply
from algorithms.common import Exchanging, Steps, fine_tuned, train_round
from algorithms.mixing import state_of, weighted_mean
from algorithms.tasks import BARE
from simulator.api import Algorithm, Bundle, Node, Seconds, TaskContext


class AdPsgd(Exchanging):
    """AD-PSGD; a round is one turn of a site's own loop: ``local_epochs``, and an exchange meanwhile.

    Active sites begin exchanges with a random passive neighbor, passive ones answer, so nobody waits for
    somebody who waits. A passive site answers one exchange at once, also while it trains; more of them
    are answered when the turn ends. An active site has one exchange open at a time, for at most
    ``exchange_timeout``; a later answer still counts, so that the sum is conserved.
    """

    name: Literal["adpsgd"] = "adpsgd"
    exchange_timeout: Seconds = 600.0
    optimizer_state: Literal["persistent", "reset"] = "persistent"


def active_sites(neighbors: Mapping[str, Collection[str]]) -> set[str]:
    """One of two classes of sites, so that at least half of everyone's neighbors are in the other one.

    Every second site by name at first; then whoever has more neighbors in the own class changes, until
    nobody does. Each change adds to the pairs across, so this ends.
    """
    names = sorted(neighbors)
    active = set(names[::2])
    while True:
        for name in names:
            alike = sum((peer in active) == (name in active) for peer in neighbors[name])
            if 2 * alike > len(neighbors[name]):
                active ^= {name}
                break
        else:
            return active


def shift(ctx: TaskContext, model: Bundle, theirs: Bundle, mine: Bundle) -> Bundle:
    """Model + (theirs − mine)/2 (a task function). Running statistics are averaged with theirs: a
    difference of variances might not be one.
    """
    x, a, b = (one.arrays["model"] for one in (model, theirs, mine))
    moved = x.astype(np.float64) + (a.astype(np.float64) - b) / 2
    seen = [model.arrays["buffers"], theirs.arrays["buffers"]]
    arrays = {
        "model": moved.astype(x.dtype),
        "buffers": weighted_mean(seen, [0.5, 0.5]),
        "counters": model.arrays["counters"],
    }
    return Bundle(arrays=arrays | state_of(model))


def site(node: Node, cfg: AdPsgd) -> Steps:
    """Turns of one's own; return the last model."""
    desk = Desk(node=node)
    node.on("exchange", desk.consider)
    done, model = node.durable.get("round", (0, None))
    if model is None:
        model = yield node.compute(node.learner.init)
    active = active_sites(node.neighbors_of)
    partners = sorted(set(node.peers) - active) if node.name in active else []
    for now in range(done, cfg.num_rounds):
        start = (yield node.compute(BARE, model)) if cfg.optimizer_state == "reset" else model
        desk.model = start
        at_hand = [peer for peer in partners if peer not in desk.gone]
        propose(node, cfg.exchange_timeout, desk, at_hand, now)
        model = yield from train_round(node, cfg, start, now)
        replies = node.drain("reply")
        if now + 1 == cfg.num_rounds:
            replies += yield from await_reply(node, cfg.exchange_timeout, replies)
        for message in replies:
            model = yield from take_reply(node, desk, model, message, now)
        model = yield from give_half(node, desk, model, now)
        node.record("round", round=now, model=model)
    desk.is_over = True
    return model


ADPSGD = Algorithm(
    settings=AdPsgd,
    site=fine_tuned(site),
    summary="sites train without barriers and average with one neighbor at a time",
    source="Lian et al., ICML 2018",
)

"""Epidemic Learning: every site sends its model to some peers drawn anew in every round.

M. de Vos et al., "Epidemic learning: boosting decentralized learning with randomized communication",
NeurIPS 2023.
"""

from functools import partial
from typing import Literal

from algorithms.common import Count, Steps, fine_tuned, train_round
from algorithms.defenses import Defended
from algorithms.overlay_repair import around
from algorithms.peer_mail import reachable, swap
from algorithms.peer_rounds import PeerRounds, mix, peer_site, senders_to
from simulator.api import Algorithm, Message, Node, Ref


class Epidemic(Defended, PeerRounds):
    """Epidemic Learning: train, send to ``num_peers`` others (by default ⌈log2 N⌉), take the plain mean
    of the own model and all that came.

    ``local``: each site draws for itself, so a site may hear from any number of others; those not chosen
    get a message without a model, which closes their round. ``oracle``: a draw common to all, in which
    everybody sends to and hears from ``num_peers`` sites: a random numbering on a circle, and random
    distances on it. Links that the overlay lacks fall away.
    """

    name: Literal["epidemic"] = "epidemic"
    draw: Literal["local", "oracle"] = "local"
    num_peers: Count | None = None
    optimizer_state: Literal["persistent", "reset"] = "reset"


def num_chosen(cfg: Epidemic, num_sites: int) -> int:
    """How many peers a site sends to."""
    return min(cfg.num_peers or max(num_sites - 1, 0).bit_length(), num_sites - 1)


def regular(node: Node, cfg: Epidemic, round_: int) -> dict[str, list[str]]:
    """Receivers by sender in the oracle's draw."""
    rng = node.common_rng("epidemic", round_)
    size = len(node.sites)
    order = rng.permutation(node.sites).tolist()
    hops: list[int] = []
    if size > 1:
        hops = (rng.choice(size - 1, size=num_chosen(cfg, size), replace=False) + 1).tolist()
    return {name: [order[(i + hop) % size] for hop in hops] for i, name in enumerate(order)}


def take_turn(node: Node, cfg: Epidemic, model: Ref, round_: int, mail: list[Message]) -> Steps:
    """Train, send, and average whatever came."""
    model = yield from train_round(node, cfg, model, round_)
    peers = reachable(node, around(node))
    parcels: dict[str, Ref | None]
    if cfg.draw == "oracle":
        receivers = regular(node, cfg, round_)
        parcels = dict.fromkeys(reachable(node, receivers[node.name]), model)
        senders = reachable(node, senders_to(node.name, receivers))
    else:
        size = min(num_chosen(cfg, len(node.sites)), len(peers))
        chosen = node.rng("peers").choice(peers, size=size, replace=False).tolist() if peers else []
        parcels = {peer: model if peer in chosen else None for peer in peers}
        senders = peers
    heard = yield from swap(node, cfg, mail, parcels, senders, round_)
    others = {name: message.model for name, message in heard.items()}
    alike = dict.fromkeys([node.name, *others], 1.0)
    model = yield from mix(node, cfg, model, others, alike, round_)
    return model, model


EPIDEMIC = Algorithm(
    settings=Epidemic,
    site=fine_tuned(partial(peer_site, take_turn=take_turn)),
    summary="sites send to a few peers drawn anew each round and average what comes",
    source="de Vos et al., NeurIPS 2023",
)

"""Gossip averaging: a receiver averages the incoming model with its own, then trains.

S. Boyd et al., "Randomized gossip algorithms", IEEE Trans. Inf. Theory 2006; R. Ormándi et al.,
"Gossip learning with linear models on fully distributed data", Concurrency and Computation 2013;
I. Hegedűs et al., "Gossip learning as a decentralized alternative to federated learning", DAIS 2019.
Push form: the sender's model stays, so the mean over sites is not conserved. It runs on GCML's own
schedules, which isolates what mutual learning adds.
"""

from functools import partial
from typing import Literal

from algorithms.common import Steps, Weights, fine_tuned
from algorithms.schedules import Gossip, gossip_site, train_alone
from algorithms.tasks import MIX
from simulator.api import Algorithm, Message, Node, Ref


class GossipAveraging(Gossip):
    """Gossip averaging; ``average`` weighs the two models by cases or uniformly."""

    name: Literal["gossip-averaging"] = "gossip-averaging"
    average: Weights = "uniform"


def absorb(node: Node, cfg: GossipAveraging, model: Ref, messages: list[Message], round_: int) -> Steps:
    """Average with each incoming model, then the local epochs of the round."""
    for message in messages:
        own, other = (node.num_cases, message.header["num_cases"]) if cfg.average == "cases" else (1, 1)
        weights = [own / (own + other), other / (own + other)]
        model = yield node.compute(MIX, model, message.model, weights=weights, round=round_)
    model = yield from train_alone(node, cfg, model, round_)
    return model


GOSSIP_AVERAGING = Algorithm(
    settings=GossipAveraging,
    site=fine_tuned(partial(gossip_site, absorb=absorb)),
    summary="peers push models; a receiver averages and trains on",
    source="Boyd et al., IEEE TIT 2006; Ormándi et al., CCPE 2013; Hegedűs et al., DAIS 2019",
)

"""ProxyFL, AvgPush and FML: a private model learns with a proxy, and only the proxy travels.

S. Kalra, J. Wen, J. Cresswell, M. Volkovs, H. Tizhoosh, "Decentralized federated learning through proxy
model sharing", Nature Communications 14, 2023 (ProxyFL; AvgPush is its baseline). T. Shen et al.,
"Federated mutual learning", arXiv 2006.16765, 2020 (FML). Differential privacy is not simulated.
"""

from dataclasses import replace
from functools import partial
from typing import Any, Literal

from algorithms.common import Share, Steps, fine_tuned, train_round
from algorithms.defenses import Defended
from algorithms.peer_learning import BESIDE_FIRST, MUTUAL, PACK
from algorithms.peer_mail import reachable, swap
from algorithms.peer_rounds import PeerRounds, exponential, peer_site, senders_to, settle
from algorithms.server_based import Method, Work, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import site
from algorithms.sgp import adopt, model_of, push_sum, start
from algorithms.tasks import CARRY
from simulator.api import Algorithm, Message, Node, Ref, Task


class AvgPush(PeerRounds):
    """AvgPush: train, push the model along the directed exponential overlay, take over what comes.

    The one peer of round t is 2^k sites further on, k = t mod (⌊log2(N − 1)⌋ + 1). ``mix: replace`` is
    what the authors' code does: models wander. ``push_sum`` is what the paper describes: halves of model
    and weight are pushed, as in SGP. A site to which nothing comes goes on with its own.
    """

    name: Literal["avgpush"] = "avgpush"
    overlay_repair: Literal["none"] = "none"  # the exponential overlay names its pairs, mended or not
    mix: Literal["replace", "push_sum"] = "replace"


class ProxyFL(AvgPush):
    """ProxyFL: AvgPush of a proxy, which learns together with a private model that never leaves its site.

    Both train on the same batches with (1 − a)·supervised + a·KL to the other's predictions; a is
    ``private_mutual`` for the private model, ``proxy_mutual`` for the proxy. A site uses its private
    model. Compute doubles.
    """

    name: Literal["proxyfl"] = "proxyfl"  # type: ignore[assignment]
    private_mutual: Share = 0.5
    proxy_mutual: Share = 0.5


class Fml(Defended, ServerBased):
    """FML: the same local epochs as in ProxyFL, but a server averages the proxies."""

    name: Literal["fml"] = "fml"
    when_server_lost: Literal["stop", "train_alone", "elect"] = "stop"
    sender_weights: Literal["uniform", "cases", "steps"] = "uniform"
    optimizer_state: Literal["persistent", "reset"] = "persistent"
    private_mutual: Share = 0.5
    proxy_mutual: Share = 0.5


def start_both(node: Node, cfg: Any) -> Steps:
    """Proxies begin alike where initial weights are shared; the private model with weights of its own,
    and of the site's own network where it has one.
    """
    proxy = yield node.compute(replace(node.learner.init, network_of=node.server))
    private = yield node.compute(node.learner.init, member=1)
    return (yield node.compute(PACK, proxy, private)), 1.0


def adopt_proxy(node: Node, state: tuple[Ref, float], model: Ref) -> Steps:
    """Another proxy beside the private model."""
    private = yield node.compute(private_of(node), state[0])
    return (yield node.compute(PACK, model, private)), state[1]


def train_both(node: Node, cfg: Any, both: Ref, round_: int) -> Steps:
    """Local epochs of proxy and private model."""
    mutual = [cfg.proxy_mutual, cfg.private_mutual]
    return (
        yield node.compute(
            MUTUAL,
            both,
            task_weights=[1 - share for share in mutual],
            mutual_weights=mutual,
            keep_optimizer=cfg.optimizer_state == "persistent",
            epochs=cfg.local_epochs,
            first_epoch=round_ * cfg.local_epochs,
            round=round_,
        )
    )


def private_of(node: Node) -> Task:
    """The task that takes the private model out of both."""
    return replace(BESIDE_FIRST, network_of=node.name)


def any_private_network(cfg: Any) -> str:
    """Proxies are of the task's network, whatever the private models are of."""
    return ""


def push_on(
    node: Node,
    cfg: AvgPush,
    state: tuple[Ref, float],
    round_: int,
    mail: list[Message],
    *,
    used: Ref,
    keep_state: bool,
) -> Steps:
    """Push along the overlay and take over, or add, what comes; the new state."""
    wanted = exponential(node, round_)
    if cfg.mix == "push_sum":
        return (yield from push_sum(node, cfg, state, wanted, round_, mail, used=used, keep_state=keep_state))
    model, weight = state
    parcels = dict.fromkeys(reachable(node, wanted[node.name]), model)
    heard = yield from swap(node, cfg, mail, parcels, reachable(node, senders_to(node.name, wanted)), round_)
    for message in heard.values():
        keep = (yield node.compute(CARRY, message.model, model)) if keep_state else message.model
        return keep, weight
    return (model if keep_state else (yield from settle(node, cfg, model))), weight


def take_turn(node: Node, cfg: AvgPush, state: tuple[Ref, float], round_: int, mail: list[Message]) -> Steps:
    """AvgPush: train, push, take over."""
    model = yield from train_round(node, cfg, state[0], round_)
    keep = cfg.optimizer_state == "persistent"
    state = yield from push_on(node, cfg, (model, state[1]), round_, mail, used=model, keep_state=keep)
    return state, state[0]


def take_turn_of_both(
    node: Node, cfg: ProxyFL, state: tuple[Ref, float], round_: int, mail: list[Message]
) -> Steps:
    """ProxyFL: train both, push the proxy, take over the one that comes; the private model stays."""
    both = yield from train_both(node, cfg, state[0], round_)
    private = yield node.compute(private_of(node), both, round=round_)
    state = yield from push_on(node, cfg, (both, state[1]), round_, mail, used=private, keep_state=True)
    return state, private


def local(node: Node, cfg: Fml, received: Ref, own: Ref | None, round_: int) -> Steps:
    """FML: the proxy received learns with the private model."""
    both = (yield from start_both(node, cfg))[0] if own is None else own
    both = yield node.compute(CARRY, received, both)
    trained = yield from train_both(node, cfg, both, round_)
    private = yield node.compute(private_of(node), trained, round=round_)
    return Work(update=trained, own=trained, personal=private)


METHOD = Method(local=local, personal=True)
AVGPUSH = Algorithm(
    settings=AvgPush,
    site=fine_tuned(partial(peer_site, take_turn=take_turn, start=start, model_of=model_of, adopt=adopt)),
    summary="sites push their model along an exponential overlay and take over what comes",
    source="Kalra et al., Nature Communications 2023 (its baseline)",
)
PROXYFL = Algorithm(
    settings=ProxyFL,
    site=fine_tuned(
        partial(
            peer_site, take_turn=take_turn_of_both, start=start_both, model_of=model_of, adopt=adopt_proxy
        )
    ),
    mixed_networks=any_private_network,
    summary="AvgPush of proxies; each learns with a private model that stays at its site",
    source="Kalra et al., Nature Communications 2023",
)
FML = Algorithm(
    settings=Fml,
    site=fine_tuned(partial(site, method=METHOD)),
    server=partial(server, method=METHOD),
    check=check,
    mixed_networks=any_private_network,
    summary="a server averages proxies; each learns with a private model that stays at its site",
    source="Shen et al., arXiv 2006.16765, 2020",
)

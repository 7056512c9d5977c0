"""How cyclic weight transfer survives sites that fall silent; all of it is ours.

Whoever handed the model on keeps its copy until the next has handed it on too, and gives it to the one after
if that stays silent. Hops are numbered, so a copy that lags behind is dropped.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import model_validator

from algorithms.common import Exchanging, Steps
from algorithms.tasks import BARE
from simulator.api import Message, Node, ReceiveTimeout, Ref, Seconds, TransferFailed


class Relay(Exchanging):
    """Settings of handing one model on.

    A site that does not hand it on within ``hop_timeout`` is skipped, or waited for (``when_silent: stall``).
    After the last cycle all sites get the final model. A site that hears nothing for ``patience`` keeps its
    last model and stops. Who returns asks the others for the final model, each for ``answer_timeout``.
    """

    hop_timeout: Seconds = 3600.0
    when_silent: Literal["skip", "stall"] = "skip"
    patience: Seconds = 86400.0
    answer_timeout: Seconds = 60.0

    @model_validator(mode="after")
    def _patient(self) -> "Relay":
        if self.patience <= self.hop_timeout:
            raise ValueError(
                f"patience ({self.patience:g} s) must exceed hop_timeout ({self.hop_timeout:g} s), or sites "
                "give up while a hop may still come"
            )
        return self


@dataclass(slots=True, kw_only=True)
class Visit:
    """The model at a site: the hop's number, the model as it came, and who brought it."""

    hop: int
    model: Ref
    src: str = ""


# -- receiving ---------------------------------------------------------------------------------------


def await_visit(node: Node, cfg: Relay, route: list[str]) -> Steps:
    """The next visit, or None when the final model or nothing at all came.

    All sites know the initial model: where all before a site in the first cycle are skipped, it begins.
    """
    first, since = route.index(node.name), node.now
    while True:
        untouched = "seen" not in node.durable and (cfg.when_silent == "skip" or first == 0)
        limit = first * cfg.hop_timeout if untouched else since + cfg.patience
        try:
            message = yield node.receive("cycle", timeout_s=limit - node.now)
        except ReceiveTimeout:
            if untouched:
                return Visit(hop=first, model=(yield node.compute(node.learner.init)))
            yield from look_around(node, cfg)
            if "final" not in node.durable:
                node.record("chain_lost")
            return None
        visit = hear(node, cfg, message)
        if visit is not None or "final" in node.durable:
            return visit


def hear(node: Node, cfg: Relay, message: Message) -> Visit | None:
    """Take in what came: a visit, if it is one that this site has not had."""
    what, hop = message.header["what"], message.header["hop"]
    if what == "final":
        use_final(node, cfg, message.model)
    elif what == "model" and hop > node.durable.get("seen", -1):
        return Visit(hop=hop, model=message.model, src=message.src)
    elif what == "model":  # sent again by someone who was too impatient
        node.record("hop_known", peer=message.src, hop=hop)
        node.post(message.src, "cycle", what="passed", hop=hop)
    return None


# -- handing on --------------------------------------------------------------------------------------


def hand_on(node: Node, cfg: Relay, route: list[str], hop: int, model: Ref, src: str = "") -> Steps:
    """Give the model to the site of ``hop``, tell ``src`` so, and watch until it has been passed on;
    those that cannot be reached or stay silent are skipped. The next visit, if it came meanwhile.
    """
    for message in node.drain("cycle"):  # the others may have gone on without this site
        visit = hear(node, cfg, message)
        if visit is not None and visit.hop >= hop:
            return visit
    if "final" in node.durable:
        return None
    give_up = node.now + cfg.patience
    while hop < len(route) and node.now < give_up:
        peer = route[hop]
        node.durable["handed"] = (hop, model, src)
        if peer == node.name:
            return Visit(hop=hop, model=model, src=src)
        if (yield from reach(node, cfg, peer, hop, model)):
            tell_passed(node, src, hop - 1)
            is_passed, visit = yield from watch(node, cfg, hop)
            if is_passed:
                del node.durable["handed"]
                return visit
            node.record("hop_silent", peer=peer, hop=hop)
        hop += cfg.when_silent == "skip"
    if hop < len(route):
        node.record("chain_lost")
        return None
    yield from distribute(node, cfg, model, hop)
    tell_passed(node, src, hop - 1)
    return None


def reach(node: Node, cfg: Relay, peer: str, hop: int, model: Ref) -> Steps:
    """Whether the model reached a peer; where it should be tried again, only after a pause."""
    try:
        yield node.send(peer, "cycle", model, what="model", hop=hop)
    except TransferFailed as failure:
        node.record("hop_failed", peer=peer, hop=hop, reason=failure.reason)
        if cfg.when_silent == "stall":
            yield node.sleep(cfg.answer_timeout)
        return False
    return True


def watch(node: Node, cfg: Relay, hop: int) -> Steps:
    """Whether the site of ``hop`` has passed the model on in time, and the next visit if it came."""
    deadline = node.now + cfg.hop_timeout
    while True:
        try:
            message = yield node.receive("cycle", timeout_s=deadline - node.now)
        except ReceiveTimeout:
            return False, None
        visit = hear(node, cfg, message)
        is_passed = message.header["what"] == "passed" and message.header["hop"] >= hop
        if is_passed or visit is not None or "final" in node.durable:
            return True, visit


def tell_passed(node: Node, peer: str, hop: int) -> None:
    """Whoever brought the model need not keep it any longer."""
    if peer:
        node.post(peer, "cycle", what="passed", hop=hop)


# -- the end -----------------------------------------------------------------------------------------


def distribute(node: Node, cfg: Relay, model: Ref, hop: int) -> Steps:
    """Give all others the final model; those out of reach will ask for it."""
    model = yield node.compute(BARE, model)
    use_final(node, cfg, model)
    others = [name for name in node.sites if name != node.name]
    sent = {name: node.send(name, "cycle", model, what="final", hop=hop) for name in others}
    for name, arrival in sent.items():
        try:
            yield arrival
        except TransferFailed as failure:
            node.record("final_model_lost", peer=name, reason=failure.reason)


def use_final(node: Node, cfg: Relay, model: Ref) -> None:
    """The model of all sites from now on; fine-tuning, if any, records its own."""
    node.durable["final"] = model
    if not cfg.finetune_epochs:
        node.record("round", round=cfg.num_rounds, model=model)


def tell_final(node: Node, peer: str) -> None:
    """Answer who asks, at once: with the final model, or that there is none yet."""
    node.post(peer, "final", node.durable.get("final"))


def look_around(node: Node, cfg: Relay) -> Steps:
    """Take the final model, if the first peer that answers has it."""
    others = [name for name in node.sites if name != node.name]
    for peer in node.rng("ask").permutation(others).tolist():
        node.post(peer, "final?")
        try:
            message = yield node.receive("final", timeout_s=cfg.answer_timeout)
        except ReceiveTimeout:
            continue
        if message.ref is not None:
            use_final(node, cfg, message.ref)
        return

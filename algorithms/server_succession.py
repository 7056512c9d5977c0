"""What sites do when their server is gone: go on by gossip, or have one of them lead.

The election is ours, and deterministic: who misses the server asks all sites which state they hold, and
appoints the best of those that answer. Every election has a higher *term*; sites serve whoever has the
highest one, and tell the others that they are superseded. No majority is asked for: the parts of a divided
network go on apart, each under a leader of its own, and of two with the same term the first by name stays.

What survives is what travels: the newest state that a site has received (for SCAFFOLD the server's control
too). What a server keeps to itself, moments and momentum of its optimizer, is lost with it and starts anew.
"""

from collections.abc import Callable
from typing import Any

from algorithms.common import Steps
from algorithms.gossip import GossipAveraging, absorb
from algorithms.gossip_rounds import finish_round, train_alone
from algorithms.schedules import asynchronous
from algorithms.server_policies import WithServer
from algorithms.turns import Turn
from simulator.api import Message, Node, ReceiveTimeout, Ref

Authority = tuple[int, str]
"""Whom a site serves: the term, and who leads in it."""


def gossip_on(node: Node, cfg: Any, model: Ref, next_round: int) -> Steps:
    """Use up the rest of the budget by gossip averaging, each site on its own clock: half of them push
    their model to a peer in a round, and a site averages what came with its own before it trains.
    """
    gossip = GossipAveraging(
        rounds=cfg.num_rounds, local_epochs=cfg.local_epochs, schedule="async", sender_weights="uniform"
    )
    done, model = node.durable.get("round", (next_round, model))
    if done < cfg.num_rounds:  # what is pushed is a model, whatever else the server's state holds
        model = yield from train_alone(node, gossip, model, done)
        finish_round(node, model, done)
        yield from asynchronous(node, gossip, model, done + 1, absorb, Turn(now=done))
    return node.durable["round"][1]


# -- whom a site serves --------------------------------------------------------------------------------


def authority_of(node: Node) -> Authority:
    """Whom this site serves now."""
    known: Authority = node.durable.get("authority", (0, node.server))
    return known


def outranks(one: Authority, other: Authority) -> bool:
    """Whether a higher term, or of equal ones the first name, goes before another."""
    return (-one[0], one[1]) < (-other[0], other[1])


def rightful(node: Node, messages: list[Message]) -> list[Message]:
    """The messages of those who may lead; the others are told that another does."""
    kept = []
    for message in messages:
        claim = (message.header.get("term", 0), message.header.get("leader", message.src))
        if claim[0] and not outranks(authority_of(node), claim):
            node.durable["authority"] = claim
        if authority_of(node)[0] and authority_of(node) != claim:
            node.post(message.src, "update", round=message.header.get("round"))
        else:
            kept.append(message)
    return kept


def claim_of(node: Node) -> dict[str, Any]:
    """What a leader says of itself with everything that it sends."""
    term, leader = authority_of(node)
    return {"term": term, "leader": leader}


def dismiss(node: Node, message: Message) -> None:
    """Tell who may not lead any more that another does, or did."""
    rightful(node, [message])


def is_rightful(node: Node) -> bool:
    """Whether no other leader has come up who goes before this one."""
    mine = authority_of(node)
    rightful(node, node.drain("global"))
    return authority_of(node)[1] == mine[1]


# -- a site that serves ---------------------------------------------------------------------------------


def report_back(node: Node, cfg: WithServer, is_over: Callable[[], bool]) -> bool:
    """Stand for election where sites elect, and say that this site is there if it begins late; whether it
    is the one that leads.
    """
    if cfg.when_server_lost == "elect":
        stand_for_election(node, is_over)
    leads = authority_of(node)[1] == node.name
    if node.now > 0 and not leads:
        node.post(authority_of(node)[1], "hello")
    return leads


def listen(node: Node, cfg: WithServer, round_: int) -> Steps:
    """What those who may lead have sent: nothing after an election, None when nobody leads any more."""
    try:
        messages = [(yield node.receive("global", timeout_s=cfg.server_patience))]
    except ReceiveTimeout:
        node.record("server_lost", round=round_)
        if cfg.when_server_lost != "elect" or is_hopeless(node):
            return None
        yield from elect(node, cfg.election_timeout)
        return []
    return rightful(node, messages + node.drain("global"))


# -- the election --------------------------------------------------------------------------------------


def stand_for_election(node: Node, is_over: Callable[[], bool]) -> None:
    """Answer at once, also during training, who looks for a successor, with the rank of the state held: its
    round or version. When all ``is_over`` a site has the final state, and sends that.
    """

    def answer(message: Message) -> None:
        state, rank = node.durable.get("state", (None, -1))
        kind, ref = ("global", state) if is_over() else ("candidate", None)
        node.post(message.src, kind, ref, round=rank, **claim_of(node))

    node.on("election", answer)


def elect(node: Node, timeout_s: float) -> Steps:
    """Ask all sites; serve from now on who leads already, or the best of those that answer in time."""
    node.drain("candidate")  # of an election before
    for name in node.sites:
        if name != node.name:
            node.post(name, "election")
    _, held = node.durable.get("state", (None, -1))
    candidates = {node.name: held}
    known = authority_of(node)
    incumbents: list[Authority] = []
    deadline = node.now + timeout_s
    while len(candidates) < len(node.sites):
        try:
            message: Message = yield node.receive("candidate", timeout_s=deadline - node.now)
        except ReceiveTimeout:
            break
        claim = (message.header["term"], message.header["leader"])
        candidates[message.src] = message.header["round"]
        incumbents += [claim] if claim[1] == message.src else []
        known = claim if outranks(claim, known) else known
    if incumbents:  # somebody leads already
        node.durable["authority"] = claim = min(incumbents, key=lambda one: (-one[0], one[1]))
        node.record("leader_found", peer=claim[1])
        node.post(claim[1], "hello")
        return
    leader = min(candidates, key=lambda name: (-candidates[name], name))
    node.durable["authority"] = (known[0] + 1, leader)
    node.record("elected", peer=leader, num_candidates=len(candidates), term=known[0] + 1)
    if leader != node.name:
        node.post(leader, "global", appointed=True, term=known[0] + 1, leader=leader)


def is_hopeless(node: Node) -> bool:
    """Whether as many elections as there are sites have led to nothing."""
    node.durable["elections"] = node.durable.get("elections", 0) + 1
    return bool(node.durable["elections"] > len(node.sites))

"""Peers that have fallen silent: left out after a while, the overlay mended around them, taken back.

Who is silent is each site's own observation. That all neighbors of a dead site mend the overlay alike
follows from what they know in common, the overlay; where they notice in different rounds, a model that was
not expected is used all the same, and one that was expected in vain costs one ``peer_timeout``. Ours.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from simulator.api import Node

Neighbors = Mapping[str, tuple[str, ...]]


class Mending(Protocol):
    """Settings of methods that leave silent peers out."""

    @property
    def prune_after(self) -> int | None:
        """Silent rounds in a row that are enough; None: nobody is left out."""

    @property
    def overlay_repair(self) -> str:
        """``ring`` or ``none``."""


def mended(neighbors: Neighbors, gone: Collection[str], *, ring: bool) -> dict[str, tuple[str, ...]]:
    """The overlay without those who are gone; if wanted, the neighbors of each close a ring in the order
    of their names.
    """
    links = {name: set(peers) - set(gone) for name, peers in neighbors.items() if name not in gone}
    for name in sorted(gone) if ring else ():
        bereft = [peer for peer in sorted(neighbors[name]) if peer not in gone]
        for one, next_ in zip(bereft, bereft[1:] + bereft[:1], strict=True):
            if one != next_:
                links[one].add(next_)
                links[next_].add(one)
    return {name: tuple(sorted(peers)) for name, peers in links.items()}


def neighbors_of(node: Node) -> Neighbors:
    """The overlay as this site sees it now."""
    known: Neighbors = node.durable.get("mended", node.neighbors_of)
    return known


def around(node: Node) -> tuple[str, ...]:
    """The peers with whom this site exchanges now."""
    return neighbors_of(node).get(node.name, ())


def left_out(node: Node) -> list[str]:
    """The peers on the scenario's overlay that are pruned, sorted."""
    return sorted(set(node.peers) - set(around(node)))


def note_silence(
    node: Node, cfg: Mending, round_: int, silent: Collection[str], heard: Collection[str]
) -> None:
    """Count the rounds in a row in which nothing came from a peer that should have sent, or that could not
    be reached; leave it out, or take it back, and mend the overlay anew.
    """
    before = node.durable.get("silent", {})
    counts = {**before, **dict.fromkeys(heard, 0)}
    for name in sorted(set(silent) - set(heard)):
        counts[name] = counts.get(name, 0) + 1
    node.durable["silent"] = counts
    if cfg.prune_after is None:
        return
    were_gone, gone = ({n for n, c in known.items() if c >= cfg.prune_after} for known in (before, counts))
    for name in sorted(gone ^ were_gone):
        node.record("pruned" if name in gone else "readmitted", round=round_, peer=name)
    if gone != were_gone:
        ring = cfg.overlay_repair == "ring"
        node.durable["mended"] = mended(node.neighbors_of, gone, ring=ring)

"""Lists of what has changed since rates were last found. Plain loops as in
:mod:`simulator.network.filling`.
"""

from collections.abc import MutableSequence

from simulator.network.rows import (
    ACKED,
    ACKS,
    CHANGE,
    CHANGED,
    FLOWS,
    IN_ACKED,
    IN_TOUCHED,
    IN_TURNED,
    LINKS,
    TOUCHED,
    TURNED,
    TURNS,
    Ints,
)

LISTED, DROPPED = 1, 2  # of a flow in the list; 0 is not in it


def touch(fi: Ints, counts: MutableSequence[int], i: int) -> None:
    """Note that something about a flow has changed."""
    if fi[CHANGE][i] == 0:
        fi[CHANGED][counts[FLOWS]] = i
        counts[FLOWS] += 1
    fi[CHANGE][i] = LISTED


def drop(fi: Ints, i: int) -> None:
    """A flow is out: nothing is to be found for it."""
    if fi[CHANGE][i] == LISTED:
        fi[CHANGE][i] = DROPPED


def touch_link(li: Ints, counts: MutableSequence[int], link: int) -> None:
    """Note that flows have left a link, or that its capacity has changed."""
    if li[IN_TOUCHED][link] == 0:
        li[IN_TOUCHED][link] = 1
        li[TOUCHED][counts[LINKS]] = link
        counts[LINKS] += 1


def touch_acked(li: Ints, counts: MutableSequence[int], link: int) -> None:
    """Note that acknowledgements take another share of a link."""
    if li[IN_ACKED][link] == 0:
        li[IN_ACKED][link] = 1
        li[ACKED][counts[ACKS]] = link
        counts[ACKS] += 1


def forget_acked(li: Ints, counts: MutableSequence[int]) -> None:
    """Empty the list of links that acknowledgements cross."""
    for k in range(counts[ACKS]):
        li[IN_ACKED][li[ACKED][k]] = 0
    counts[ACKS] = 0


def turn(li: Ints, counts: MutableSequence[int], link: int) -> None:
    """Note that a link has come to hold flows back, or to hold none."""
    if li[IN_TURNED][link] == 0:
        li[IN_TURNED][link] = 1
        li[TURNED][counts[TURNS]] = link
        counts[TURNS] += 1

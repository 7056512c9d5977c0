"""Max-min fair rates of flows over links, found anew only where a change can be felt.

A change is handed to the links that it touches; those that have to find their level anew tell others
(see :mod:`simulator.network.filling`). Acknowledgements take a share of the links that they cross, so
what they need is looked at once rates are found, and the rates again, until that has settled.

Plain loops as in :mod:`simulator.network.filling`.
"""

from collections.abc import MutableSequence
from math import inf

from simulator.network.due import expect, promote, ripe, sync
from simulator.network.filling import UNCHANGED, ask, enter, has_turned, settle, share
from simulator.network.rows import (
    ACK_HEAD,
    ACK_TAIL,
    ACKED,
    BEFORE,
    CAP,
    CAPACITY,
    CAPPED,
    DUE,
    FLIPPED,
    FREE,
    HEAD,
    INSIDE,
    LINK,
    MEMBERS,
    NEXT,
    NONE,
    NUM_HOPS,
    NUM_LINKS,
    OWNER,
    RATE,
    SHARE,
    TAIL,
    TOUCHED,
    Floats,
    Ints,
)
from simulator.network.window import ACK_SHARE

__all__ = ["join", "leave", "ripe", "solve"]

AT_CAP = 1 - 1e-9
ACK_PASSES = 8
ACK_SETTLED = 1e-3  # of a link's capacity; finer than the model itself
DATA_FLOOR = 0.5  # acknowledgements leave at least this share of a link to data


def join(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, tree: MutableSequence[int], i: int
) -> None:
    """Append a flow to the lists of its links."""
    hops = len(ei[LINK]) // len(fi[INSIDE])
    for hop in range(fi[NUM_HOPS][i]):
        head, tail = (HEAD, TAIL) if hop < fi[NUM_LINKS][i] else (ACK_HEAD, ACK_TAIL)
        entry = i * hops + hop
        link = ei[LINK][entry]
        last = li[tail][link]
        ei[NEXT][entry], ei[BEFORE][entry] = NONE, last
        if last == NONE:
            li[head][link] = entry
        else:
            ei[NEXT][last] = entry
        li[tail][link] = entry


def leave(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, tree: MutableSequence[int], i: int
) -> None:
    """Take a flow off the lists of its links."""
    hops = len(ei[LINK]) // len(fi[INSIDE])
    for hop in range(fi[NUM_HOPS][i]):
        head, tail = (HEAD, TAIL) if hop < fi[NUM_LINKS][i] else (ACK_HEAD, ACK_TAIL)
        entry = i * hops + hop
        link, before, after = ei[LINK][entry], ei[BEFORE][entry], ei[NEXT][entry]
        if before == NONE:
            li[head][link] = after
        else:
            ei[NEXT][before] = after
        if after == NONE:
            li[tail][link] = before
        else:
            ei[BEFORE][after] = before
    ff[RATE][i] = ff[SHARE][i] = 0.0
    ff[DUE][i] = inf
    promote(ff[DUE], tree, i)


def solve(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    tree: MutableSequence[int],
    now: float,
    num_flows: int,
    num_links: int,
    num_acked: int,
) -> tuple[int, int, bool]:
    """Find the rates after a change of the first ``MEMBERS``, of links ``TOUCHED``, and of what
    acknowledgements take of links ``ACKED``; integrate bytes.

    Returns how many slots ``FLIPPED`` lists, flows that came to be held back by their own cap, or by
    a link after that; how many looks at flows that took; and whether a link has come to hold flows back,
    or to hold none, since queues were last looked at.
    """
    hops = len(ei[LINK]) // len(fi[INSIDE])
    count = waiting = work = 0
    for k in range(num_flows):
        i = fi[MEMBERS][k]
        count = enter(ff, fi, i, now, count)
        for entry in range(i * hops, i * hops + fi[NUM_LINKS][i]):
            waiting = ask(lf, li, ei[LINK][entry], waiting)
    for k in range(num_links):
        link = li[TOUCHED][k]
        reserve(ff, lf, li, ei, link)
        waiting = ask(lf, li, link, waiting)
    waiting = reserve_all(ff, lf, li, ei, num_acked, waiting)
    passes = 0
    while True:
        count, looks = settle(ff, fi, lf, li, ei, ef, now, count, waiting)
        num = share(ff, fi, lf, li, ei, count)
        work += looks
        if passes == ACK_PASSES:
            break
        waiting, passes = reserve_all(ff, lf, li, ei, num, 0), passes + 1
        if waiting == 0:
            break
    turned = has_turned(fi, li, ei, count, num_links)
    return apply(ff, fi, tree, now, count), work, turned


def reserve_all(ff: Floats, lf: Floats, li: Ints, ei: Ints, num: int, waiting: int) -> int:
    """Take what acknowledgements need now off the links ``ACKED``; return how many links have to work
    out their level anew.
    """
    for k in range(num):
        link = li[ACKED][k]
        if reserve(ff, lf, li, ei, link):
            waiting = ask(lf, li, link, waiting)
    return waiting


def reserve(ff: Floats, lf: Floats, li: Ints, ei: Ints, link: int) -> bool:
    """Take what acknowledgements need off a link; return whether that has changed."""
    capacity = lf[CAPACITY][link]
    if capacity == inf:
        return False
    load = 0.0
    entry = li[ACK_HEAD][link]
    while entry != NONE:
        load += ff[SHARE][ei[OWNER][entry]]
        entry = ei[NEXT][entry]
    free = max(capacity - ACK_SHARE * load, DATA_FLOOR * capacity)
    if abs(free - lf[FREE][link]) <= ACK_SETTLED * capacity:
        return False
    lf[FREE][link] = free
    return True


def apply(ff: Floats, fi: Ints, tree: MutableSequence[int], now: float, count: int) -> int:
    """Let the members go on at their new rates; list those that came to, or from, their own cap."""
    flipped = 0
    for k in range(count):
        i = fi[MEMBERS][k]
        fi[INSIDE][i] = 0
        share, rate = ff[SHARE][i], ff[RATE][i]
        if abs(share - rate) > UNCHANGED * rate or share == inf or rate == inf:
            sync(ff, i, now)
            ff[RATE][i] = share
            expect(ff, tree, i, now)
        capped = 1 if share >= ff[CAP][i] * AT_CAP else 0
        if capped != fi[CAPPED][i]:
            fi[CAPPED][i] = capped
            fi[FLIPPED][flipped] = i
            flipped += 1
    return flipped

"""Max-min fair rates of flows over links, found anew only where a change can be felt.

A change is handed to the links that it touches; those that have to find their level anew tell others
(see :mod:`simulator.network.filling`). Acknowledgements take a share of the links that they cross, so
what they need is looked at once rates are found, and the rates again, until that has settled.

Between solutions, :func:`advance` moves windows (see :mod:`simulator.network.pacing`).

Plain loops as in :mod:`simulator.network.filling`.
"""

from math import inf

from simulator.network.changes import LISTED, forget_acked
from simulator.network.due import SAME_INSTANT, expect, ripe, sync
from simulator.network.filling import UNCHANGED, ask, enter, settle, share
from simulator.network.looks import expect_look, look
from simulator.network.membership import begin, join, leave
from simulator.network.pacing import (
    Counts,
    Rules,
    conclude,
    prepare,
    ring,
)
from simulator.network.rows import (
    ACK_HEAD,
    ACKED,
    ACKS,
    ALARM,
    BY_ALARM,
    BY_DUE,
    CAP,
    CAPACITY,
    CAPPED,
    CHANGE,
    CHANGED,
    DUE,
    FLIPPED,
    FLOWS,
    FREE,
    IN_ACKED,
    IN_TOUCHED,
    INSIDE,
    LINK,
    LINKS,
    LOOK,
    MEMBERS,
    NEXT,
    NONE,
    NUM_LINKS,
    OWNER,
    RATE,
    SHARE,
    TOUCHED,
    Floats,
    Ints,
)
from simulator.network.window import ACK_SHARE

__all__ = ["advance", "begin", "join", "leave", "solve"]

AT_CAP = 1 - 1e-9
ACK_PASSES = 8
ACK_SETTLED = 1e-3  # of a link's capacity; finer than the model itself
DATA_FLOOR = 0.5  # acknowledgements leave at least this share of a link to data


def advance(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    trees: Ints,
    rules: Rules,
    counts: Counts,
    now: float,
    until: float,
) -> tuple[int, float, int]:
    """Move windows and find rates until flows have nothing left before their stop, or nothing is left
    to do before ``until``, when others act.

    Returns how many of these flows ``FLIPPED`` lists, as of ``now``, when there is more to do, and how
    many looks at flows that took.
    """
    start, work = now, 0
    while True:
        ring(ff, fi, trees, rules, counts, now)
        if rules[LOOK] <= now * SAME_INSTANT:
            look(ff, fi, lf, li, ei, ef, rules, counts, now)
        due = ff[DUE][trees[BY_DUE][1]]
        if due <= now * SAME_INSTANT:
            return (ripe(ff, fi, trees, now) if now == start else 0), due, work
        if counts[FLOWS] + counts[LINKS] + counts[ACKS] > 0:
            work += work_out(ff, fi, lf, li, ei, ef, trees, rules, counts, now)
            continue
        alarm = min(ff[ALARM][trees[BY_ALARM][1]], rules[LOOK])
        if min(due, until) <= alarm * SAME_INSTANT:
            return 0, min(due, alarm), work
        now = alarm


def work_out(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    trees: Ints,
    rules: Rules,
    counts: Counts,
    now: float,
) -> int:
    """Find the rates with the windows as they are, and see what that means for these."""
    for k in range(counts[FLOWS]):
        if fi[CHANGE][fi[CHANGED][k]] == LISTED:
            prepare(ff, fi, lf, li, ei, rules, fi[CHANGED][k], now)
    flipped, work = solve(ff, fi, lf, li, ei, ef, trees, rules, counts, now)
    for k in range(flipped):
        conclude(ff, fi, trees, rules, counts, fi[FLIPPED][k], now)
    expect_look(rules, counts, now)
    return work


def solve(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    trees: Ints,
    rules: Rules,
    counts: Counts,
    now: float,
) -> tuple[int, int]:
    """Find the rates after all changes that are listed, and integrate bytes.

    Returns how many slots ``FLIPPED`` lists, first the flows that were touched, then those that came to
    be held back by their own cap, or by a link after that; and how many looks at flows that took.
    """
    count, waiting = gather(ff, fi, lf, li, ei, counts, now)
    num_changed, work, passes = count, 0, 0
    while True:
        count, looks = settle(ff, fi, lf, li, ei, ef, rules, counts, now, count, waiting)
        share(ff, fi, lf, li, ei, counts, count)
        work, passes = work + looks, passes + 1
        if passes > ACK_PASSES:
            forget_acked(li, counts)
            break
        waiting = reserve_all(ff, lf, li, ei, counts, 0)
        if waiting == 0:
            break
    return apply(ff, fi, trees, now, num_changed, count), work


def gather(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, counts: Counts, now: float
) -> tuple[int, int]:
    """Empty the lists of changes. Return how many flows take part, and how many links have to work out
    their level anew.
    """
    hops = len(ei[LINK]) // len(fi[INSIDE])
    count = waiting = 0
    for k in range(counts[FLOWS]):
        i = fi[CHANGED][k]
        if fi[CHANGE][i] == LISTED:
            count = enter(ff, fi, i, now, count)
            for entry in range(i * hops, i * hops + fi[NUM_LINKS][i]):
                waiting = ask(lf, li, ei[LINK][entry], waiting)
        fi[CHANGE][i] = 0
    for k in range(counts[LINKS]):
        link = li[TOUCHED][k]
        li[IN_TOUCHED][link] = 0
        reserve(ff, lf, li, ei, link)
        waiting = ask(lf, li, link, waiting)
    counts[FLOWS] = counts[LINKS] = 0
    return count, reserve_all(ff, lf, li, ei, counts, waiting)


def reserve_all(ff: Floats, lf: Floats, li: Ints, ei: Ints, counts: Counts, waiting: int) -> int:
    """Take what acknowledgements need now off the links ``ACKED``; return how many links have to work
    out their level anew.
    """
    num, counts[ACKS] = counts[ACKS], 0
    for k in range(num):
        link = li[ACKED][k]
        li[IN_ACKED][link] = 0
        if reserve(ff, lf, li, ei, link):
            waiting = ask(lf, li, link, waiting)
    return waiting


def reserve(ff: Floats, lf: Floats, li: Ints, ei: Ints, link: int) -> bool:
    """Take what acknowledgements need off a link; return whether that has changed."""
    capacity = lf[CAPACITY][link]
    if capacity == inf:
        return False
    load, share, owner, after = 0.0, ff[SHARE], ei[OWNER], ei[NEXT]
    entry = li[ACK_HEAD][link]
    while entry != NONE:
        load += share[owner[entry]]
        entry = after[entry]
    free = max(capacity - ACK_SHARE * load, DATA_FLOOR * capacity)
    if abs(free - lf[FREE][link]) <= ACK_SETTLED * capacity:
        return False
    lf[FREE][link] = free
    return True


def apply(ff: Floats, fi: Ints, trees: Ints, now: float, num_changed: int, count: int) -> int:
    """Let the members go on at their new rates; list the first, which were touched, and those that came
    to, or from, their own cap.
    """
    shares, rates, caps = ff[SHARE], ff[RATE], ff[CAP]
    members, inside, is_capped, flipped = fi[MEMBERS], fi[INSIDE], fi[CAPPED], 0
    for k in range(count):
        i = members[k]
        inside[i] = 0
        share, rate = shares[i], rates[i]
        if abs(share - rate) > UNCHANGED * rate or share == inf or rate == inf:
            sync(ff, i, now)
            rates[i] = share
            expect(ff, trees, i, now)
        capped = 1 if share >= caps[i] * AT_CAP else 0
        if capped != is_capped[i] or k < num_changed:
            is_capped[i] = capped
            fi[FLIPPED][flipped] = i
            flipped += 1
    return flipped

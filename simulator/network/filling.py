"""Weighted max-min rates with a cap per flow, link by link, as plain loops over rows.

The level of a link is the rate per weight at which it is full, and infinite while it is not; a flow
goes at the lowest level that it meets, or at its cap. So a link's level follows from its flows' caps
and the lower ones of the other levels that they meet, and only from these: lower levels do not look at
higher ones. Hence links that work out their levels anew whenever one that matters to them has moved
come to rest, in any order, at the max-min fair rates (A. Charny, D. D. Clark, R. Jain, "Congestion
control with explicit rate indication", ICC 1995; the order of influence is the bottleneck structure of
J. Ros-Giralt et al., "On the bottleneck structure of congestion-controlled networks", SIGMETRICS 2019).
A change travels only as far as it is felt.

One source runs compiled and interpreted and gives the same bits either way: no reordered sums, no
fused operations.
"""

from math import inf

from simulator.network.rows import (
    ACKED,
    CAP,
    CEILING,
    FREE,
    FULL,
    HEAD,
    INSIDE,
    LINK,
    LOAD,
    MEMBERS,
    NEXT,
    NONE,
    NUM_HOPS,
    NUM_LINKS,
    OWNER,
    QUEUE,
    QUEUED,
    RATE,
    REACH,
    SEEN,
    SHARE,
    SINCE,
    SLACK,
    STANDING,
    TOUCHED,
    WAITING,
    WATER,
    WEIGHT,
    Floats,
    Ints,
)

AT_REST = 1e-14  # relative; a level that moves by less has not moved
UNCHANGED = 1e-12  # relative; a rate that moves by less is the same


def enter(ff: Floats, fi: Ints, i: int, now: float, count: int) -> int:
    """Let a flow take part in a solution; a cap that follows the rate is what it is now."""
    if fi[INSIDE][i] == 1:
        return count
    fi[MEMBERS][count] = i
    fi[INSIDE][i] = 1
    if ff[SLACK][i] > 0.0:
        ff[QUEUED][i] = ff[RATE][i] * ff[SLACK][i]
        if ff[QUEUED][i] < ff[CEILING][i]:
            ff[CEILING][i], ff[SINCE][i] = ff[QUEUED][i], now
        ff[CAP][i] = ff[CEILING][i]
    return count + 1


def ask(lf: Floats, li: Ints, link: int, waiting: int) -> int:
    """Have a link work out its level anew."""
    if li[WAITING][link] == 1 or (lf[FREE][link] == inf and lf[WATER][link] == inf):
        return waiting
    li[WAITING][link] = 1
    li[QUEUE][waiting] = link
    return waiting + 1


def settle(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, now: float, count: int, waiting: int
) -> tuple[int, int]:
    """Work out levels, the lowest first, until all are at rest. Return how many members there are, and
    how many looks at flows that took.
    """
    queue, after, owner, water, inside = li[QUEUE], ei[NEXT], ei[OWNER], lf[WATER], fi[INSIDE]
    looks = 0
    while waiting > 0:
        first = 0
        for k in range(1, waiting):
            if water[queue[k]] < water[queue[first]]:
                first = k
        link = queue[first]
        waiting -= 1
        queue[first] = queue[waiting]
        li[WAITING][link] = 0
        old = water[link]
        new, num = level(ff, fi, lf, li, ei, ef, link)
        looks += num
        if new == old or abs(new - old) <= AT_REST * min(new, old):
            continue
        water[link] = new
        li[FULL][link] = 1 if new < inf else 0
        waiting = tell(ff, fi, lf, li, ei, link, old, new, waiting)
        entry = li[HEAD][link]
        while entry != NONE:
            if inside[owner[entry]] == 0:
                count = enter(ff, fi, owner[entry], now, count)
            entry = after[entry]
    return count, looks


def level(ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, link: int) -> tuple[float, int]:
    """Return the level at which a link is full, given those that its flows meet elsewhere, and how
    many looks at flows that took.
    """
    # Newton's method on a concave sum: whatever it starts from, it then comes from below
    start, anew, from_below, looks = lf[WATER][link], True, False, 0
    while True:
        left, pull, lower, upper, num = weigh(ff, fi, lf, li, ei, ef, link, start, anew)
        looks, anew = looks + num, False
        if pull == 0.0:
            if left >= 0.0 or from_below:
                return inf, looks
            start = -1.0
            continue
        new = left / pull
        if lower <= new < upper or (from_below and new <= start):
            return new, looks
        start, from_below = new, True


def weigh(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, link: int, start: float, anew: bool
) -> tuple[float, float, float, float, int]:
    """Part a link's flows into those that could go up to the level ``start`` elsewhere, and the others.

    Return what the first leave of the link, the load of the others per level, how far the furthest of
    the first and the nearest of the others could go, and how many flows there are. ``anew``: find out
    how far they could, and leave it in ``REACH``.
    """
    hops = len(ei[LINK]) // len(fi[INSIDE])
    cap, ceiling, slack, rate = ff[CAP], ff[CEILING], ff[SLACK], ff[RATE]
    reach, weight, load, owner, after = ff[REACH], ff[WEIGHT], ef[LOAD], ei[OWNER], ei[NEXT]
    route, links, water = ei[LINK], fi[NUM_LINKS], lf[WATER]
    left, pull, lower, upper, num = max(lf[FREE][link], 0.0), 0.0, 0.0, inf, 0
    entry = li[HEAD][link]
    while entry != NONE:
        i = owner[entry]
        if anew:
            # a cap that follows the rate is what it will be when the flow enters
            most = cap[i] if slack[i] == 0.0 else min(ceiling[i], rate[i] * slack[i])
            most /= weight[i]
            first = i * hops
            for other in range(first, first + links[i]):
                if other != entry and water[route[other]] < most:
                    most = water[route[other]]
            reach[i] = most
        else:
            most = reach[i]
        if most <= start:
            left -= load[entry] * weight[i] * most
            if most > lower:
                lower = most
        else:
            pull += load[entry] * weight[i]
            if most < upper:
                upper = most
        num += 1
        entry = after[entry]
    return left, pull, lower, upper, num


def tell(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, link: int, old: float, new: float, waiting: int
) -> int:
    """Have those links work out their level anew to which it matters that this one's has moved."""
    hops = len(ei[LINK]) // len(fi[INSIDE])
    route, owner, after, links = ei[LINK], ei[OWNER], ei[NEXT], fi[NUM_LINKS]
    reach, water, waits, lower = ff[REACH], lf[WATER], li[WAITING], min(old, new)
    entry = li[HEAD][link]
    while entry != NONE:
        i = owner[entry]
        if reach[i] > lower:
            first = i * hops
            for other in range(first, first + links[i]):
                # a link that is not full stays so if its flows get less
                beyond = route[other]
                if waits[beyond] == 0 and other != entry and (new > old or water[beyond] < inf):
                    waiting = ask(lf, li, beyond, waiting)
        entry = after[entry]
    return waiting


def share(ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, count: int) -> int:
    """Give the members what the levels that they meet leave them. List in ``ACKED`` the links that
    the acknowledgements cross of those for whom this is not the same; return how many.
    """
    hops = len(ei[LINK]) // len(fi[INSIDE])
    route, water, seen, acked, share = ei[LINK], lf[WATER], li[SEEN], li[ACKED], ff[SHARE]
    num = 0
    for k in range(count):
        i = fi[MEMBERS][k]
        first, last = i * hops, i * hops + fi[NUM_LINKS][i]
        lowest = inf
        for entry in range(first, last):
            lowest = min(lowest, water[route[entry]])
        cap, weight, old = ff[CAP][i], ff[WEIGHT][i], share[i]
        new = cap if cap / weight <= lowest else lowest * weight
        share[i] = new
        if new == old or abs(new - old) <= UNCHANGED * min(new, old):
            continue
        for entry in range(last, first + fi[NUM_HOPS][i]):
            link = route[entry]
            if seen[link] == 0 and li[HEAD][link] != NONE:
                seen[link] = 1
                acked[num] = link
                num += 1
    for k in range(num):
        seen[acked[k]] = 0
    return num


def has_turned(fi: Ints, li: Ints, ei: Ints, count: int, num_links: int) -> bool:
    """Whether a link that was touched, or that a member crosses, holds flows back, unlike when queues
    were last looked at.
    """
    hops = len(ei[LINK]) // len(fi[INSIDE])
    full, standing, route = li[FULL], li[STANDING], ei[LINK]
    for k in range(num_links):
        link = li[TOUCHED][k]
        if full[link] != standing[link]:
            return True
    for k in range(count):
        i = fi[MEMBERS][k]
        for entry in range(i * hops, i * hops + fi[NUM_LINKS][i]):
            if full[route[entry]] != standing[route[entry]]:
                return True
    return False

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

from collections.abc import MutableSequence
from math import inf

from simulator.network.changes import touch_acked, turn
from simulator.network.pacing import Counts, Rules, lower, renew
from simulator.network.rows import (
    ASKED,
    CAP,
    CEILING,
    FREE,
    FULL,
    HEAD,
    IN_ACKED,
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
    RATE,
    REACH,
    SHARE,
    SLACK,
    SPARE,
    WAITING,
    WATER,
    WEIGHT,
    Floats,
    Ints,
)

AT_REST = 1e-14  # relative; a level that moves by less has not moved
RISE = 1.25  # times a link's level; caps above that are looked at closer only if the new one is higher
UNCHANGED = 1e-12  # relative; a rate that moves by less is the same


def enter(ff: Floats, fi: Ints, i: int, now: float, count: int) -> int:
    """Let a flow take part in a solution; a cap that follows the rate is what it is now."""
    if fi[INSIDE][i] == 1:
        return count
    fi[MEMBERS][count] = i
    fi[INSIDE][i] = 1
    if ff[SLACK][i] > 0.0:
        lower(ff, fi, i, now)
    return count + 1


def ask(lf: Floats, li: Ints, link: int, waiting: int) -> int:
    """Have a link work out its level anew."""
    if li[WAITING][link] == 1 or (lf[FREE][link] == inf and lf[WATER][link] == inf):
        return waiting
    li[WAITING][link] = 1
    li[QUEUE][waiting] = link
    return waiting + 1


def settle(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    rules: Rules,
    counts: Counts,
    now: float,
    count: int,
    waiting: int,
) -> tuple[int, int]:
    """Work out levels, the lowest first, until all are at rest. Return how many members there are, and
    how many looks at flows that took.
    """
    queue, after, owner, water, inside = li[QUEUE], ei[NEXT], ei[OWNER], lf[WATER], fi[INSIDE]
    looks = 0
    while waiting > 0:
        link = lowest(queue, water, waiting)
        waiting -= 1
        li[WAITING][link] = 0
        old = water[link]
        new, num = level(ff, fi, lf, li, ei, ef, rules, link, now)
        looks += num
        if new == old or abs(new - old) <= AT_REST * min(new, old):
            continue
        water[link] = new
        if (new < inf) != (old < inf):
            li[FULL][link] = 1 if new < inf else 0
            turn(li, counts, link)
        waiting = tell(ff, fi, lf, li, ei, ef, link, old, new, waiting)
        entry = li[HEAD][link]
        while entry != NONE:
            if inside[owner[entry]] == 0:
                count = enter(ff, fi, owner[entry], now, count)
            entry = after[entry]
    return count, looks


def lowest(queue: MutableSequence[int], water: MutableSequence[float], waiting: int) -> int:
    """Take the link with the lowest level off the first places of the queue."""
    first = 0
    for k in range(1, waiting):
        if water[queue[k]] < water[queue[first]]:
            first = k
    link = queue[first]
    queue[first] = queue[waiting - 1]
    return link


def level(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    rules: Rules,
    link: int,
    now: float,
) -> tuple[float, int]:
    """Return the level at which a link is full, given those that its flows meet elsewhere, and how
    many looks at flows that took.
    """
    # Newton's method on a concave sum: whatever it starts from, it then comes from below
    start, from_below, looks = lf[WATER][link], False, 0
    bound = RISE * start
    num = find_reaches(ff, fi, lf, li, ei, rules, link, bound, now)
    while True:
        left, pull, lower, upper = weigh(ff, lf, li, ei, ef, link, start)
        looks += num
        new = left / pull if pull > 0.0 else inf
        if pull == 0.0 and left < 0.0 and not from_below:
            start = -1.0
        elif pull > 0.0 and not (lower <= new < upper or (from_below and new <= start)):
            start, from_below = new, True
        elif new > bound:
            bound, from_below = inf, False
            find_reaches(ff, fi, lf, li, ei, rules, link, bound, now)
        else:
            lf[SPARE][link] = left
            return new, looks


def find_reaches(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, rules: Rules, link: int, bound: float, now: float
) -> int:
    """Leave in ``REACH`` how far a link's flows could go elsewhere, exact up to a level ``bound``; return
    how many flows there are.
    """
    hops = len(ei[LINK]) // len(fi[INSIDE])
    cap, ceiling, slack, rate, asked = ff[CAP], ff[CEILING], ff[SLACK], ff[RATE], ff[ASKED]
    reach, weight, owner, after = ff[REACH], ff[WEIGHT], ei[OWNER], ei[NEXT]
    route, links, water, num = ei[LINK], fi[NUM_LINKS], lf[WATER], 0
    entry = li[HEAD][link]
    while entry != NONE:
        i = owner[entry]
        first, most = i * hops, inf
        for other in range(first, first + links[i]):
            if other != entry:
                met = water[route[other]]
                if met < most:
                    most = met
        own, share = cap[i], weight[i]
        if slack[i] > 0.0 and asked[i] != now:
            # its cap is what it will be when it enters, or what the window has grown to since
            own = rate[i] * slack[i]
            if ceiling[i] < own:
                own = ceiling[i]
            if own < share * (most if most < bound else bound):
                renew(ff, fi, rules, i, now)
                own = cap[i]
        own /= share
        reach[i] = own if own < most else most
        num += 1
        entry = after[entry]
    return num


def weigh(
    ff: Floats, lf: Floats, li: Ints, ei: Ints, ef: Floats, link: int, start: float
) -> tuple[float, float, float, float]:
    """Part a link's flows into those that could go up to the level ``start`` elsewhere, and the others.

    Return what the first leave of the link, the load of the others per level, how far the furthest of
    the first and the nearest of the others could go.
    """
    reach, weight, load, owner, after = ff[REACH], ff[WEIGHT], ef[LOAD], ei[OWNER], ei[NEXT]
    left, pull, lower, upper = max(lf[FREE][link], 0.0), 0.0, 0.0, inf
    entry = li[HEAD][link]
    while entry != NONE:
        i = owner[entry]
        most = reach[i]
        if most <= start:
            left -= load[entry] * weight[i] * most
            if most > lower:
                lower = most
        else:
            pull += load[entry] * weight[i]
            if most < upper:
                upper = most
        entry = after[entry]
    return left, pull, lower, upper


def tell(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    link: int,
    old: float,
    new: float,
    waiting: int,
) -> int:
    """Have those links work out their level anew to which it matters that this one's has moved: full
    ones with flows that do not go higher elsewhere, and others once what they have to spare is used up.
    """
    hops = len(ei[LINK]) // len(fi[INSIDE])
    route, owner, after, links, load = ei[LINK], ei[OWNER], ei[NEXT], fi[NUM_LINKS], ef[LOAD]
    reach, weight, water, spare, lower = ff[REACH], ff[WEIGHT], lf[WATER], lf[SPARE], min(old, new)
    entry = li[HEAD][link]
    while entry != NONE:
        i = owner[entry]
        if reach[i] > lower:
            first, rise = i * hops, min(new, reach[i]) - old
            for other in range(first, first + links[i]):
                beyond = route[other]
                if other == entry or li[WAITING][beyond] == 1 or water[beyond] <= lower:
                    continue
                if water[beyond] == inf:
                    if rise > 0.0:
                        spare[beyond] -= load[other] * weight[i] * rise
                    if rise <= 0.0 or spare[beyond] >= 0.0:
                        continue
                waiting = ask(lf, li, beyond, waiting)
        entry = after[entry]
    return waiting


def share(ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, counts: Counts, count: int) -> None:
    """Give the members what the levels that they meet leave them. List in ``ACKED`` the links that
    the acknowledgements cross of those for whom this is not the same.
    """
    hops = len(ei[LINK]) // len(fi[INSIDE])
    route, water, share, listed, head = ei[LINK], lf[WATER], ff[SHARE], li[IN_ACKED], li[HEAD]
    caps, weights, members, links, all_hops = ff[CAP], ff[WEIGHT], fi[MEMBERS], fi[NUM_LINKS], fi[NUM_HOPS]
    for k in range(count):
        i = members[k]
        first, last = i * hops, i * hops + links[i]
        most = inf
        for entry in range(first, last):
            met = water[route[entry]]
            if met < most:
                most = met
        cap, weight, old = caps[i], weights[i], share[i]
        new = cap if cap / weight <= most else most * weight
        if new == old:
            continue
        share[i] = new
        if abs(new - old) <= UNCHANGED * min(new, old):
            continue
        for entry in range(last, first + all_hops[i]):
            link = route[entry]
            if listed[link] == 0 and head[link] != NONE:
                touch_acked(li, counts, link)

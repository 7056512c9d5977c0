"""Weighted max-min rates with a cap per flow, by progressive filling, as plain loops over rows.

Rates are raised together, in proportion to weights, until a link or a flow's own cap binds; bound
flows freeze, the rest go on (D. Bertsekas, R. Gallager, "Data Networks", Prentice Hall, 2nd ed., 1992,
section 6.5.2). One source runs compiled and interpreted and gives the same bits either way: no
reordered sums, no fused operations.
"""

from math import inf

from simulator.network.rows import (
    ACTIVE,
    CAP,
    CROSSED,
    FREE,
    FULL,
    HEAD,
    HELD,
    INSIDE,
    LEFT,
    LEVEL,
    LINK,
    LOAD,
    LOWEST,
    MEMBERS,
    NEXT,
    NONE,
    NUM_LINKS,
    OWNER,
    PULL,
    REACH,
    SEEN,
    SHARE,
    STANDING,
    TIGHTEST,
    WEIGHT,
    Floats,
    Ints,
)


def collect(ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, count: int) -> int:
    """List the links that members cross, with what the others leave of them."""
    hops = len(ei[LINK]) // len(fi[HELD])
    crossed = 0
    for k in range(count):
        i = fi[MEMBERS][k]
        for first in range(i * hops, i * hops + fi[NUM_LINKS][i]):
            link = ei[LINK][first]
            if li[SEEN][link] == 1:
                continue
            li[SEEN][link] = 1
            li[CROSSED][crossed] = link
            crossed += 1
            left = lf[FREE][link]
            if left < inf:
                entry = li[HEAD][link]
                while entry != NONE:
                    other = ei[OWNER][entry]
                    if fi[INSIDE][other] == 0:
                        left -= ef[LOAD][entry] * ff[SHARE][other]
                    entry = ei[NEXT][entry]
            lf[LEFT][link] = left
    for k in range(crossed):
        li[SEEN][li[CROSSED][k]] = 0
    return crossed


def fill(ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, count: int, crossed: int) -> None:
    """Raise the members' rates together until a link or a cap binds, freeze, and go on: in rounds
    that freeze all local bottlenecks at once (links whose level is the lowest of all that their
    flows meet, and flows whose cap is below that).
    """
    active = fi[ACTIVE]
    for k in range(count):
        active[k] = fi[MEMBERS][k]
    while count > 0:
        raise_levels(ff, fi, lf, li, ei, ef, count, crossed)
        count = freeze(ff, fi, lf, ei, ef, count)


def raise_levels(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, count: int, crossed: int
) -> None:
    """Find the level at which each link fills, and the lowest that one of its flows can have."""
    hops = len(ei[LINK]) // len(fi[HELD])
    active, route, weight = fi[ACTIVE], ei[LINK], ff[WEIGHT]
    pull, lowest, tightest = lf[PULL], lf[LOWEST], lf[TIGHTEST]
    for k in range(crossed):
        pull[li[CROSSED][k]] = 0.0
    for k in range(count):
        i = active[k]
        for entry in range(i * hops, i * hops + fi[NUM_LINKS][i]):
            pull[route[entry]] += ef[LOAD][entry] * weight[i]
    for k in range(crossed):
        link = li[CROSSED][k]
        lowest[link] = max(lf[LEFT][link], 0.0) / pull[link] if pull[link] > 0.0 else inf
        tightest[link] = inf
    for k in range(count):
        i = active[k]
        reach = ff[CAP][i] / weight[i]
        for entry in range(i * hops, i * hops + fi[NUM_LINKS][i]):
            reach = min(reach, lowest[route[entry]])
        ff[REACH][i] = reach
        for entry in range(i * hops, i * hops + fi[NUM_LINKS][i]):
            tightest[route[entry]] = min(tightest[route[entry]], reach)


def freeze(ff: Floats, fi: Ints, lf: Floats, ei: Ints, ef: Floats, count: int) -> int:
    """Give the flows that are bound their rates; return how many are left."""
    hops = len(ei[LINK]) // len(fi[HELD])
    active, route = fi[ACTIVE], ei[LINK]
    kept = 0
    for k in range(count):
        i = active[k]
        first, last = i * hops, i * hops + fi[NUM_LINKS][i]
        reach, weight, cap = ff[REACH][i], ff[WEIGHT][i], ff[CAP][i]
        rate, held = -1.0, NONE
        if cap / weight <= reach:
            rate = cap
        else:
            for entry in range(first, last):
                link = route[entry]
                if lf[LOWEST][link] <= lf[TIGHTEST][link]:
                    rate, held = reach * weight, link
                    break
        if rate < 0.0:
            active[kept] = i
            kept += 1
            continue
        ff[SHARE][i] = rate
        ff[LEVEL][i] = rate / weight
        fi[HELD][i] = held
        for entry in range(first, last):
            if lf[LEFT][route[entry]] < inf:
                lf[LEFT][route[entry]] -= ef[LOAD][entry] * rate
    return kept


def has_turned(li: Ints, row: int, num: int) -> bool:
    """Whether one of the links listed in a row holds flows back, unlike when queues were last looked at."""
    for k in range(num):
        link = li[row][k]
        if li[FULL][link] != li[STANDING][link]:
            return True
    return False

"""Max-min fair rates of flows over links, found anew only where a change can be felt.

An allocation is max-min fair if, and only if, no link is above its capacity and every flow is at its
cap or crosses a full link on which no flow has a higher level. So a change is solved for the flows
that it touches, the others' loads taken off the links; a flow outside whose reason no longer holds
joins, and so on until all reasons hold (the order of influence is the bottleneck structure of
J. Ros-Giralt et al., "On the bottleneck structure of congestion-controlled networks", SIGMETRICS 2019).

Plain loops as in :mod:`simulator.network.filling`.
"""

from collections.abc import MutableSequence
from math import inf

from simulator.network.due import expect, promote, ripe, sync
from simulator.network.filling import collect, fill, has_turned
from simulator.network.rows import (
    ACK_HEAD,
    ACK_TAIL,
    ACKED,
    BEFORE,
    CAP,
    CAPACITY,
    CAPPED,
    CEILING,
    CROSSED,
    DUE,
    FLIPPED,
    FREE,
    FULL,
    HEAD,
    HELD,
    INSIDE,
    LEVEL,
    LINK,
    LOAD,
    MEMBERS,
    NEXT,
    NONE,
    NUM_HOPS,
    NUM_LINKS,
    OWNER,
    QUEUED,
    RATE,
    SEEN,
    SHARE,
    SINCE,
    SLACK,
    TAIL,
    TOUCHED,
    Floats,
    Ints,
)
from simulator.network.window import ACK_SHARE

__all__ = ["join", "leave", "ripe", "solve"]

UNCHANGED = 1e-12  # relative; a flow whose rate is the same keeps its completion time
EQUAL = 1e-10  # relative; levels and loads this close are the same
AT_CAP = 1 - 1e-9
ACK_PASSES = 8
ACK_SETTLED = 1e-3  # of a link's capacity; finer than the model itself
DATA_FLOOR = 0.5  # acknowledgements leave at least this share of a link to data


def join(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, tree: MutableSequence[int], i: int
) -> None:
    """Append a flow to the lists of its links."""
    hops = len(ei[LINK]) // len(fi[HELD])
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
    hops = len(ei[LINK]) // len(fi[HELD])
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
    ff[RATE][i] = ff[SHARE][i] = ff[LEVEL][i] = 0.0
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
    a link after that; how often a member was looked at; and whether a link has come to hold flows back,
    or to hold none, since queues were last looked at.
    """
    count = gather(ff, fi, lf, li, ei, ef, now, num_flows, num_links, num_acked)
    passes = work = crossed = 0
    while count > 0:
        work += count
        crossed = collect(ff, fi, lf, li, ei, ef, count)
        fill(ff, fi, lf, li, ei, ef, count, crossed)
        total, again = spread(ff, fi, lf, li, ei, ef, now, count, crossed), False
        if passes < ACK_PASSES:
            total, again = acknowledge(ff, fi, lf, li, ei, ef, now, total, count)
            passes += 1 if again else 0
        if total == count and not again:
            break
        count = total
    turned = has_turned(li, CROSSED, crossed) or has_turned(li, TOUCHED, num_links)
    return apply(ff, fi, tree, now, count), work, turned


def gather(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    now: float,
    num_flows: int,
    num_links: int,
    num_acked: int,
) -> int:
    """Let those take part whom a change touches first; return how many they are."""
    for k in range(num_flows):
        enter(ff, fi, fi[MEMBERS][k], now, k)
    count = num_flows
    for k in range(num_links):
        link = li[TOUCHED][k]
        count, _ = reserve(ff, fi, lf, li, ei, ef, now, link, count)
        li[FULL][link] = 0
        entry = li[HEAD][link]
        while entry != NONE:
            i = ei[OWNER][entry]
            if fi[HELD][i] == link and fi[INSIDE][i] == 0:
                enter(ff, fi, i, now, count)
                count += 1
            entry = ei[NEXT][entry]
    for k in range(num_acked):
        count, _ = reserve(ff, fi, lf, li, ei, ef, now, li[ACKED][k], count)
    return count


def enter(ff: Floats, fi: Ints, i: int, now: float, place: int) -> None:
    """Let a flow take part in a solution; a cap that follows the rate is what it is now."""
    fi[MEMBERS][place] = i
    fi[INSIDE][i] = 1
    if ff[SLACK][i] > 0.0:
        ff[QUEUED][i] = ff[RATE][i] * ff[SLACK][i]
        if ff[QUEUED][i] < ff[CEILING][i]:
            ff[CEILING][i], ff[SINCE][i] = ff[QUEUED][i], now
        ff[CAP][i] = ff[CEILING][i]


def reserve(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, now: float, link: int, count: int
) -> tuple[int, bool]:
    """Take what acknowledgements need off a link; if that has changed, its flows take part."""
    capacity = lf[CAPACITY][link]
    if capacity == inf:
        return count, False
    load = 0.0
    entry = li[ACK_HEAD][link]
    while entry != NONE:
        i = ei[OWNER][entry]
        load += ff[SHARE][i]
        entry = ei[NEXT][entry]
    free = max(capacity - ACK_SHARE * load, DATA_FLOOR * capacity)
    if abs(free - lf[FREE][link]) <= ACK_SETTLED * capacity:
        return count, False
    lf[FREE][link] = free
    entry = li[HEAD][link]
    found = entry != NONE
    while entry != NONE:
        i = ei[OWNER][entry]
        if fi[INSIDE][i] == 0:
            enter(ff, fi, i, now, count)
            count += 1
        entry = ei[NEXT][entry]
    return count, found


def spread(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, now: float, count: int, crossed: int
) -> int:
    """Let flows take part whose reason no longer holds: those that their link does not hold back any
    more, and those that get more than a flow which their link now holds back. Return how many
    members there are.
    """
    after, inside, held, level = ei[NEXT], fi[INSIDE], fi[HELD], ff[LEVEL]
    for k in range(crossed):
        link = li[CROSSED][k]
        used, top, bound, num_inside, num, holds = 0.0, 0.0, inf, 0, 0, 0
        entry = li[HEAD][link]
        while entry != NONE:
            i = ei[OWNER][entry]
            used += ef[LOAD][entry] * ff[SHARE][i]
            top = max(top, level[i])
            num += 1
            num_inside += inside[i]
            if held[i] == link:
                holds = 1
                if inside[i] == 1:
                    bound = min(bound, level[i])
            entry = after[entry]
        li[FULL][link] = holds
        if num_inside == num:
            continue
        full = used >= lf[FREE][link] * (1 - EQUAL)
        entry = li[HEAD][link]
        while entry != NONE:
            i = ei[OWNER][entry]
            if inside[i] == 0 and (
                level[i] > bound * (1 + EQUAL)
                or (held[i] == link and (not full or level[i] < top * (1 - EQUAL)))
            ):
                enter(ff, fi, i, now, count)
                count += 1
            entry = after[entry]
    return count


def acknowledge(
    ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, ef: Floats, now: float, count: int, solved: int
) -> tuple[int, bool]:
    """Take what the members' acknowledgements need now off the links that they cross."""
    hops = len(ei[LINK]) // len(fi[HELD])
    changed = False
    for k in range(solved):
        i = fi[MEMBERS][k]
        if abs(ff[SHARE][i] - ff[RATE][i]) <= UNCHANGED * ff[RATE][i]:
            continue
        for entry in range(i * hops + fi[NUM_LINKS][i], i * hops + fi[NUM_HOPS][i]):
            link = ei[LINK][entry]
            if li[SEEN][link] == 0 and li[HEAD][link] != NONE:
                li[SEEN][link] = 1
                count, found = reserve(ff, fi, lf, li, ei, ef, now, link, count)
                changed = changed or found
    for k in range(solved):
        i = fi[MEMBERS][k]
        for entry in range(i * hops + fi[NUM_LINKS][i], i * hops + fi[NUM_HOPS][i]):
            li[SEEN][ei[LINK][entry]] = 0
    return count, changed


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

"""Flows that come and go. Plain loops as in :mod:`simulator.network.filling`."""

from math import inf

from simulator.network.changes import drop, touch, touch_acked, touch_link
from simulator.network.due import promote
from simulator.network.pacing import Counts, Rules, hold, open_round, round_trip, set_alarm
from simulator.network.rows import (
    ACK_HEAD,
    ACK_TAIL,
    BEFORE,
    BY_DUE,
    CAPPED,
    DUE,
    HEAD,
    INSIDE,
    LINK,
    NEXT,
    NONE,
    NUM_HOPS,
    NUM_LINKS,
    RATE,
    RTT,
    SHARE,
    SLACK,
    SLOW,
    TAIL,
    THRESHOLD,
    Floats,
    Ints,
)


def join(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    trees: Ints,
    rules: Rules,
    counts: Counts,
    i: int,
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
    touch(fi, counts, i)


def leave(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    trees: Ints,
    rules: Rules,
    counts: Counts,
    i: int,
) -> None:
    """Take a flow off the lists of its links."""
    hops = len(ei[LINK]) // len(fi[INSIDE])
    for hop in range(fi[NUM_HOPS][i]):
        loads = hop < fi[NUM_LINKS][i]
        head, tail = (HEAD, TAIL) if loads else (ACK_HEAD, ACK_TAIL)
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
        if loads:
            touch_link(li, counts, link)
        else:
            touch_acked(li, counts, link)
    drop(fi, i)
    ff[RATE][i] = ff[SHARE][i] = 0.0
    set_alarm(ff, trees, i, inf)
    ff[DUE][i] = inf
    promote(ff[DUE], trees[BY_DUE], i)


def begin(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    trees: Ints,
    rules: Rules,
    counts: Counts,
    i: int,
    now: float,
    nbytes: float,
    threshold: float,
    peak: float,
) -> None:
    """Have a flow begin slow start with so many bytes, up to ``threshold``."""
    hold(ff, fi, i, nbytes, now, peak)
    ff[THRESHOLD][i], ff[SLACK][i], fi[SLOW][i], fi[CAPPED][i] = threshold, 0.0, 1, 1
    ff[RTT][i] = round_trip(ff, fi, lf, li, ei, rules, i)
    open_round(ff, fi, trees, rules, i, now)

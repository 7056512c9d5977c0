"""Queues that acknowledgements wait in: where a link holds flows back one stands, and goes on standing
until what the link has left over has drained it. They are looked at in steps of time.

Plain loops as in :mod:`simulator.network.filling`.
"""

from math import inf

from simulator.network.changes import touch, turn
from simulator.network.pacing import Counts, Rules, follow, held, next_on_grid, round_trip
from simulator.network.rows import (
    ACK_HEAD,
    BACKLOG,
    CAPPED,
    FREE,
    FULL,
    HEAD,
    IN_TURNED,
    IS_LOSS_BASED,
    LOAD,
    LOOK,
    NEXT,
    NONE,
    OWNER,
    QUEUE,
    RATE,
    RTT,
    SLOW,
    STANDING,
    STANDS,
    TURNED,
    TURNS,
    Floats,
    Ints,
)

LOOK_STEP_S = 0.025
LEAST_DRAIN = 0.05  # of a link's capacity; a queue that drains slower is as good as gone


def expect_look(rules: Rules, counts: Counts, now: float) -> None:
    """Where links have come to hold flows back, or none, look at their queues in a moment."""
    if counts[TURNS] > 0 and rules[LOOK] == inf and rules[IS_LOSS_BASED] == 1.0:
        rules[LOOK] = next_on_grid(now, LOOK_STEP_S)


def look(
    ff: Floats,
    fi: Ints,
    lf: Floats,
    li: Ints,
    ei: Ints,
    ef: Floats,
    rules: Rules,
    counts: Counts,
    now: float,
) -> None:
    """Touch the flows whose acknowledgements come to wait in a queue, or do not any more, where the
    window matters.
    """
    rules[LOOK] = inf
    num, counts[TURNS] = counts[TURNS], 0
    moved = 0
    for k in range(num):
        link = li[TURNED][k]
        li[IN_TURNED][link] = 0
        stands = 1 if drain(ff, lf, li, ei, ef, link) > 0.0 else 0
        if stands == 1 and li[FULL][link] == 0:
            turn(li, counts, link)  # to look again
        if stands != li[STANDING][link]:
            li[STANDING][link] = stands
            li[QUEUE][moved] = link
            moved += 1
    for k in range(moved):
        entry = li[ACK_HEAD][li[QUEUE][k]]
        while entry != NONE:
            i = ei[OWNER][entry]
            if ff[RATE][i] > 0.0:
                ff[RTT][i] = round_trip(ff, fi, lf, li, ei, rules, i)
                if fi[CAPPED][i] == 1 or (fi[SLOW][i] == 0 and is_short(ff, fi, rules, i, now)):
                    touch(fi, counts, i)
            entry = ei[NEXT][entry]
    expect_look(rules, counts, now)


def drain(ff: Floats, lf: Floats, li: Ints, ei: Ints, ef: Floats, link: int) -> float:
    """Bring a queue up to date, a step after it was last looked at; return its seconds."""
    if li[FULL][link] == 1:
        lf[BACKLOG][link] = lf[STANDS][link]
    elif li[STANDING][link] == 1:
        load = 0.0
        entry = li[HEAD][link]
        while entry != NONE:
            load += ef[LOAD][entry] * ff[RATE][ei[OWNER][entry]]
            entry = ei[NEXT][entry]
        lf[BACKLOG][link] -= LOOK_STEP_S * max(1.0 - load / lf[FREE][link], LEAST_DRAIN)
    else:
        lf[BACKLOG][link] = 0.0
    return lf[BACKLOG][link]


def is_short(ff: Floats, fi: Ints, rules: Rules, i: int, now: float) -> bool:
    """Whether the window is too short for the flow's rate with the queues that stand now."""
    if held(ff, fi, rules, i, now) < ff[RATE][i] * ff[RTT][i]:
        return True
    follow(ff, rules, i)
    return False

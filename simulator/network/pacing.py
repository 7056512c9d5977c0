"""How flows' windows move, on rows of numbers: rounds of slow start, the cap under which a flow takes
part in a solution, and what the solution makes of its window.

Slow start doubles the cap every round trip until the flow gets less than that; then it holds as much as
its share and the queue behind it, keeps this when its share rises, and grows from there. While a link is
its limit, ``SLACK`` is positive and its cap is ``CEILING``, which each solution first lowers to ``SLACK``
times the rate before. Losses are :mod:`simulator.network.congestion`'s, growth :mod:`~.window`'s.

Plain loops as in :mod:`simulator.network.filling`.
"""

from collections.abc import MutableSequence
from math import floor, inf

from simulator.network.changes import touch
from simulator.network.due import SAME_INSTANT, promote, sync
from simulator.network.rows import (
    ALARM,
    ASKED,
    BACKOFF,
    BUFFER,
    BURST,
    BY_ALARM,
    CAP,
    CAPPED,
    CEILING,
    EPOCH,
    FULL_QUEUE,
    HAS_HYSTART,
    IS_CUBIC,
    IS_LOSS_BASED,
    LIMIT,
    LINK,
    MAX_WINDOW,
    NUM_HOPS,
    NUM_LINKS,
    PATH_RTT,
    PEAK,
    RATE,
    REMAINING,
    RTT,
    SLACK,
    SLOW,
    STANDING,
    STANDS,
    STEP,
    THRESHOLD,
    WINDOW,
    Floats,
    Ints,
)
from simulator.network.topology import SEGMENT_NBYTES
from simulator.network.window import (
    JITTER_SEGMENTS,
    QUEUE_FILL,
    grown,
    hystart_limit_s,
    overflows,
)

Rules = MutableSequence[float]
Counts = MutableSequence[int]

GROWTH_STEP_S, LOSSY_GROWTH_STEP_S = 0.4, 0.1
"""A growing window is followed in steps of this, or twice, four times … as much; where losses cut it, in
shorter ones."""
SHALLOW_WINDOW = 4  # times the buffer: the window that slow start overran it with
NEVER = -1.0


# -- windows ----------------------------------------------------------------------------------------------


def hold(ff: Floats, fi: Ints, i: int, nbytes: float, now: float, peak: float) -> None:
    """Leave slow start, or take a loss: the window grows from ``nbytes`` from now on; ``peak`` is what
    it was before, 0 for none that CUBIC remembers.
    """
    fi[SLOW][i] = 0
    ff[WINDOW][i], ff[EPOCH][i], ff[PEAK][i] = nbytes, now, peak


def fill(ff: Floats, fi: Ints, i: int, full: float, now: float) -> None:
    """A link holds the flow to ``full`` bytes in flight, with a queue as full as it is on average; the
    next loss comes when it is full.
    """
    rtt, queue = ff[RTT][i], ff[FULL_QUEUE][i]
    hold(ff, fi, i, full, now, full * (rtt + queue) / (rtt + QUEUE_FILL * queue))


def full_of(ff: Floats, i: int) -> float:
    """Bytes in flight with a queue as full as it is on average."""
    return ff[RATE][i] * (ff[RTT][i] + QUEUE_FILL * ff[FULL_QUEUE][i])


def grown_to(ff: Floats, rules: Rules, i: int, at: float) -> float:
    """The window at some time from its epoch on."""
    elapsed = at - ff[EPOCH][i]
    return grown(rules[IS_CUBIC], rules[BACKOFF], ff[WINDOW][i], ff[PEAK][i], elapsed, ff[RTT][i])


def held(ff: Floats, fi: Ints, rules: Rules, i: int, now: float) -> float:
    """The window after slow start. Where a link is the limit it cannot exceed what the flow's rate and
    the queue hold; where it is the limit itself, take the middle of a step.
    """
    if fi[CAPPED][i] == 1 or not ff[RATE][i] > 0.0:
        return grown_to(ff, rules, i, now + (next_step(ff, i, now) - now) / 2)
    full = full_of(ff, i)
    if ff[WINDOW][i] < full:
        nbytes = grown_to(ff, rules, i, now)
        if nbytes < full:
            return nbytes
    fill(ff, fi, i, full, now)
    return full


def follow(ff: Floats, rules: Rules, i: int) -> None:
    """A link is the limit: from now on the window is what it is, or less if the flow's rate and the
    queue hold less.
    """
    rtt = ff[RTT][i]
    ff[CEILING][i] = min(ff[WINDOW][i], rules[MAX_WINDOW]) / rtt
    ff[SLACK][i] = 1.0 + QUEUE_FILL * ff[FULL_QUEUE][i] / rtt
    ff[ASKED][i] = NEVER


def lower(ff: Floats, fi: Ints, i: int, now: float) -> None:
    """A solution begins for a flow with a link as its limit: its cap is what that held."""
    if ff[ASKED][i] == now:
        return
    most = ff[RATE][i] * ff[SLACK][i]
    if most < ff[CEILING][i]:
        ff[CEILING][i] = most
        fill(ff, fi, i, most * ff[RTT][i], now)
    ff[CAP][i] = ff[CEILING][i]


def renew(ff: Floats, fi: Ints, rules: Rules, i: int, now: float) -> None:
    """A link holds the flow back no longer, its window may: set the cap to what that has grown to, or to
    what it was held to until now, in the middle of a step.
    """
    full = ff[RATE][i] * ff[SLACK][i] * ff[RTT][i]
    if ff[WINDOW][i] >= full or grown_to(ff, rules, i, now) >= full:
        fill(ff, fi, i, full, now)
        ff[CEILING][i] = min(full, rules[MAX_WINDOW]) / ff[RTT][i]
    nbytes = grown_to(ff, rules, i, now + (next_step(ff, i, now) - now) / 2)
    ff[CAP][i] = min(nbytes, rules[MAX_WINDOW]) / ff[RTT][i]
    ff[ASKED][i] = now


def round_trip(ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, rules: Rules, i: int) -> float:
    """Seconds: acknowledgements wait in the queues of those who send against them."""
    rtt = ff[PATH_RTT][i]
    if rules[IS_LOSS_BASED] == 1.0:
        first = i * (len(ei[LINK]) // len(fi[NUM_HOPS]))
        for entry in range(first + fi[NUM_LINKS][i], first + fi[NUM_HOPS][i]):
            if li[STANDING][ei[LINK][entry]] == 1:
                rtt += lf[STANDS][ei[LINK][entry]]
    return rtt


# -- around a solution ------------------------------------------------------------------------------------


def prepare(ff: Floats, fi: Ints, lf: Floats, li: Ints, ei: Ints, rules: Rules, i: int, now: float) -> None:
    """Set the cap under which a flow that was touched takes part in a solution."""
    ff[RTT][i] = round_trip(ff, fi, lf, li, ei, rules, i)
    nbytes = rules[MAX_WINDOW]
    if fi[SLOW][i] == 1:
        nbytes = inf if fi[BURST][i] == 1 else min(nbytes, ff[WINDOW][i])
    elif rules[IS_LOSS_BASED] == 1.0:
        nbytes = min(nbytes, held(ff, fi, rules, i, now))
    ff[CAP][i] = min(nbytes / ff[RTT][i], ff[LIMIT][i])
    ff[SLACK][i], ff[ASKED][i] = 0.0, now


def conclude(ff: Floats, fi: Ints, trees: Ints, rules: Rules, counts: Counts, i: int, now: float) -> None:
    """See what a solution means for the window of a flow that was touched, or that has come to be held
    back by its window, or by a link after that.
    """
    if fi[SLOW][i] == 1:
        if fi[CAPPED][i] == 0 and fi[BURST][i] == 0:
            leave_slow_start(ff, fi, trees, rules, counts, i, now)
        return
    grows = rules[IS_LOSS_BASED] == 1.0 and fi[CAPPED][i] == 1
    if grows:
        ff[SLACK][i] = 0.0
    elif rules[IS_LOSS_BASED] == 1.0:
        follow(ff, rules, i)
    if not grows or ff[CAP][i] >= rules[MAX_WINDOW] / ff[RTT][i]:
        set_alarm(ff, trees, i, inf)
    elif ff[ALARM][i] == inf:
        set_alarm(ff, trees, i, next_step(ff, i, now))


def leave_slow_start(
    ff: Floats, fi: Ints, trees: Ints, rules: Rules, counts: Counts, i: int, now: float
) -> None:
    """A link holds the flow back: with losses, if its buffer is too shallow."""
    set_alarm(ff, trees, i, inf)
    loss_based = rules[IS_LOSS_BASED] == 1.0
    if loss_based and overflows(ff[WINDOW][i], ff[RATE][i] * ff[RTT][i], ff[BUFFER][i]):
        overrun = SHALLOW_WINDOW * ff[BUFFER][i]
        hold(ff, fi, i, rules[BACKOFF] * overrun, now, overrun)
        touch(fi, counts, i)
    else:
        fill(ff, fi, i, full_of(ff, i), now)
        follow(ff, rules, i)


# -- what happens by itself -------------------------------------------------------------------------------


def set_alarm(ff: Floats, trees: Ints, i: int, at: float) -> None:
    """Look at a flow's window at some time; inf is never."""
    if ff[ALARM][i] != at:
        ff[ALARM][i] = at
        promote(ff[ALARM], trees[BY_ALARM], i)


def next_step(ff: Floats, i: int, now: float) -> float:
    """When to look at a growing window again: on a grid of time, so that what grows is solved at once
    for all.
    """
    step = ff[STEP][i]
    while step < ff[RTT][i]:
        step *= 2
    return next_on_grid(now, step)


def next_on_grid(now: float, step: float) -> float:
    """The first multiple of ``step`` that comes after an instant."""
    at = (floor(now / step) + 1) * step
    return at if at > now * SAME_INSTANT else at + step


def open_round(ff: Floats, fi: Ints, trees: Ints, rules: Rules, i: int, now: float) -> None:
    """A round of slow start; one that can hold all the rest leaves at link speed."""
    sync(ff, i, now)
    if ff[REMAINING][i] <= min(ff[WINDOW][i], rules[MAX_WINDOW]):
        fi[BURST][i] = 1
    else:
        fi[BURST][i] = 0
        set_alarm(ff, trees, i, now + ff[RTT][i])


def ring(ff: Floats, fi: Ints, trees: Ints, rules: Rules, counts: Counts, now: float) -> None:
    """Next rounds of slow start and steps of growth that are due."""
    alarm, tree = ff[ALARM], trees[BY_ALARM]
    while alarm[tree[1]] <= now * SAME_INSTANT:
        i = tree[1]
        set_alarm(ff, trees, i, inf)
        if fi[SLOW][i] == 1:
            next_round(ff, fi, trees, rules, i, now)
        touch(fi, counts, i)


def next_round(ff: Floats, fi: Ints, trees: Ints, rules: Rules, i: int, now: float) -> None:
    """Double the window, up to the threshold."""
    # HyStart takes queues of acknowledgements for its own
    if rules[HAS_HYSTART] == 1.0 and ff[RTT][i] - ff[PATH_RTT][i] > hystart_limit_s(ff[PATH_RTT][i]):
        most = max(ff[WINDOW][i], float(JITTER_SEGMENTS * SEGMENT_NBYTES))
        ff[THRESHOLD][i] = min(ff[THRESHOLD][i], most)
    nbytes = min(2.0 * ff[WINDOW][i], ff[THRESHOLD][i])
    if nbytes >= ff[THRESHOLD][i]:
        hold(ff, fi, i, nbytes, now, 0.0)
    else:
        ff[WINDOW][i] = nbytes
        open_round(ff, fi, trees, rules, i, now)

"""Queues that windows make: how long a packet waits at each link, given what every flow has in flight.

A flow with ``window`` bytes in flight has the rate ``window / (base round trip + queueing)``; queues
grow until every link carries what it can. These delays are the only solution of a convex problem, its
multipliers (J. Mo, J. Walrand, "Fair end-to-end window-based congestion control", IEEE/ACM
Transactions on Networking 8(5), 2000). Found by Newton's method on the links that have a queue.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EXACT = 1e-7
"""Of a link's capacity."""
PLAIN_STEPS, MAX_STEPS = 8, 60
RIDGE, DAMPED_RIDGE = 1e-9, 1.0
"""Added to the diagonal, relative to it. Links whose queues delay the same flows, such as both ways
of one line, make the steps of Newton's method run away; damped ones settle."""


@dataclass(slots=True, kw_only=True)
class Paths:
    """What does not change with windows; ``n`` flows, ``m`` links that can be full.

    ``load`` (m, n): bytes on a link per byte of a flow, ``delay`` (m, n): 1 where a link's queue
    delays a flow or its acknowledgements; ``rtt_s`` (n); ``capacity`` (m), bytes per second;
    ``longest_s`` (m): delay of a full buffer.
    """

    load: Floats
    delay: Floats
    rtt_s: Floats
    capacity: Floats
    longest_s: Floats


def queueing(paths: Paths, window: Floats, start: Floats) -> Floats:
    """Return the delay of every link's queue in seconds, at most that of its full buffer.

    Args:
        paths: links and flows.
        window: (n) bytes in flight.
        start: (m) delays to begin with, such as those before the last change.
    """
    delays = np.minimum(start, paths.longest_s)
    for step in range(MAX_STEPS):
        total_s = paths.rtt_s + delays @ paths.delay
        rate = window / total_s
        excess = paths.load @ rate - paths.capacity
        settled = ((delays <= 0) & (excess <= 0)) | ((delays >= paths.longest_s) & (excess >= 0))
        settled |= np.abs(excess) <= EXACT * paths.capacity
        if settled.all():
            break
        free = ~settled
        slope = (paths.load[free] * (rate / total_s)) @ paths.delay[free].T
        slope[np.diag_indices_from(slope)] *= 1 + (RIDGE if step < PLAIN_STEPS else DAMPED_RIDGE)
        delays[free] += np.linalg.solve(slope, excess[free])
        np.clip(delays, 0.0, paths.longest_s, out=delays)
    return delays

"""Queues that windows make: how long a packet waits at each link, given what every flow has in flight.

A flow with ``window`` bytes in flight has the rate ``window / (base round trip + queueing)``; queues
grow until every link carries what it can. These delays are the only solution of a convex problem, its
multipliers (J. Mo, J. Walrand, "Fair end-to-end window-based congestion control", IEEE/ACM
Transactions on Networking 8(5), 2000). Found by Newton's method on the links whose queue is not yet
right. Where links of nearly equal capacity delay the same flows, such as both ways of one line, its
steps run away; then an interior-point method goes on (S. J. Wright, "Primal-dual interior-point
methods", SIAM, 1997).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

EXACT = 1e-7
"""Of a link's capacity."""
NEWTON_STEPS, INTERIOR_STEPS = 10, 100
"""Newton's method needs 1 to 5 where it converges, the other one 12 to 27."""
RIDGE = 1e-9
"""Added to the diagonal, relative to it: links with the same flows share a queue as they did."""
CENTERING, KEPT_INSIDE, AT_A_LIMIT = 0.1, 0.995, 1e-10
"""Of the interior-point method: what a step aims to leave of the slack, how much of the way to a limit
it goes, and which part of a buffer is as good as none."""


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

    def excess(self, window: Floats, delays: Floats) -> tuple[Floats, Floats]:
        """Return by how much more than its capacity a link is offered (m), in shares of it, and how
        fast that falls with the delays (m, m), per second.
        """
        total_s = self.rtt_s + delays @ self.delay
        rate = window / total_s
        excess = (self.load @ rate) / self.capacity - 1
        return excess, (self.load * (rate / total_s)) @ self.delay.T / self.capacity[:, None]

    def settled(self, delays: Floats, excess: Floats) -> Flags:
        """Say of each link whether it is full, has no queue, or has a full buffer and takes no more."""
        done = np.abs(excess) <= EXACT
        return done | ((delays <= 0) & (excess <= 0)) | ((delays >= self.longest_s) & (excess >= 0))


def queueing(paths: Paths, window: Floats, start: Floats) -> Floats:
    """Return the delay of every link's queue in seconds, at most that of its full buffer.

    Args:
        paths: links and flows.
        window: (n) bytes in flight.
        start: (m) delays to begin with, such as those before the last change.
    """
    delays = np.minimum(start, paths.longest_s)
    for _ in range(NEWTON_STEPS):
        excess, slope = paths.excess(window, delays)
        settled = paths.settled(delays, excess)
        if settled.all():
            return delays
        free = ~settled
        slope = slope[np.ix_(free, free)]
        slope[np.diag_indices_from(slope)] *= 1 + RIDGE
        delays[free] += np.linalg.solve(slope, excess[free])
        np.clip(delays, 0.0, paths.longest_s, out=delays)
    return _from_inside(paths, window)


def _from_inside(paths: Paths, window: Floats) -> Floats:
    """Find the delays on a way between empty and full buffers.

    Unknowns are ``fill`` of buffers, the ``room`` that they have left, and what links have to spare,
    ``idle``, or are offered too much, ``over``: ``idle − over = −excess``, and ``idle·fill`` and
    ``over·room`` go to zero together.
    """
    longest_s, ones = paths.longest_s, np.ones_like(paths.longest_s)
    fill, room, idle, over = ones / 2, ones / 2, ones, ones
    delays = fill * longest_s
    for _ in range(INTERIOR_STEPS):
        excess, slope = paths.excess(window, fill * longest_s)
        delays = np.where(fill < AT_A_LIMIT, 0.0, np.where(room < AT_A_LIMIT, 1.0, fill)) * longest_s
        if paths.settled(delays, excess).all():
            break
        goal = CENTERING * float(idle @ fill + over @ room) / (2 * len(fill))
        system = slope * longest_s + np.diag(idle / fill + over / room)
        fills = np.linalg.solve(system, excess + goal / fill - goal / room).astype(np.float64)
        idles = goal / fill - idle - idle * fills / fill
        overs = goal / room - over + over * fills / room
        step = _longest_step([(fill, fills), (room, -fills), (idle, idles), (over, overs)])
        fill, room = fill + step * fills, room - step * fills
        idle, over = idle + step * idles, over + step * overs
    return delays


def _longest_step(moves: list[tuple[Floats, Floats]]) -> float:
    """How far, 1 at most, to go from values above zero so that they stay there."""
    steepest = max(float((-change / value).max()) for value, change in moves)
    return min(1.0, KEPT_INSIDE / steepest) if steepest > 0 else 1.0

"""How windows clump where data goes both ways over a line. Pure functions.

Acknowledgements that wait in a queue among the other way's data come out of it closer together than
they went in, and the sender's next packets follow them as closely: a window travels as a clump, which
overruns a buffer that it would fit if it were spread over its round trip (L. Zhang, S. Shenker,
D. D. Clark, "Observations on the dynamics of a congestion control algorithm: the effects of two-way
traffic", SIGCOMM 1991). Nothing overtakes, so a clump stays one, but for what slowly comes between.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIXED = 1 / 500
"""By how much of the round trip a clump spreads in one: as the queue of a line full both ways showed on
Linux 6.18, one to three thousandths over 25 to 140 round trips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clump:
    """One flow's at a link: ``nbytes`` of it stand in the queue, and ``part`` of a round trip is what
    the window takes to leave.
    """

    nbytes: float
    part: float


def clump(
    *, window: float, rtt_s: float, back_s: float, rounds: int, capacity: float, fastest: float
) -> Clump:
    """Return a flow's clump at a link, which stands there when its last packet arrives.

    Args:
        window: bytes in flight.
        rtt_s: round trip, with queues.
        back_s: what acknowledgements queue of that; what waits there can be together, and no more.
        rounds: round trips since the flow began.
        capacity: of the link, bytes per second.
        fastest: bytes per second for which acknowledgements come, when nothing is between them.
    """
    tight = max(1 - capacity / fastest, 0.0)
    spread = min(MIXED * rounds, 1.0) * rtt_s * capacity
    nbytes = min(max(tight * window - spread, 0.0), tight * back_s * capacity)
    return Clump(nbytes=nbytes, part=window / capacity / rtt_s)


def highest(clumps: Sequence[Clump]) -> float:
    """Return how many bytes of several flows' clumps stand in a queue at its highest: while one passes,
    another is met by the chance that two such parts of a round trip overlap.
    """
    if not clumps:
        return 0.0
    nbytes = np.array([one.nbytes for one in clumps])
    part = np.array([one.part for one in clumps])
    meets = np.minimum(part[:, None] + part, 1.0)
    np.fill_diagonal(meets, 1.0)
    return float((meets * nbytes).sum(axis=1).max())

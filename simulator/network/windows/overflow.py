"""Who loses packets where a buffer is full. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One flow at a full buffer, in segments: ``window`` in flight, ``rtt_s`` with queues, ``added`` to
    the window per round trip; ``slow`` while it doubles. ``luck`` is drawn, exponential with mean 1.
    """

    window: float
    rtt_s: float
    slow: bool
    added: float
    luck: float


def part_sent(room: float, burst: float) -> float:
    """Return which part of the slow starts' bursts still finds ``room`` in the buffer, 0 to 1."""
    return min(max(room / burst, 0.0), 1.0) if burst > 0 else 1.0


def victims(arrivals: Sequence[Arrival]) -> list[int]:
    """Return the places of the flows that lose packets, one at least.

    ``D`` packets are too many until senders notice, a round trip later: what is added in one. They
    hit a flow with probability ``1 − exp(−D·share)``, its share that of the packets that arrive; a
    slow start sends two for each that leaves.
    """
    shares = [(2 if one.slow else 1) * one.window / one.rtt_s for one in arrivals]
    added = sum(one.added for one in arrivals)
    reach = [one.luck * sum(shares) / share for one, share in zip(arrivals, shares, strict=True)]
    limit = max(added, min(reach))
    return [place for place, needed in enumerate(reach) if needed <= limit]

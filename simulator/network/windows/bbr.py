"""The sender's side of a flow under BBR, version 1: what it has in flight, moved once per round trip.

The window follows the largest rate of the last ten round trips times the shortest round trip of the
last ten seconds; losses and queues do not matter. N. Cardwell, Y. Cheng, C. S. Gunn, S. H. Yeganeh,
V. Jacobson, "BBR: congestion-based congestion control", ACM Queue 14(5), 2016; constants of Linux's
``tcp_bbr.c``. Segments, seconds, bytes per second.
"""

from collections import deque
from dataclasses import dataclass, field
from math import inf

from simulator.network.topology import SEGMENT_NBYTES
from simulator.network.window import INITIAL_SEGMENTS
from simulator.network.windows.sender import RoundTrip

STARTUP_GAIN = 2.885
IN_FLIGHT_GAIN = 2.0
CYCLE = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
RATE_ROUNDS = 10
FULL_GROWTH, FULL_ROUNDS = 1.25, 3
"""The pipe is full when the rate has grown by less than a quarter in three round trips."""
MIN_RTT_AGE_S, PROBE_RTT_S, PROBE_RTT_SEGMENTS = 10.0, 0.2, 4.0


@dataclass(slots=True, kw_only=True)
class Bbr:
    """One flow's in-flight limit and what moves it; ``phase`` is its place in the cycle of gains."""

    phase: int
    cwnd: float = float(INITIAL_SEGMENTS)
    threshold: float = inf  # jitter does not end its start-up
    starting: bool = True
    added: float = 0.0  # full buffers
    rounds: int = 0  # and clumps do not matter to it
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_ROUNDS))
    full_rate: float = 0.0
    full_rounds: int = 0
    min_rtt_s: float = inf
    min_rtt_at_s: float = 0.0
    probing_until_s: float | None = None
    kept: float = 0.0  # in flight before the search for a shorter round trip

    @property
    def slow(self) -> bool:
        """Whether the window doubles."""
        return self.starting

    def round(self, now: float, times: RoundTrip, *, drain: float, rate: float) -> None:
        """Everything that was in flight has been acknowledged, ``rate`` bytes per second."""
        rtt_s = times.total_s
        if self.probing_until_s is not None:
            self._look_for_rtt(now, rtt_s)
            return
        self.rates.append(rate)
        expired = now > self.min_rtt_at_s + MIN_RTT_AGE_S
        if rtt_s <= self.min_rtt_s:
            self.min_rtt_s, self.min_rtt_at_s = rtt_s, now
        if self.starting:
            self._start_up()
        elif expired and self.min_rtt_at_s < now:
            self.kept, self.cwnd = self.cwnd, PROBE_RTT_SEGMENTS
            self.probing_until_s, self.min_rtt_s = now + PROBE_RTT_S, inf
        else:
            self._cycle(rtt_s, rate)

    def _pipe(self) -> float:
        """Segments that the path holds without a queue, by what is known."""
        return max(self.rates) * self.min_rtt_s / SEGMENT_NBYTES

    def _start_up(self) -> None:
        rate = max(self.rates)
        if rate >= FULL_GROWTH * self.full_rate:
            self.full_rate, self.full_rounds = rate, 0
        else:
            self.full_rounds += 1
        if self.full_rounds == FULL_ROUNDS:
            self.starting, self.cwnd = False, max(self._pipe(), PROBE_RTT_SEGMENTS)
        else:
            self.cwnd = max(min(2 * self.cwnd, STARTUP_GAIN * self._pipe()), self.cwnd)

    def _cycle(self, rtt_s: float, rate: float) -> None:
        gain, pipe = CYCLE[self.phase], self._pipe()
        self.phase = (self.phase + 1) % len(CYCLE)
        grown = self.cwnd + (gain * max(self.rates) - rate) * rtt_s / SEGMENT_NBYTES
        lowest = max(pipe, PROBE_RTT_SEGMENTS)
        self.cwnd = min(max(grown, lowest), IN_FLIGHT_GAIN * lowest)

    def _look_for_rtt(self, now: float, rtt_s: float) -> None:
        """Four segments in flight for a fifth of a second show the path without a queue."""
        if rtt_s <= self.min_rtt_s:
            self.min_rtt_s = rtt_s
        if self.probing_until_s is not None and now >= self.probing_until_s:
            self.probing_until_s, self.min_rtt_at_s, self.cwnd = None, now, self.kept

    def hit(self, part: float) -> None:
        """A packet was lost: no matter."""

    def lose(self) -> None:
        """A loss is noticed: no matter."""

    def mistake(self) -> None:
        """A loss that was none: no matter."""

    def time_out(self) -> None:
        """A retransmission time-out: begin again with one segment."""
        self.cwnd, self.starting, self.full_rate, self.full_rounds = 1.0, True, 0.0, 0
        self.probing_until_s = None
        self.rates.clear()

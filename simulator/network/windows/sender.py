"""The sender's side of a flow under CUBIC or Reno: its window, moved once per round trip, as in Linux.

Windows are in segments, times in seconds. Sources: S. Ha, I. Rhee, L. Xu, "CUBIC: a new TCP-friendly
high-speed TCP variant", ACM SIGOPS Operating Systems Review 42(5), 2008, and RFC 9438, 2023; S. Ha,
I. Rhee, "Taming the elephants: new TCP slow start", Computer Networks 55(9), 2011; RFC 5681, 2009;
the constants that these leave open are those of Linux's ``tcp_cubic.c``.
"""

from dataclasses import dataclass
from math import inf

from simulator.network.topology import SEGMENT_NBYTES
from simulator.network.window import INITIAL_SEGMENTS, Control, hystart_limit_s

LOW_WINDOW = 16
"""HyStart looks at windows from here on."""
TRAIN_GAP_S = 0.002
"""Acknowledgements further apart than this do not make one train."""
ACK_SEGMENTS = 1
DELAY_SAMPLES = 8
"""Acknowledgements, of a segment each, that HyStart needs to see a delay."""
TRAIN_SLACK_S = 0.001
CUBIC_C = 0.4
FIRST_GROWTH, FASTEST_GROWTH, FLAT_GROWTH = 1 / 20, 1 / 2, 1 / 100
"""CUBIC grows by at least a twentieth of the window per round trip until its first loss, never by
more than half of it, and by a hundredth of a segment where it is above its curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """A round trip's parts in seconds: ``path_s`` without queues, those of the way ``there_s``, and
    those of the acknowledgements, ``back_s``.
    """

    path_s: float
    there_s: float
    back_s: float

    @property
    def total_s(self) -> float:
        """How long it takes."""
        return self.path_s + self.there_s + self.back_s


@dataclass(slots=True, kw_only=True)
class Sender:
    """One flow's window and what moves it."""

    control: Control
    cwnd: float = float(INITIAL_SEGMENTS)
    threshold: float = inf  # slow start ends here at the latest
    min_rtt_s: float = inf
    queued_s: float = 0.0  # on the way of packets whose acknowledgements the next round brings
    last_max: float = 0.0  # CUBIC: the window at the last loss; 0: none so far
    epoch_s: float | None = None  # CUBIC: when growth began; None: not since the last loss
    origin: float = 0.0  # CUBIC: height of the curve's plateau,
    plateau_s: float = 0.0  # and when it is reached after the epoch's beginning
    friend: float = 0.0  # CUBIC: the window that Reno would have
    overrun: float = inf  # in slow start: the window when a loss on its way will be noticed
    resting: bool = False  # recovering from a loss: the window stays for a round trip
    rounds: int = 0  # round trips so far
    step: float = 0.0  # segments by which the last one changed the window

    @property
    def slow(self) -> bool:
        """Whether the window doubles."""
        return self.cwnd < self.threshold and not self.resting

    @property
    def added(self) -> float:
        """Segments that a round trip adds to what is in flight."""
        return self.cwnd if self.slow else 0.0 if self.resting else self.step

    def round(self, now: float, times: RoundTrip, *, drain: float, rate: float) -> None:
        """Every segment of a window has been acknowledged.

        Args:
            now: virtual time.
            times: of the round, with the queues that its packets have met.
            drain: bytes per second at which the window's burst leaves the bottleneck.
            rate: bytes per second that arrived meanwhile.
        """
        shown_s = times.path_s + self.queued_s + times.back_s
        self.queued_s = times.there_s
        self.min_rtt_s = min(self.min_rtt_s, shown_s)
        before = self.cwnd
        if self.resting:
            self.resting = False
        elif self.slow:
            self._double(shown_s, drain / SEGMENT_NBYTES)
        elif self.control.cubic:
            self._follow_curve(now)
        else:
            self.cwnd += 1
        self.rounds, self.step = self.rounds + 1, self.cwnd - before

    def _double(self, shown_s: float, segments_per_s: float) -> None:
        """Slow start. HyStart leaves it where round trips have become longer, or where the train of
        acknowledgements lasts half a round trip: a window later the pipe is full.
        """
        grown = min(2 * self.cwnd, self.threshold, self.overrun)
        if self.control.hystart and self.cwnd >= LOW_WINDOW:
            train_s = (self.min_rtt_s + TRAIN_SLACK_S) / 2
            is_train = segments_per_s * TRAIN_GAP_S >= ACK_SEGMENTS
            if shown_s > self.min_rtt_s + hystart_limit_s(self.min_rtt_s):
                grown = self.threshold = min(grown, self.cwnd + DELAY_SAMPLES)
            elif is_train and self.cwnd > train_s * segments_per_s:
                grown = self.threshold = min(grown, self.cwnd + train_s * segments_per_s)
        self.cwnd = grown

    def _follow_curve(self, now: float) -> None:
        if self.epoch_s is None:
            self.epoch_s, self.friend = now, self.cwnd
            self.origin = max(self.cwnd, self.last_max)
            self.plateau_s = ((self.origin - self.cwnd) / CUBIC_C) ** (1 / 3)
        ahead_s = now - self.epoch_s + self.min_rtt_s
        target = self.origin + CUBIC_C * (ahead_s - self.plateau_s) ** 3
        self.friend += 3 * (1 - self.control.backoff) / (1 + self.control.backoff)
        step = max(target - self.cwnd, int(self.friend) - int(self.cwnd), FLAT_GROWTH)
        if self.last_max == 0:
            step = max(step, FIRST_GROWTH * self.cwnd)
        self.cwnd += min(step, FASTEST_GROWTH * self.cwnd)

    def hit(self, part: float) -> None:
        """A packet was lost, which will be noticed a round trip from now. A slow start was ``part``
        of its last doubling on its way, and goes on until then.
        """
        if self.slow:
            self.overrun = min(self.overrun, self.cwnd * (1 + part))

    def lose(self) -> None:
        """A loss is noticed: cut the window."""
        if self.overrun < inf:
            self.cwnd, self.overrun = self.overrun, inf
        self._cut_threshold()
        self.cwnd, self.resting = self.threshold, True

    def mistake(self) -> None:
        """A loss that was none: the window is restored, but CUBIC aims at it from now on. Later ones
        find that reordering is waited for (RFC 8985, 2021).
        """
        if self.control.cubic and self.last_max == 0:
            self.last_max, self.epoch_s = self.cwnd, None

    def time_out(self) -> None:
        """A retransmission time-out: one segment, slow start up to the cut window, and CUBIC has
        forgotten its losses.
        """
        self._cut_threshold()
        self.cwnd, self.last_max, self.overrun, self.resting = 1.0, 0.0, inf, False

    def _cut_threshold(self) -> None:
        """Below the last maximum CUBIC aims lower than before, to make room (fast convergence)."""
        kept = self.control.backoff
        if self.control.cubic:
            self.last_max = self.cwnd * (1 + kept) / 2 if self.cwnd < self.last_max else self.cwnd
        self.threshold = max(float(int(kept * self.cwnd)), 2.0)
        self.epoch_s = None

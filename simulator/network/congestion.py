"""Congestion control of flows in virtual time, as far as chance is in it: losses.

How windows move between them is :mod:`simulator.network.pacing`'s.
"""

from collections.abc import Callable
from math import inf

import numpy as np

from simulator.network import pacing
from simulator.network.flow import Flow
from simulator.network.rows import CAPPED, IS_LOSS_BASED, SLOW
from simulator.network.shares import Shares
from simulator.network.topology import SEGMENT_NBYTES
from simulator.network.window import (
    INITIAL_SEGMENTS,
    JITTER_SEGMENTS,
    MIN_RTO_S,
    Control,
    Draw,
    hystart_limit_s,
)

TIMEOUT_LOSS = 0.01  # from this loss on, retransmissions are lost so often that time-outs matter


class Congestion:
    """Moves the windows of flows; ``pause(flow, s)`` takes one off the network for a time-out, ``draw``
    is named chance.
    """

    def __init__(
        self,
        *,
        shares: Shares,
        control: Control,
        max_window: float,
        pause: Callable[[Flow, float], None],
        draw: Draw,
    ) -> None:
        self._shares, self._control, self._max = shares, control, max_window
        self._pause, self._draw = pause, draw
        shares.rule(control, max_window)

    def start(self, flow: Flow, now: float) -> None:
        """Begin to send with a new window, in slow start."""
        self._begin(flow, now, INITIAL_SEGMENTS * SEGMENT_NBYTES, inf, 0.0)

    def restart(self, flow: Flow, now: float) -> None:
        """Begin again after a time-out, with one segment and slow start up to the cut window."""
        threshold = max(self._control.backoff * flow.peak, 2 * SEGMENT_NBYTES)
        self._begin(flow, now, SEGMENT_NBYTES, threshold, flow.peak)

    def _begin(self, flow: Flow, now: float, window: float, threshold: float, peak: float) -> None:
        path = flow.path
        if self._control.hystart and path.jitter_s > hystart_limit_s(path.rtt_s):
            threshold = min(threshold, JITTER_SEGMENTS * SEGMENT_NBYTES)
        self._shares.begin(flow, now, float(window), float(threshold), peak)
        if path.loss > 0:
            self.expect_loss(flow)

    def leave(self, flow: Flow) -> None:
        """The flow does not send any more, or not for now: nobody else's window depends on it."""

    def end(self, flow: Flow) -> None:
        """The flow is over: what is known of its window goes with it."""

    def expect_loss(self, flow: Flow) -> None:
        """Draw after how many packets the next one is lost; it is noticed a window later."""
        flow.loss_at = 0.0
        if flow.path.loss > 0 and self._control.loss_based:
            packets = int(self._chance(flow).geometric(flow.path.loss))
            noticed = packets * SEGMENT_NBYTES + min(flow.window, self._max)
            flow.loss_at = max(flow.remaining - noticed, 0.0)

    def _chance(self, flow: Flow) -> np.random.Generator:
        return self._draw("loss", flow.transfer.src, flow.transfer.dst)

    def keep(self, flow: Flow, now: float) -> None:
        """The path is about to change: what is in flight under its present facts stays in flight."""
        table, slot = flow.table, flow.slot
        if table.fi[SLOW][slot] == 0:
            pacing.prepare(table.ff, table.fi, table.lf, table.li, table.ei, table.rules, slot, now)
            flow.is_capped = True

    def current(self, flow: Flow, now: float) -> float:
        """The window in bytes."""
        table, slot = flow.table, flow.slot
        if table.fi[SLOW][slot] == 1:
            return min(flow.window, self._max)
        most = self._max
        if table.fi[CAPPED][slot] == 0:
            most = min(most, pacing.full_of(table.ff, slot))
        if table.rules[IS_LOSS_BASED] == 0:
            return most
        return min(most, pacing.grown_to(table.ff, table.rules, slot, now))

    def lose(self, flow: Flow, now: float) -> None:
        """A packet was lost: cut the window; with heavy loss now and then wait for a time-out."""
        nbytes = self.current(flow, now)
        kept = max(int(self._control.backoff * nbytes / SEGMENT_NBYTES), 2) * SEGMENT_NBYTES
        loss = flow.path.loss
        if loss >= TIMEOUT_LOSS and self._chance(flow).random() < loss:
            self._pause(flow, self.rto_s(flow))
            return
        table, slot = flow.table, flow.slot
        pacing.set_alarm(table.ff, table.trees, slot, inf)
        flow.is_capped = True
        at_s = now + flow.rtt_s  # at rest while it recovers
        pacing.hold(table.ff, table.fi, slot, kept, at_s, nbytes)
        self.expect_loss(flow)
        self._shares.touch(flow)

    def rto_s(self, flow: Flow) -> float:
        """Retransmission time-out, with the full queue that the flow stands in."""
        queue_s = flow.path.queue_s if self._control.loss_based and not flow.is_capped else 0.0
        return flow.rtt_s + queue_s + MIN_RTO_S

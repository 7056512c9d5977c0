"""Congestion control of flows in virtual time: which cap a flow's window puts on its rate.

Slow start doubles the cap every round trip until the flow gets less than that; then it holds as
much as its share and the queue behind it, keeps this when its share rises, and grows from there.
Losses cut it.
"""

from collections.abc import Callable, Iterable
from math import floor, inf

import numpy as np

from simulator.network.agenda import SAME_INSTANT, Agenda, Timer
from simulator.network.flow import Flow
from simulator.network.rows import STANDING
from simulator.network.topology import SEGMENT_NBYTES
from simulator.network.window import (
    JITTER_SEGMENTS,
    MIN_RTO_S,
    QUEUE_FILL,
    Control,
    Draw,
    Window,
    grown,
    hystart_limit_s,
    overflows,
)

GROWTH_STEP_S, LOSSY_GROWTH_STEP_S = 0.4, 0.1
"""A growing window is followed in steps of this, or twice, four times … as much; where losses cut it, in
shorter ones."""
LOOK_STEP_S = 0.025  # queues that acknowledgements wait in are looked at in steps of this
TIMEOUT_LOSS = 0.01  # from this loss on, retransmissions are lost so often that time-outs matter
SHALLOW_WINDOW = 4  # times the buffer: the window that slow start overran it with


class Congestion:
    """Moves the windows of flows; ``touch`` has a flow's share found anew, ``pause(flow, s)`` takes
    it off the network for a time-out, ``draw`` is named chance.
    """

    def __init__(
        self,
        *,
        agenda: Agenda,
        control: Control,
        max_window: float,
        touch: Callable[[Flow], None],
        pause: Callable[[Flow, float], None],
        draw: Draw,
        look: Callable[[], Iterable[Flow]],
    ) -> None:
        self._agenda, self._control, self._max = agenda, control, max_window
        self._touch, self._pause, self._draw = touch, pause, draw
        self._look_at_queues = look
        self._looks: Timer | None = None

    def start(self, flow: Flow, now: float, window: Window) -> None:
        """Begin to send with a new window, in slow start."""
        flow.window, flow.is_last_burst, flow.is_capped, flow.slack = window, False, True, 0.0
        flow.rtt_s = self._rtt_s(flow)
        if self._control.hystart and flow.path.jitter_s > hystart_limit_s(flow.path.rtt_s):
            window.threshold = min(window.threshold, JITTER_SEGMENTS * SEGMENT_NBYTES)
        self.expect_loss(flow)
        self._open_round(flow, now)

    def leave(self, flow: Flow) -> None:
        """The flow does not send any more, or not for now: nobody else's window depends on it."""

    def end(self, flow: Flow) -> None:
        """The flow is over: what is known of its window goes with it."""

    def expect_loss(self, flow: Flow) -> None:
        """Draw after how many packets the next one is lost; it is noticed a window later."""
        flow.loss_at = 0.0
        if flow.path.loss > 0 and self._control.loss_based:
            packets = int(self._chance(flow).geometric(flow.path.loss))
            noticed = packets * SEGMENT_NBYTES + min(flow.window.nbytes, self._max)
            flow.loss_at = max(flow.remaining - noticed, 0.0)

    def _chance(self, flow: Flow) -> np.random.Generator:
        return self._draw("loss", flow.transfer.src, flow.transfer.dst)

    def _open_round(self, flow: Flow, now: float) -> None:
        """A round of slow start; one that can hold all the rest leaves at link speed."""
        flow.sync(now)
        window = flow.window
        flow.is_last_burst = flow.remaining <= min(window.nbytes, self._max)
        if not flow.is_last_burst:
            flow.timer = self._agenda.at(now + flow.rtt_s, self._next_round, flow)

    def _next_round(self, flow: Flow) -> None:
        window, now = flow.window, self._agenda.now
        # HyStart takes queues of acknowledgements for its own
        if self._control.hystart and flow.rtt_s - flow.path.rtt_s > hystart_limit_s(flow.path.rtt_s):
            window.threshold = min(window.threshold, max(window.nbytes, JITTER_SEGMENTS * SEGMENT_NBYTES))
        window.nbytes = min(2 * window.nbytes, window.threshold)
        if window.nbytes >= window.threshold:
            window.hold(window.nbytes, now, peak=0.0)
        else:
            self._open_round(flow, now)
        self._touch(flow)

    def before(self, flow: Flow, now: float) -> None:
        """Set the cap under which the flow takes part in a solution at ``now``."""
        self._recall(flow)
        flow.rtt_s = self._rtt_s(flow)
        window = flow.window
        limit = self._max
        if window.slow:
            limit = inf if flow.is_last_burst else min(limit, window.nbytes)
        elif self._control.loss_based:
            limit = min(limit, self._held(flow, now))
        flow.cap = min(limit / flow.rtt_s, flow.path.limit)
        flow.slack, flow.asked_s = 0.0, now

    def turned(self, now: float) -> None:
        """Links have come to hold flows back, or none: look at their queues in a moment."""
        if self._looks is None:
            self._looks = self._agenda.at(_next_on_grid(now, LOOK_STEP_S), self._look, None)

    def _look(self, _: None) -> None:
        """Find rates anew where the round trip has changed and the window matters."""
        self._looks, now = None, self._agenda.now
        for flow in self._look_at_queues():
            if flow.is_capped or self._is_short(flow, now):
                self._touch(flow)

    def _is_short(self, flow: Flow, now: float) -> bool:
        """Whether the window is too short for the flow's rate with the queues that stand now."""
        self._recall(flow)
        flow.rtt_s = self._rtt_s(flow)
        short = self._held(flow, now) < flow.rate * flow.rtt_s
        if not short:
            self._follow(flow)
        return short

    def _rtt_s(self, flow: Flow) -> float:
        """The round trip: acknowledgements wait in the queues of those who send against them."""
        rtt_s = flow.path.rtt_s
        if self._control.loss_based:
            standing = flow.table.li[STANDING]
            for link, delay_s in flow.path.acked:
                if standing[link]:
                    rtt_s += delay_s
        return rtt_s

    def _held(self, flow: Flow, now: float) -> float:
        """The window after slow start. Where a link is the limit it cannot exceed what the flow's
        rate and the queue hold; where it is the limit itself, take the middle of a step.
        """
        window = flow.window
        if flow.is_capped or not flow.rate > 0:
            ahead_s = (self._next_step_s(flow, now) - now) / 2
            return grown(self._control, window, now + ahead_s - window.epoch_s, flow.rtt_s)
        full = self._full(flow)
        if window.nbytes < full:
            nbytes = grown(self._control, window, now - window.epoch_s, flow.rtt_s)
            if nbytes < full:
                return nbytes
        window.hold(full, now, peak=self._peak(flow, full))
        return full

    def keep(self, flow: Flow, now: float) -> None:
        """The path is about to change: what is in flight under its present facts stays in flight."""
        if not flow.window.slow:
            self.before(flow, now)
            flow.is_capped = True

    def _full(self, flow: Flow) -> float:
        """Bytes in flight with a queue as full as it is on average."""
        return flow.rate * (flow.rtt_s + QUEUE_FILL * flow.path.queue_s)

    def _peak(self, flow: Flow, full: float) -> float:
        """Bytes in flight with a full queue, at which the next loss comes; ``full``: as it is on average."""
        path = flow.path
        return full * (flow.rtt_s + path.queue_s) / (flow.rtt_s + QUEUE_FILL * path.queue_s)

    def _next_step_s(self, flow: Flow, now: float) -> float:
        """When to look at a growing window again: on a grid of time, so that what grows is solved at
        once for all.
        """
        step_s = LOSSY_GROWTH_STEP_S if flow.path.loss > 0 else GROWTH_STEP_S
        while step_s < flow.rtt_s:
            step_s *= 2
        return _next_on_grid(now, step_s)

    def after(self, flow: Flow, now: float) -> None:
        """See what a solution at ``now`` means for the window."""
        window = flow.window
        if window.slow:
            if not flow.is_capped and not flow.is_last_burst:
                self._leave_slow_start(flow, now)
            return
        if flow.is_capped and self._control.loss_based and self._is_stale(flow, now):
            self._catch_up(flow, now)
            return
        if not flow.is_capped and self._control.loss_based:
            self._follow(flow)
        waiting = flow.timer is not None and flow.timer.live
        grows = flow.is_capped and self._control.loss_based and window.nbytes < self._max
        if grows and not waiting:
            flow.timer = self._agenda.at(self._next_step_s(flow, now), self._touch, flow)
        elif waiting and not grows and flow.timer is not None:
            flow.timer.cancel()

    def _leave_slow_start(self, flow: Flow, now: float) -> None:
        if flow.timer is not None:
            flow.timer.cancel()
        path, window = flow.path, flow.window
        pipe = flow.rate * flow.rtt_s
        if self._control.loss_based and overflows(window.nbytes, pipe, path.buffer_nbytes):
            overrun = SHALLOW_WINDOW * path.buffer_nbytes
            window.hold(self._control.backoff * overrun, now, peak=overrun)
            self._touch(flow)
        else:
            full = self._full(flow)
            window.hold(full, now, peak=self._peak(flow, full))
            self._follow(flow)

    def _follow(self, flow: Flow) -> None:
        """A link is the limit: from now on the window is what it is, or less if the flow's rate and
        the queue hold less.
        """
        path, window = flow.path, flow.window
        flow.ceiling, flow.since_s = min(window.nbytes, self._max) / flow.rtt_s, window.epoch_s
        flow.slack = 1 + QUEUE_FILL * path.queue_s / flow.rtt_s

    def _recall(self, flow: Flow) -> None:
        """Take over what became of the window meanwhile."""
        if flow.slack > 0 and flow.since_s > flow.window.epoch_s:
            nbytes = flow.ceiling * flow.rtt_s
            flow.window.hold(nbytes, flow.since_s, peak=self._peak(flow, nbytes))

    def _is_stale(self, flow: Flow, now: float) -> bool:
        """Whether the cap that came to bind is older than the solution at ``now``."""
        return flow.asked_s < now and not (flow.slack > 0 and flow.since_s == now)

    def _catch_up(self, flow: Flow, now: float) -> None:
        """The share has risen above what the window held when it was last looked at."""
        self._recall(flow)
        window = flow.window
        full = flow.queued * flow.rtt_s
        if window.nbytes >= full or grown(self._control, window, now - window.epoch_s, flow.rtt_s) >= full:
            window.hold(full, now, peak=self._peak(flow, full))
        self._touch(flow)

    def current(self, flow: Flow, now: float) -> float:
        """The window in bytes."""
        if flow.window.slow:
            return min(flow.window.nbytes, self._max)
        if not flow.is_capped or not self._control.loss_based:
            return min(self._full(flow), self._max)
        return min(grown(self._control, flow.window, now - flow.window.epoch_s, flow.rtt_s), self._max)

    def lose(self, flow: Flow, now: float) -> None:
        """A packet was lost: cut the window; with heavy loss now and then wait for a time-out."""
        nbytes = self.current(flow, now)
        kept = max(int(self._control.backoff * nbytes / SEGMENT_NBYTES), 2) * SEGMENT_NBYTES
        loss = flow.path.loss
        if loss >= TIMEOUT_LOSS and self._chance(flow).random() < loss:
            self._pause(flow, self.rto_s(flow))
            return
        if flow.timer is not None:
            flow.timer.cancel()
        flow.is_capped = True
        flow.window.hold(kept, now + flow.rtt_s, peak=nbytes)  # at rest while it recovers
        self.expect_loss(flow)
        self._touch(flow)

    def rto_s(self, flow: Flow) -> float:
        """Retransmission time-out, with the full queue that the flow stands in."""
        queue_s = flow.path.queue_s if self._control.loss_based and not flow.is_capped else 0.0
        return flow.rtt_s + queue_s + MIN_RTO_S

    def restart(self, flow: Flow, now: float) -> None:
        """Begin again after a time-out, with one segment and slow start up to the cut window."""
        threshold = max(self._control.backoff * flow.window.peak, 2 * SEGMENT_NBYTES)
        window = Window(nbytes=SEGMENT_NBYTES, threshold=threshold, peak=flow.window.peak)
        self.start(flow, now, window)


def _next_on_grid(now: float, step_s: float) -> float:
    next_s = (floor(now / step_s) + 1) * step_s
    return next_s if next_s > now * SAME_INSTANT else next_s + step_s

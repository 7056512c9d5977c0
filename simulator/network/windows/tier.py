"""The window tier: moves every flow's window once per round trip, and gives it the rate that all
windows together make.

It takes the place of :class:`~simulator.network.congestion.Congestion`: what it finds becomes the cap
of a flow, and caps found together fit the links, so that fair shares are these rates.
"""

from collections.abc import Callable

import numpy as np

from simulator.network.agenda import Agenda, Timer
from simulator.network.flow import Flow
from simulator.network.topology import SEGMENT_NBYTES
from simulator.network.window import (
    JITTER_SEGMENTS,
    MIN_RTO_S,
    Control,
    Draw,
    hystart_limit_s,
)
from simulator.network.windows.bbr import CYCLE, Bbr
from simulator.network.windows.clumps import highest
from simulator.network.windows.groups import Group, build, connected
from simulator.network.windows.overflow import Arrival, part_sent, victims
from simulator.network.windows.queues import Floats
from simulator.network.windows.sender import Sender

REORDERING = 3
"""Segments that overtake another one, from which it is taken for lost."""


class Windows:
    """Moves windows and finds rates; ``touch`` has a flow's rate looked up anew, ``draw`` is named
    chance.
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
    ) -> None:
        self._agenda, self._control, self._max = agenda, control, max_window
        self._touch, self._draw = touch, draw
        self._senders: dict[int, Sender | Bbr] = {}
        self._flows_on: dict[str, dict[int, Flow]] = {}  # data or acknowledgements, by link
        self._groups: dict[int, Group] = {}  # by flow; none while it is to be found
        self._delays: dict[str, float] = {}  # queues of groups that are no more, by link
        self._unsolved: dict[Group, None] = {}
        self._unclocked: dict[int, Flow] = {}  # flows whose next round has no time yet
        self._left: dict[int, float] = {}  # bytes that remained when the round began
        self._ways: dict[int, float] = {}  # delay of paths that have just changed
        self._cuts: dict[int, Timer] = {}  # losses that their flow has not noticed yet

    # -- who sends ------------------------------------------------------------------------------------

    def start(self, flow: Flow, now: float) -> None:
        """Begin to send, in slow start."""
        if self._control.loss_based:
            sender: Sender | Bbr = Sender(control=self._control)
        else:
            first = int(self._draw("bbr", flow.transfer.src, flow.transfer.dst).integers(1, len(CYCLE)))
            sender = Bbr(phase=(first + 1) % len(CYCLE))  # anywhere but where a queue is drained
        if self._control.hystart and flow.path.jitter_s > hystart_limit_s(flow.path.rtt_s):
            sender.threshold = JITTER_SEGMENTS
        self._senders[flow.id] = sender
        self._enter(flow)

    def restart(self, flow: Flow, now: float) -> None:
        """Begin again after a time-out."""
        self._senders[flow.id].time_out()
        self._enter(flow)

    def _enter(self, flow: Flow) -> None:
        flow.is_last_burst = False
        for state in (*flow.path.links, *flow.path.back):
            self._flows_on.setdefault(state.link.id, {})[flow.id] = flow
        self._find_last_burst(flow)
        self.expect_loss(flow)
        self._clock(flow)
        for other in connected(flow, self._flows_on):
            self._touch(other)
            self._forget(other)

    def leave(self, flow: Flow) -> None:
        """The flow does not send any more, or not for now."""
        others = self._forget(flow)
        for state in (*flow.path.links, *flow.path.back):
            self._flows_on[state.link.id].pop(flow.id, None)
        for other in others:
            if other is not flow:
                self._touch(other)
        self._unclocked.pop(flow.id, None)
        cut = self._cuts.pop(flow.id, None)
        if cut is not None:
            cut.cancel()

    def end(self, flow: Flow) -> None:
        """The flow is over: nothing of it is needed any more."""
        for rows in (self._senders, self._left, self._ways):
            rows.pop(flow.id, None)

    def keep(self, flow: Flow, now: float) -> None:
        """The path is about to change."""
        self._ways.setdefault(flow.id, flow.path.one_way_s)
        for member in self._forget(flow):
            self._touch(member)

    def _forget(self, flow: Flow) -> list[Flow]:
        """Have the group of a flow found anew; return its members."""
        group = self._groups.get(flow.id)
        if group is None:
            return [flow]
        self._unsolved.pop(group, None)
        for state, delay_s in zip(group.links, group.delays, strict=True):
            self._delays[state.link.id] = float(delay_s)
        for member in group.flows:
            del self._groups[member.id]
        return group.flows

    # -- rates ----------------------------------------------------------------------------------------

    def before(self, flow: Flow, now: float) -> None:
        """Set the cap under which the flow takes part in a solution at ``now``."""
        group = self._group(flow)
        if group in self._unsolved:
            del self._unsolved[group]
            self._solve(group, now)
        flow.cap = min(float(group.rates[group.place[flow.id]]), flow.path.limit)

    def after(self, flow: Flow, now: float) -> None:
        """A rate is what the windows make it: nothing to see."""

    def _group(self, flow: Flow) -> Group:
        group = self._groups.get(flow.id)
        if group is None:
            group = build(connected(flow, self._flows_on), self._delays)
            self._groups.update((member.id, group) for member in group.flows)
            self._unsolved[group] = None
            for member in group.flows:
                self._reorder(member, self._ways.pop(member.id, 0.0) - member.path.one_way_s)
        return group

    def _reorder(self, flow: Flow, shorter_s: float) -> None:
        """Packets sent after a path has become shorter overtake those before: if by enough, it
        looks like a loss.
        """
        if flow.rate > 0 and shorter_s * flow.rate > REORDERING * SEGMENT_NBYTES:
            self._senders[flow.id].mistake()

    def _solve(self, group: Group, now: float) -> None:
        before = group.delays
        in_flight = np.array([self._in_flight(flow) for flow in group.flows])
        group.solve(in_flight)
        if self._control.loss_based:
            self._overflow(group, in_flight, before, now)
        for flow, rtt_s in zip(group.flows, group.rtt_s, strict=True):
            if self._unclocked.pop(flow.id, None) is not None:
                flow.timer = self._agenda.at(now + float(rtt_s), self._round, flow)

    def _in_flight(self, flow: Flow) -> float:
        """Bytes; a last burst leaves as fast as links allow."""
        nbytes = min(int(self._senders[flow.id].cwnd) * SEGMENT_NBYTES, self._max)
        return max(nbytes, flow.path.capacity * flow.path.rtt_s) if flow.is_last_burst else nbytes

    # -- rounds ---------------------------------------------------------------------------------------

    def _round(self, flow: Flow) -> None:
        """A round trip is over."""
        now, sender = self._agenda.now, self._senders[flow.id]
        group = self._group(flow)
        times = group.times(flow)
        flow.sync(now)
        rate = (self._left[flow.id] - flow.remaining) / times.total_s
        before = sender.cwnd
        sender.round(now, times, drain=self._drain(flow, group), rate=rate)
        if before * SEGMENT_NBYTES >= self._max:
            sender.cwnd = min(sender.cwnd, before)  # what cannot be used does not grow
        self._find_last_burst(flow)
        self._moved(flow)

    def _find_last_burst(self, flow: Flow) -> None:
        sender = self._senders[flow.id]
        if sender.slow and flow.remaining <= min(sender.cwnd * SEGMENT_NBYTES, self._max):
            flow.is_last_burst = True

    def _clock(self, flow: Flow) -> None:
        self._unclocked[flow.id] = flow
        self._left[flow.id] = flow.remaining

    def _moved(self, flow: Flow) -> None:
        """A window is another: have the whole group solved, and time the flow's next round."""
        self._clock(flow)
        group = self._group(flow)
        self._unsolved[group] = None
        for member in group.flows:
            self._touch(member)
        self._agenda.touch()

    def _drain(self, flow: Flow, group: Group) -> float:
        """Bytes per second at which a burst leaves the slowest link: what the others leave."""
        slowest = min(flow.path.links, key=lambda state: (state.capacity, state.link.id))
        rates = [
            float(group.rates[place])
            for place, other in enumerate(group.flows)
            if other is not flow and slowest in other.path.links
        ]
        return max(slowest.capacity - sum(rates), float(group.rates[group.place[flow.id]]))

    # -- losses ---------------------------------------------------------------------------------------

    def _overflow(self, group: Group, in_flight: Floats, before: Floats, now: float) -> None:
        """See where buffers are full. On top of what is there all the time, half the burst of a slow
        start stands in the queue of its slowest link, and clumps.
        """
        for row, state in enumerate(group.links):
            burst, clumps = 0.0, []
            for place, flow in enumerate(group.flows):
                if flow.is_last_burst or state not in flow.path.links or state.capacity > flow.path.capacity:
                    continue
                sender, window = self._senders[flow.id], float(in_flight[place])
                if sender.slow:
                    burst += window / 2
                elif group.back_s[place] > 0:
                    clumps.append(group.clump(place, row, window=window, rounds=sender.rounds))
            capacity, longest_s = state.capacity, group.paths.longest_s[row]
            standing = group.delays[row] * capacity + burst + highest(clumps)
            if group.overfull[row] or standing > longest_s * capacity:
                room = (longest_s - before[row]) * capacity
                self._hit(group, row, part_sent(float(room), burst), now)

    def _hit(self, group: Group, row: int, part: float, now: float) -> None:
        """Draw who loses packets at a link, unless losses there are on their way to be noticed."""
        state = group.links[row]
        flows = [flow for flow in group.flows if state in flow.path.links]
        if any(flow.id in self._cuts for flow in flows):
            return
        arrivals = []
        for flow in flows:
            sender = self._senders[flow.id]
            arrivals.append(
                Arrival(
                    window=sender.cwnd,
                    rtt_s=float(group.rtt_s[group.place[flow.id]]),
                    slow=sender.slow,
                    added=sender.added,
                    luck=float(self._draw("queue", flow.transfer.src, flow.transfer.dst).exponential()),
                )
            )
        for place in victims(arrivals):
            flow = flows[place]
            self._senders[flow.id].hit(part)
            self._cuts[flow.id] = self._agenda.at(now + arrivals[place].rtt_s, self._notice, flow)

    def _notice(self, flow: Flow) -> None:
        self._cuts.pop(flow.id, None)
        self._cut(flow)

    def _cut(self, flow: Flow) -> None:
        self._senders[flow.id].lose()
        flow.sync(self._agenda.now)
        flow.is_last_burst = False
        if flow.timer is not None:
            flow.timer.cancel()
        self._moved(flow)

    def expect_loss(self, flow: Flow) -> None:
        """Draw after how many packets the next one is lost; it is noticed a window later."""
        flow.loss_at = 0.0
        if flow.path.loss > 0 and self._control.loss_based:
            chance = self._draw("loss", flow.transfer.src, flow.transfer.dst)
            packets = int(chance.geometric(flow.path.loss)) + int(self._senders[flow.id].cwnd)
            flow.loss_at = max(flow.remaining - packets * SEGMENT_NBYTES, 0.0)

    def lose(self, flow: Flow, now: float) -> None:
        """A packet that the path lost is missed."""
        self._cut(flow)
        self.expect_loss(flow)

    def current(self, flow: Flow, now: float) -> float:
        """The window in bytes."""
        return min(self._senders[flow.id].cwnd * SEGMENT_NBYTES, self._max)

    def rto_s(self, flow: Flow) -> float:
        """Retransmission time-out, with the queues that the flow stands in."""
        group = self._groups.get(flow.id)
        queued_s = 0.0 if group is None else float(group.rtt_s[group.place[flow.id]]) - flow.path.rtt_s
        return flow.path.rtt_s + max(queued_s, 0.0) + MIN_RTO_S

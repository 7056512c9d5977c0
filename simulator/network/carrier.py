"""The life of one attempt of a bulk transfer: connecting, sending, draining, stalled in between.

A connection that is cut wakes only at its own next time-out after the cut has ended (see
:func:`~simulator.network.window.wake_s`); the ideal transport wakes at once.
"""

from collections.abc import Callable, Iterable
from functools import partial

from simulator.network.agenda import Agenda
from simulator.network.congestion import Congestion
from simulator.network.flow import Flow, LinkState, Path, Transfer
from simulator.network.messages import DOWN, PARTED
from simulator.network.shares import Shares
from simulator.network.simgrid import MODELS, hold
from simulator.network.window import CONNECT_RTO_S, Control, Draw, probe_s, wake_s
from simulator.network.windows.tier import Windows
from simulator.record.ledger import Attempt
from simulator.scenario.transmission import TransportSpec

TIMED_OUT, GAVE_UP = "timed out", "connection given up"
Look = Callable[[Flow, float], None]


class Carrier:
    """Carries attempts; ``ended(flow, reason)`` tells how, with an empty reason for success."""

    def __init__(
        self,
        *,
        agenda: Agenda,
        shares: Shares,
        spec: TransportSpec,
        control: Control | None,
        draw: Draw,
        is_parted: Callable[[Transfer], bool],
        ended: Callable[[Flow, str], None],
    ) -> None:
        self._agenda, self._shares, self._is_parted, self._ended = agenda, shares, is_parted, ended
        self._patience_s = min(spec.stall_timeout, spec.give_up)
        self._gives_up = spec.give_up < spec.stall_timeout
        self._header_nbytes = round(spec.headers)
        self._num_flows = 0
        self._sends_twice = control is not None and control.tunnel_share < 1
        self._congestion: Congestion | Windows | None = None
        if control is not None:
            kind: Callable[..., Congestion | Windows] = partial(Congestion, shares=shares)
            if spec.tier == "window":
                kind = partial(Windows, agenda=agenda, touch=shares.touch)
            self._congestion = kind(control=control, max_window=spec.window, pause=self._pause, draw=draw)
        # what Shares asks for, without a call in between
        self.before: Look = hold if spec.tier in MODELS else _nothing
        self.after: Look = _nothing
        if isinstance(self._congestion, Windows):
            self.before, self.after = self._congestion.before, self._congestion.after

    # -- attempts -------------------------------------------------------------------------------------

    def start(self, transfer: Transfer, entry: Attempt, path: Path) -> Flow:
        """Begin an attempt now."""
        self._num_flows += 1
        flow = Flow(
            id=self._num_flows,
            transfer=transfer,
            entry=entry,
            path=path,
            header_nbytes=self._header_nbytes,
        )
        self._shares.admit(flow, float(entry.nbytes + self._header_nbytes), self._agenda.now)
        for state in path.states:
            state.users[flow.id] = flow
        if not self._is_open(flow):
            self._stall(flow, CONNECT_RTO_S)
        else:
            self._connect(flow)
        return flow

    def stop(self, flow: Flow) -> None:
        """Take an attempt off the network, wherever it is; ``sent_nbytes`` is then up to date."""
        if flow.state == "sending":
            flow.sync(self._agenda.now)
            if flow.stalled_s is None:
                self._leave(flow)
                self._agenda.touch()
        for timer in (flow.timer, flow.deadline):
            if timer is not None:
                timer.cancel()
        for state in flow.path.states:
            state.users.pop(flow.id, None)  # a relay's line is crossed by data and acknowledgements
        self._shares.dismiss(flow)
        if self._congestion is not None:
            self._congestion.end(flow)

    def _connect(self, flow: Flow) -> None:
        if flow.path.connect_s > 0:
            flow.timer = self._agenda.at(self._agenda.now + flow.path.connect_s, self._begin, flow)
        else:
            self._begin(flow)

    def _begin(self, flow: Flow) -> None:
        flow.state, now = "sending", self._agenda.now
        flow.synced_s = now
        self._shares.join(flow)
        if self._congestion is not None:
            self._congestion.start(flow, now)
        self._agenda.touch()

    def progressed(self, flow: Flow, now: float) -> None:
        """The last byte has left, or the packet that will be lost."""
        flow.remaining, flow.synced_s = flow.loss_at, now
        if flow.loss_at > 0 and self._congestion is not None:
            self._congestion.lose(flow, now)
            if flow.stalled_s is None:
                self._shares.expect(flow, now)
            return
        self._leave(flow)
        flow.state = "draining"
        if flow.timer is not None:
            flow.timer.cancel()
        self._drain(flow)

    def _leave(self, flow: Flow) -> None:
        flow.left_rate, flow.left_s = flow.rate, self._agenda.now
        self._shares.leave(flow)
        if self._congestion is not None:
            self._congestion.leave(flow)

    def _drain(self, flow: Flow) -> None:
        flow.left_s = self._agenda.now
        flow.timer = self._agenda.at(self._agenda.now + flow.path.one_way_s, self._arrived, flow)

    def _arrived(self, flow: Flow) -> None:
        self._end(flow, "")

    def _end(self, flow: Flow, reason: str) -> None:
        self.stop(flow)
        self._ended(flow, reason)

    # -- outages and changes ------------------------------------------------------------------------------

    def cut(self, links: Iterable[LinkState]) -> None:
        """Links went down: stall what needs them."""
        self.stall(_users(links))

    def stall(self, flows: Iterable[Flow]) -> None:
        """Nothing passes any more between the ends of these."""
        for flow in flows:
            if flow.timer is not None:
                flow.timer.cancel()
            if flow.stalled_s is None:
                connecting = flow.state == "connecting" or self._congestion is None
                rto_s = CONNECT_RTO_S if connecting or not self._congestion else self._congestion.rto_s(flow)
                self._stall(flow, rto_s)

    def reset(self, links: Iterable[LinkState], reason: str) -> None:
        """End all attempts that need the links."""
        for flow in _users(links):
            if flow.id in flow.transfer.flows:  # else it ended with another connection of its attempt
                self._end(flow, reason)

    def reopen(self, links: Iterable[LinkState]) -> None:
        """Links came up: have those that were cut by them wake in their time."""
        self.resume(_users(links))

    def resume(self, flows: Iterable[Flow]) -> None:
        """One thing less keeps these apart: have them wake in their time if it was the last."""
        now = self._agenda.now
        for flow in flows:
            if flow.stalled_s is not None and self._is_open(flow):
                if self._congestion is None:
                    self._wake(flow)
                else:
                    first_s = 0.0
                    if flow.state != "connecting":  # what is past the cut is still acknowledged
                        first_s = flow.path.rtt_s + probe_s(flow.rto_s)
                    at_s = wake_s(flow.stalled_s, now, flow.rto_s, probe_s=first_s)
                    flow.timer = self._agenda.at(at_s, self._wake, flow)

    def change(self, links: Iterable[LinkState], measured: Callable[[Flow], Path]) -> None:
        """Links have another capacity, latency or loss."""
        now = self._agenda.now
        for flow in _users(links):
            was = flow.path
            sends = flow.state == "sending" and flow.stalled_s is None
            if sends and self._congestion is not None:
                self._congestion.keep(flow, now)
            self._shares.repath(flow, measured(flow), now, joined=sends)
            if sends and flow.path.loss != was.loss and self._congestion is not None:
                flow.sync(now)
                self._congestion.expect_loss(flow)
                self._shares.expect(flow, now)
        self._shares.touch_links(links)
        self._agenda.touch()

    def _pause(self, flow: Flow, rto_s: float) -> None:
        """A retransmission was lost: nothing moves until the time-out."""
        self._stall(flow, rto_s)
        flow.timer = self._agenda.at(self._agenda.now + rto_s, self._wake, flow)

    def _stall(self, flow: Flow, rto_s: float) -> None:
        now = self._agenda.now
        if flow.state == "sending":
            flow.sync(now)
            if self._congestion is not None:
                flow.peak = self._congestion.current(flow, now)
            self._leave(flow)
        if flow.timer is not None:
            flow.timer.cancel()
        flow.stalled_s, flow.rto_s = now, rto_s
        flow.deadline = self._agenda.at(now + self._patience_s, self._expired, flow)
        self._agenda.touch()

    def _expired(self, flow: Flow) -> None:
        if self._gives_up:
            self._end(flow, GAVE_UP)
        elif self._is_parted(flow.transfer):
            self._end(flow, PARTED)
        else:
            self._end(flow, TIMED_OUT if flow.path.is_up else DOWN)

    def _is_open(self, flow: Flow) -> bool:
        return flow.path.is_up and not self._is_parted(flow.transfer)

    def _wake(self, flow: Flow) -> None:
        flow.stalled_s = None
        if flow.deadline is not None:
            flow.deadline.cancel()
        if flow.state == "draining":
            self._drain(flow)
        elif flow.state == "connecting":
            self._connect(flow)
        elif self._congestion is None:
            self._begin(flow)
        else:
            flow.synced_s = self._agenda.now
            if self._sends_twice:  # the time-outs of the connection inside the tunnel ran off as well
                sent = flow.entry.nbytes + flow.header_nbytes - flow.remaining
                flow.remaining += min(flow.peak, sent)
            self._shares.join(flow)
            self._congestion.restart(flow, self._agenda.now)
            self._agenda.touch()


def _nothing(flow: Flow, now: float) -> None:
    """Nothing to look at here."""


def _users(links: Iterable[LinkState]) -> list[Flow]:
    """All attempts that need one of the links, oldest first."""
    found = {flow.id: flow for state in links for flow in state.users.values()}
    return [flow for _, flow in sorted(found.items())]

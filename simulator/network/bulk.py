"""Bulk transfers: attempts over one or several connections, retries, and what each has carried.

The connections of an attempt share its bytes evenly. It has succeeded when the last of them has; when
one fails, all of them end, and the transport's policy says how to go on.
"""

from collections.abc import Callable, Iterable
from math import inf
from typing import Protocol

from simulator.network.agenda import Agenda
from simulator.network.damage import Damage
from simulator.network.flow import Flow, Path, Transfer
from simulator.record.ledger import Attempt, Ledger
from simulator.scenario.transmission import TransportSpec

RESUMED, PART, CHECKSUM = "resumed after: ", "one of several connections", "checksum"
MAX_DOUBLINGS = 60  # of the pause between attempts, which is then longer than any run


class Connections(Protocol):
    """What carries one connection, see :class:`simulator.network.carrier.Carrier`."""

    def start(self, transfer: Transfer, entry: Attempt, path: Path) -> Flow:
        """Begin now."""

    def stop(self, flow: Flow) -> None:
        """Take it off the network."""


class Bulk:
    """Makes attempts until a transfer is over; ``over(transfer, reason)`` tells how that was.

    Args:
        enter: opens the ledger's entry of an attempt, for a number of bytes.
        path_of: the path of a transfer, under present conditions.

    """

    def __init__(
        self,
        *,
        agenda: Agenda,
        ledger: Ledger,
        spec: TransportSpec,
        damage: Damage,
        enter: Callable[[Transfer, int], Attempt],
        path_of: Callable[[Transfer], Path],
        over: Callable[[Transfer, str], None],
    ) -> None:
        self._agenda, self._ledger, self._spec = agenda, ledger, spec
        self._damage, self._enter, self._path_of, self._over = damage, enter, path_of, over
        self.carrier: Connections

    def attempt(self, transfer: Transfer) -> None:
        """Send what is not there yet."""
        transfer.num_tries += 1
        left = transfer.nbytes - transfer.kept_nbytes
        num = max(1, min(self._spec.connections, left))
        path = self._path_of(transfer)
        for number in range(num):
            entry = self._enter(transfer, left * (number + 1) // num - left * number // num)
            flow = self.carrier.start(transfer, entry, path)
            transfer.flows[flow.id] = flow
            self._damage.meet(flow)

    def ended(self, flow: Flow, reason: str) -> None:
        """A connection is through, or has failed."""
        transfer, now = flow.transfer, self._agenda.now
        del transfer.flows[flow.id]
        self._carry(flow)
        is_whole = not transfer.flows
        if not reason and (flow.damaged_at < inf or (is_whole and transfer.keeps_damage)):
            reason = CHECKSUM
        if not reason:
            transfer.kept.append((flow.entry, now, PART))
            if is_whole:
                self._over(transfer, "")
            return
        broken = [flow, *self._stop(transfer)]
        if transfer.num_tries > self._spec.retries:
            self._fail(broken, reason)
            self._over(transfer, reason)
            return
        if self._spec.restart == "offset" and reason != CHECKSUM:
            for one in broken:
                self._keep(one, reason)
            transfer.kept_nbytes = sum(entry.nbytes for entry, _, _ in transfer.kept)
        else:  # of what is damaged nobody knows where, so nothing of it is kept
            self.book_kept(transfer, "failed", reason)
            transfer.kept_nbytes, transfer.keeps_damage = 0, False
            self._fail(broken, reason)
        pause_s = self._spec.backoff * 2 ** min(transfer.num_tries - 1, MAX_DOUBLINGS)
        transfer.timer = self._agenda.at(now + pause_s, self.attempt, transfer)

    def _keep(self, flow: Flow, reason: str) -> None:
        """Have the next attempt go on from what the receiver has; what was on its way is wasted."""
        transfer, entry, now = flow.transfer, flow.entry, self._agenda.now
        kept = flow.kept_nbytes(now)
        if kept < entry.carried_nbytes:
            transfer.num_attempts += 1
            lost = self._ledger.split(entry, kept, transfer.num_attempts)
            self._ledger.close(lost, now, "failed", reason)
        entry.nbytes = kept  # the rest is another attempt's
        transfer.kept.append((entry, now, RESUMED + reason))
        transfer.keeps_damage |= flow.damaged_at < kept

    def halt(self, transfer: Transfer) -> list[Attempt]:
        """Stop what a transfer does; return its open attempts, carried bytes booked."""
        if transfer.timer is not None:
            transfer.timer.cancel()
        return [flow.entry for flow in self._stop(transfer)]

    def book_kept(self, transfer: Transfer, status: str, reason: str = "") -> None:
        """Close the attempts whose bytes count only now; the last that is delivered completes it.
        ``reason`` is why connections that were through are of no use.
        """
        kept = sorted(transfer.kept, key=lambda one: one[0].attempt)
        transfer.kept.clear()
        for entry, end_s, what in kept:
            completes = status == "delivered" and entry is kept[-1][0]
            why = reason if reason and what == PART else what
            self._ledger.close(entry, end_s, status, "" if completes else why)

    def _stop(self, transfer: Transfer) -> list[Flow]:
        flows = [flow for _, flow in sorted(transfer.flows.items())]
        transfer.flows.clear()
        for flow in flows:
            self.carrier.stop(flow)
            self._carry(flow)
        return flows

    def _carry(self, flow: Flow) -> None:
        self._ledger.carry(flow.entry, flow.sent_nbytes(), flow.sent_header_nbytes())

    def _fail(self, flows: Iterable[Flow], reason: str) -> None:
        for flow in flows:
            self._ledger.close(flow.entry, self._agenda.now, "failed", reason)

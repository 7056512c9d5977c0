"""Control messages: small, without a connection, and without a share of the links they cross."""

from collections.abc import Callable

import numpy as np

from simulator.network.agenda import Agenda
from simulator.network.flow import Path, Transfer
from simulator.network.window import MIN_RTO_S, Draw
from simulator.record.ledger import Ledger

CRASHED, DOWN, LOST = "peer crashed", "link down", "message lost"


class Messenger:
    """Carries control messages; ``over(transfer, reason)`` tells how each ended, with an empty reason
    for success. A failure shows one retransmission time-out after the message was sent.
    """

    def __init__(
        self,
        *,
        agenda: Agenda,
        ledger: Ledger,
        message_loss: float,
        draw: Draw,
        path_of: Callable[[Transfer], Path],
        over: Callable[[Transfer, str], None],
    ) -> None:
        self._agenda, self._ledger, self._message_loss = agenda, ledger, message_loss
        self._draw, self._path_of, self._over = draw, path_of, over

    def send(self, transfer: Transfer, *, refused: str) -> None:
        """Send now: latency, jitter, and the bytes at the speed of the slowest link. Chance is drawn
        whatever comes of the message, so that faults do not move what later ones meet. ``refused`` says
        why nobody takes it, if so.
        """
        path, entry = self._path_of(transfer), transfer.message
        delay_s = transfer.nbytes / path.capacity
        for state in path.links:
            delay_s += state.latency_s
            if state.link.jitter_s > 0:
                delay_s += self._chance("jitter", transfer).exponential(state.link.jitter_s)
        lost = self._message_loss > 0 and self._chance("message loss", transfer).random() < self._message_loss
        if refused:
            self.refuse(transfer, refused)
        elif any(state.down for state in path.links):
            self._fail_in(transfer, path.rtt_s + MIN_RTO_S, DOWN)
        elif entry is not None:
            self._ledger.carry(entry, transfer.nbytes)
            if lost:
                self._fail_in(transfer, path.rtt_s + MIN_RTO_S, LOST)
            else:
                transfer.timer = self._agenda.at(self._agenda.now + delay_s, self._arrived, transfer)

    def refuse(self, transfer: Transfer, reason: str) -> None:
        """Fail a transfer that a crashed node takes part in, after one round trip."""
        self._fail_in(transfer, self._path_of(transfer).rtt_s, reason)

    def _chance(self, purpose: str, transfer: Transfer) -> np.random.Generator:
        return self._draw(purpose, transfer.src, transfer.dst)

    def _fail_in(self, transfer: Transfer, seconds: float, reason: str) -> None:
        def fail(late: Transfer) -> None:
            self._over(late, reason)

        transfer.timer = self._agenda.at(self._agenda.now + seconds, fail, transfer)

    def _arrived(self, transfer: Transfer) -> None:
        """It did, unless one of its links went down meanwhile."""
        path, entry = self._path_of(transfer), transfer.message
        if entry is not None and any(state.cut_s >= entry.start_s for state in path.links):
            due_s = entry.start_s + path.rtt_s + MIN_RTO_S
            self._fail_in(transfer, max(due_s - self._agenda.now, 0.0), DOWN)
        else:
            self._over(transfer, "")

"""Control messages: small, without a connection, and without a share of the links they cross."""

from collections.abc import Callable

import numpy as np

from simulator.network.agenda import Agenda
from simulator.network.flow import Path, Transfer
from simulator.network.window import MIN_RTO_S, Draw
from simulator.record.ledger import Ledger
from simulator.scenario.transmission import TransportSpec

CRASHED, DOWN, PARTED, LOST = "peer crashed", "link down", "partitioned", "message lost"
DUPLICATE, TIMED_OUT = "duplicate dropped", "timed out"


class Messenger:
    """Carries control messages; ``over(transfer, reason)`` tells how each ended, with an empty reason
    for success. A failure shows one retransmission time-out after the message was sent.
    """

    def __init__(
        self,
        *,
        agenda: Agenda,
        ledger: Ledger,
        spec: TransportSpec,
        draw: Draw,
        path_of: Callable[[Transfer], Path],
        is_parted: Callable[[Transfer], bool],
        over: Callable[[Transfer, str], None],
    ) -> None:
        self._agenda, self._ledger, self._spec = agenda, ledger, spec
        self._header_nbytes = round(spec.headers)
        self._draw, self._path_of, self._is_parted, self._over = draw, path_of, is_parted, over

    def send(self, transfer: Transfer, *, refused: str) -> bool:
        """Send now; return whether the network makes a second one of it. Chance is drawn whatever comes
        of the message, so that faults do not move what later ones meet. ``refused`` says why nobody
        takes it, if so.
        """
        path, entry = self._path_of(transfer), transfer.message
        delay_s = self._delay_s(transfer, path)
        lost = self._happens("message loss", self._spec.message_loss, transfer)
        twice = self._happens("message duplication", self._spec.message_duplication, transfer)
        if refused:
            self.refuse(transfer, refused)
        elif any(state.down for state in path.links):
            self._fail_in(transfer, path.rtt_s + MIN_RTO_S, DOWN)
        elif self._is_parted(transfer):
            self._fail_in(transfer, path.rtt_s + MIN_RTO_S, PARTED)
        elif entry is not None:
            self._ledger.carry(entry, transfer.nbytes, self._header_nbytes)
            if lost:
                self._fail_in(transfer, path.rtt_s + MIN_RTO_S, LOST)
            else:
                transfer.timer = self._agenda.at(self._agenda.now + delay_s, self._arrived, transfer)
                return twice
        return False

    def send_copy(self, transfer: Transfer) -> None:
        """Send the second of a message, with a delay of its own."""
        assert transfer.message is not None
        self._ledger.carry(transfer.message, transfer.nbytes, self._header_nbytes)
        due_s = self._agenda.now + self._delay_s(transfer, self._path_of(transfer))
        transfer.timer = self._agenda.at(due_s, self._arrived, transfer)

    def _delay_s(self, transfer: Transfer, path: Path) -> float:
        """Latency, jitter, and the bytes at the speed of the slowest link; a message that is held up
        takes another delay with the mean of a round trip, so that later ones may overtake it.
        """
        delay_s = (transfer.nbytes + self._header_nbytes) / path.capacity
        for state in path.links:
            delay_s += state.latency_s
            if state.link.jitter_s > 0:
                delay_s += self._chance("jitter", transfer).exponential(state.link.jitter_s)
        if self._happens("message reordering", self._spec.message_reordering, transfer):
            delay_s += self._chance("message reordering", transfer).exponential(path.rtt_s)
        return delay_s

    def _happens(self, purpose: str, probability: float, transfer: Transfer) -> bool:
        return probability > 0 and self._chance(purpose, transfer).random() < probability

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
        """It did, unless one of its links went down or a partition came meanwhile."""
        path, entry = self._path_of(transfer), transfer.message
        was_cut = entry is not None and any(state.cut_s >= entry.start_s for state in path.links)
        if entry is not None and (was_cut or transfer.was_parted):
            due_s = entry.start_s + path.rtt_s + MIN_RTO_S
            self._fail_in(transfer, max(due_s - self._agenda.now, 0.0), DOWN if was_cut else PARTED)
        else:
            self._over(transfer, "")

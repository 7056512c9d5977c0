"""The ledger: every byte that was offered to the network and what became of it.

Payload bytes, and apart from them the headers of the application. What TCP adds (headers,
acknowledgements) slows transfers down but is not booked; ``OVERHEAD`` says what a full segment adds.
Books are kept twice, per transfer and per link,
and :meth:`Ledger.check` compares them.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from simulator.errors import MedgossipError

OVERHEAD = 1502 / 1448
"""Bytes on the wire per byte of payload in a full TCP segment (Ethernet-like framing of 2 bytes)."""

Row = tuple[Any, ...]
STATUSES = ("delivered", "failed", "in_flight")


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One attempt to move bytes; open until it has an end, see the table ``transfers``."""

    transfer: int
    attempt: int
    src: str
    dst: str
    kind: str
    round: int | None
    control: bool
    nbytes: int
    offered_nbytes: int  # of the whole transfer
    start_s: float
    route: tuple[str, ...]
    number_of_try: int = 1  # the connections of one try are attempts of their own
    carried_nbytes: int = 0
    header_nbytes: int = 0  # of the application, carried besides
    end_s: float | None = None
    status: str = ""
    reason: str = ""


class Ledger:
    """Accounts of a run: attempts by transfer, and bytes by link."""

    def __init__(self) -> None:
        self._attempts: list[Attempt] = []
        self._links: dict[str, Row] = {}
        self._carried: dict[str, int] = {}
        self._headers: dict[str, int] = {}

    def add_link(self, id: str, src: str, dst: str, bytes_per_s: float, latency_s: float) -> None:
        """Open the account of a link; its capacity is that of the start, ``inf`` for unlimited."""
        capacity = None if bytes_per_s == float("inf") else bytes_per_s
        self._links[id] = (id, src, dst, capacity, latency_s)
        self._carried[id] = self._headers[id] = 0

    def open(self, attempt: Attempt) -> Attempt:
        """Book that bytes are offered."""
        self._attempts.append(attempt)
        return attempt

    def carry(self, attempt: Attempt, nbytes: int, header_nbytes: int = 0) -> None:
        """Book bytes of payload and of headers that left the sender to every link of the route."""
        attempt.carried_nbytes += nbytes
        attempt.header_nbytes += header_nbytes
        for link in attempt.route:
            self._carried[link] += nbytes
            self._headers[link] += header_nbytes

    def split(self, attempt: Attempt, nbytes: int, number: int) -> Attempt:
        """Leave an open attempt the first ``nbytes`` of what it carried, and return the rest, a new
        one of that ``number``: other things became of both.
        """
        rest = attempt.carried_nbytes - nbytes
        attempt.carried_nbytes = nbytes
        return self.open(replace(attempt, attempt=number, nbytes=rest, carried_nbytes=rest, header_nbytes=0))

    def close(self, attempt: Attempt, end_s: float, status: str, reason: str = "") -> None:
        """Book how an attempt ended: ``delivered``, ``failed`` or ``in_flight``."""
        if attempt.status:
            raise MedgossipError(f"{_name(attempt)} ended twice: {attempt.status}, then {status}")
        attempt.end_s, attempt.status, attempt.reason = end_s, status, reason

    def void(self, transfer: int, reason: str) -> None:
        """Book as failed what had arrived of a transfer: it was of no use."""
        for attempt in self._attempts:
            if attempt.transfer == transfer and attempt.status == "delivered":
                attempt.status, attempt.reason = "failed", reason

    def tally(self, kinds: Collection[str]) -> dict[str, tuple[int, int]]:
        """Return the bytes carried, headers of the application among them, and the retries made for
        each of these kinds of transfers.
        """
        carried = dict.fromkeys(kinds, 0)
        retried: dict[str, set[tuple[int, int]]] = {kind: set() for kind in kinds}
        for attempt in self._attempts:
            if attempt.kind in carried:
                carried[attempt.kind] += attempt.carried_nbytes + attempt.header_nbytes
                if attempt.number_of_try > 1:
                    retried[attempt.kind].add((attempt.transfer, attempt.number_of_try))
        return {kind: (carried[kind], len(retried[kind])) for kind in kinds}

    def rows(self, table: str) -> list[Row]:
        """Return the rows of ``"transfers"`` or ``"links"``, in the order of their columns."""
        if table == "links":
            return [(*row, self._headers[id], self._carried[id]) for id, row in sorted(self._links.items())]
        if table != "transfers":
            raise KeyError(table)
        ordered = sorted(self._attempts, key=lambda a: (a.transfer, a.attempt))
        return [
            (
                *(a.transfer, a.attempt, a.src, a.dst, a.kind, a.round, a.control, a.nbytes),
                *(a.carried_nbytes, a.start_s, a.end_s, a.status, a.reason, " ".join(a.route)),
            )
            for a in ordered
        ]

    def totals(self) -> dict[str, int]:
        """Return carried payload bytes by status: delivered, failed (wasted), in flight."""
        sums = dict.fromkeys(STATUSES, 0)
        for attempt in self._attempts:
            sums[attempt.status] += attempt.carried_nbytes
        return sums

    def check(self) -> None:
        """Compare both books once everything has an end.

        Raises:
            MedgossipError: an attempt without an end or with more bytes than were offered, a
                delivery that is not complete or not the last of its transfer, or a link whose
                bytes are not the sum over the transfers that crossed it.
        """
        crossed = dict.fromkeys(self._carried, 0)
        arrived: set[int] = set()  # transfers
        delivered: dict[int, int] = {}  # bytes by transfer
        for attempt in sorted(self._attempts, key=lambda a: (a.transfer, a.attempt)):
            _check_attempt(attempt)
            if attempt.transfer in arrived:
                raise MedgossipError(f"{_name(attempt)} follows one that arrived; no byte is sent twice")
            if attempt.status == "delivered":
                delivered[attempt.transfer] = delivered.get(attempt.transfer, 0) + attempt.carried_nbytes
                if not attempt.reason:  # else another attempt went on from there
                    arrived.add(attempt.transfer)
                    if delivered[attempt.transfer] != attempt.offered_nbytes:
                        raise MedgossipError(
                            f"{_name(attempt)} made {delivered[attempt.transfer]} of "
                            f"{attempt.offered_nbytes} bytes arrive"
                        )
            for link in attempt.route:
                crossed[link] += attempt.carried_nbytes
        for link, nbytes in sorted(crossed.items()):
            if nbytes != self._carried[link]:
                raise MedgossipError(
                    f"link {link} carried {self._carried[link]} bytes, but the transfers that crossed it "
                    f"account for {nbytes}; the ledger is wrong, please report this run"
                )


def _name(attempt: Attempt) -> str:
    return f"transfer {attempt.transfer} ({attempt.src} to {attempt.dst}), attempt {attempt.attempt}"


def _check_attempt(attempt: Attempt) -> None:
    if attempt.status not in STATUSES or attempt.end_s is None:
        raise MedgossipError(f"{_name(attempt)} has no end; close the network before the check")
    if not 0 <= attempt.carried_nbytes <= attempt.nbytes:
        raise MedgossipError(
            f"{_name(attempt)} carried {attempt.carried_nbytes} of {attempt.nbytes} bytes offered"
        )
    if attempt.status == "delivered" and attempt.carried_nbytes != attempt.nbytes:
        raise MedgossipError(
            f"{_name(attempt)} arrived with {attempt.carried_nbytes} of {attempt.nbytes} bytes"
        )
    if attempt.end_s < attempt.start_s:
        raise MedgossipError(f"{_name(attempt)} ended at {attempt.end_s} s, before it began")

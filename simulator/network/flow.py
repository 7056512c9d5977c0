"""What a network holds at an instant: the state of links, the facts of a path, flows, transfers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, inf, prod

import simpy

from simulator.network.agenda import Timer
from simulator.network.due import sync
from simulator.network.rows import (
    CAP,
    CAPPED,
    CEILING,
    PEAK,
    RATE,
    REMAINING,
    RTT,
    STOP,
    SYNCED,
    WINDOW,
)
from simulator.network.table import Table
from simulator.network.topology import FRAME_NBYTES, Link
from simulator.network.window import QUEUE_FILL
from simulator.record.ledger import Attempt

MIN_RTT_S = 1e-6  # a TCP round trip takes time even where the scenario says none
FULL = 0.997  # of the capacity; above what is left open where acknowledgements are estimated
DEFAULT_QUEUE_S, DEFAULT_QUEUE_FRAMES = 0.05, 64


@dataclass(slots=True, kw_only=True, eq=False)
class LinkState:
    """A link as it is now. ``capacity`` is payload bytes per second."""

    link: Link
    capacity: float
    bytes_per_s: float
    latency_s: float
    loss: float
    down: set[str] = field(default_factory=set)  # why it is down: "" or names of nodes
    cut_s: float = -inf  # when it last went down
    users: "dict[int, Flow]" = field(default_factory=dict)  # all attempts that need it
    index: int = -1  # in the tables of shares

    @classmethod
    def of(cls, link: Link, *, efficiency: float) -> "LinkState":
        """Return a link's state at the start; ``efficiency`` is payload per byte on the wire."""
        return cls(
            link=link,
            capacity=link.bytes_per_s * efficiency,
            bytes_per_s=link.bytes_per_s,
            latency_s=link.latency_s,
            loss=link.loss,
        )

    @property
    def buffer_nbytes(self) -> float:
        """Queue in front of the link."""
        if self.link.buffer_nbytes is not None:
            return self.link.buffer_nbytes
        return max(self.bytes_per_s * DEFAULT_QUEUE_S, DEFAULT_QUEUE_FRAMES * FRAME_NBYTES)

    @property
    def queue_s(self) -> float:
        """How long that queue delays when it is full."""
        return 0.0 if self.bytes_per_s == inf else self.buffer_nbytes / self.bytes_per_s


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Path:
    """A pair's route with what a flow needs to know of it, under present conditions.

    ``capacity`` is that of its slowest link, payload bytes per second, and ``queue_s`` the delay of a
    full buffer there. A flow sends its first byte after ``connect_s``, and never faster than ``limit``.
    ``hops`` are the indices of ``links``, then of ``back``: a byte loads the first ``num_loaded`` of
    these with ``loads`` bytes each, the others carry its acknowledgement.
    """

    links: tuple[LinkState, ...]
    back: tuple[LinkState, ...]
    one_way_s: float
    rtt_s: float
    jitter_s: float
    loss: float
    capacity: float
    buffer_nbytes: float
    queue_s: float
    weight: float
    connect_s: float
    hops: tuple[int, ...]
    loads: tuple[float, ...]
    num_loaded: int
    limit: float = inf
    states: tuple[LinkState, ...] = field(init=False)  # of ``links`` and ``back``

    def __post_init__(self) -> None:
        object.__setattr__(self, "states", (*self.links, *self.back))

    @property
    def is_up(self) -> bool:
        """Whether bytes and acknowledgements pass."""
        return not [state for state in self.states if state.down]


def measure(
    there: Sequence[LinkState],
    back: Sequence[LinkState],
    *,
    ideal: bool,
    rtt_bias: float,
    repeats: bool = False,
    pulled: bool = False,
) -> Path:
    """Return the facts of a path.

    A sender that does not slow down when packets are lost (``repeats``) gets through what is not.
    The weight is ``(round trip + 0.7 · buffer delay)^-rtt_bias``; 0 makes shares equal. Connecting
    takes one round trip, and another where the receiver is told first and opens the connection
    (``pulled``).
    """
    slowest = min(there, key=lambda state: (state.capacity, state.link.id))
    one_way_s = sum([state.latency_s for state in there])
    back_s = sum([state.latency_s for state in back])
    jitter_s = sum([state.link.jitter_s for state in (*there, *back)])
    queue_s = slowest.queue_s
    if not ideal:
        one_way_s += sum([FRAME_NBYTES / state.bytes_per_s for state in there])
    rtt_s = max(one_way_s + back_s + jitter_s, MIN_RTT_S)
    passes = prod([1 - state.loss for state in there])
    num_hops = len(there) if ideal else len(there) + len(back)
    return Path(
        links=tuple(there),
        back=() if ideal else tuple(back),
        one_way_s=one_way_s,
        rtt_s=rtt_s,
        jitter_s=jitter_s,
        loss=1 - passes,
        capacity=slowest.capacity,
        limit=slowest.capacity * passes if repeats else inf,
        buffer_nbytes=slowest.buffer_nbytes,
        queue_s=queue_s,
        weight=(rtt_s + QUEUE_FILL * queue_s) ** -rtt_bias,
        connect_s=0.0 if ideal else 2 * rtt_s if pulled else rtt_s,
        hops=tuple([state.index for state in (*there, *back)][:num_hops]),
        loads=(1.0,) * num_hops,
        num_loaded=len(there),
    )


@dataclass(slots=True, kw_only=True, eq=False)
class Transfer:
    """What :meth:`Network.transfer` hands out. ``event`` succeeds with None when the last byte is
    there, or fails with :class:`~simulator.errors.TransferFailed`. ``nodes`` are those whose crash ends
    it: both ends, and who passes it on.
    """

    id: int
    src: str
    dst: str
    nbytes: int
    kind: str
    round: int | None
    control: bool
    event: simpy.Event
    nodes: tuple[str, ...]
    num_attempts: int = 0  # rows of the ledger: one for each connection of each try
    num_tries: int = 0
    kept_nbytes: int = 0  # at the receiver, from attempts that a new one resumes
    kept: list[tuple[Attempt, float, str]] = field(default_factory=list)  # closed with the transfer
    keeps_damage: bool = False  # some of what is kept arrived wrong, which shows when all is there
    flows: "dict[int, Flow]" = field(default_factory=dict)  # connections that are open, by number
    message: Attempt | None = None  # of a control message, or one that is refused
    is_copy: bool = False  # of another control message
    again: simpy.Event | None = None  # the arrival of this message's copy
    was_parted: bool = False  # a partition came between its ends while it was under way
    timer: Timer | None = None  # pause before the next attempt, or arrival of a control message


class _Number:
    """An attribute of a flow that is a number of its slot in the tables of shares."""

    def __init__(self, row: int) -> None:
        self._row = row

    def __get__(self, flow: "Flow", owner: object) -> float:
        return flow.table.ff[self._row][flow.slot]

    def __set__(self, flow: "Flow", value: float) -> None:
        flow.table.ff[self._row][flow.slot] = value


@dataclass(slots=True, kw_only=True, eq=False)
class Flow:
    """One attempt of a bulk transfer on its way.

    ``state``: connecting, sending, draining (all sent, not all arrived); ``stalled_s`` holds the
    instant since when it is cut off.

    What sharing needs is in its tables. ``rate``: payload bytes per second. ``remaining``: bytes that
    have not left, as of ``synced_s``. ``loss_at``: a packet is lost when this much remains; 0 is none
    before the end. ``cap``: the window's limit on the rate. ``rtt_s``: the round trip of its path, with
    the queues that its acknowledgements stand in. ``window``: bytes, as of when it began to grow, and
    ``peak`` what it was before its last loss.
    """

    id: int
    transfer: Transfer
    entry: Attempt
    path: Path
    header_nbytes: int = 0  # of the application, sent before the payload
    state: str = "connecting"
    stalled_s: float | None = None
    rto_s: float = 0.0
    is_last_burst: bool = False
    damaged_at: float = inf  # byte of its payload that arrives wrong; inf: none
    left_s: float = -inf  # when it last stopped sending,
    left_rate: float = 0.0  # and how fast it was
    timer: Timer | None = None
    deadline: Timer | None = None
    table: Table = field(init=False)
    slot: int = field(init=False)

    rate = _Number(RATE)
    remaining = _Number(REMAINING)
    synced_s = _Number(SYNCED)
    loss_at = _Number(STOP)
    cap = _Number(CAP)
    ceiling = _Number(CEILING)
    rtt_s = _Number(RTT)
    window = _Number(WINDOW)
    peak = _Number(PEAK)

    @property
    def is_capped(self) -> bool:
        """Whether its window rather than a link limits its rate, as of the last solution."""
        return self.table.fi[CAPPED][self.slot] == 1

    @is_capped.setter
    def is_capped(self, value: bool) -> None:
        self.table.fi[CAPPED][self.slot] = value

    def sync(self, now: float) -> None:
        """Bring ``remaining`` up to date."""
        sync(self.table.ff, self.slot, now)

    def sent_nbytes(self) -> int:
        """Whole bytes of payload that left the sender, as of ``synced_s``."""
        return min(max(int(self.entry.nbytes - self.remaining), 0), self.entry.nbytes)

    def kept_nbytes(self, now: float) -> int:
        """Whole bytes of payload that the receiver has: what left the sender less than a path's delay
        before the flow was cut, or before ``now``, is lost on its way.
        """
        until_s = now if self.stalled_s is None else self.stalled_s
        ahead_s = self.path.one_way_s - (until_s - self.left_s)
        lost = ceil(self.left_rate * ahead_s) if ahead_s > 0 and self.left_rate < inf else 0
        return max(self.sent_nbytes() - lost, 0)

    def sent_header_nbytes(self) -> int:
        """Whole bytes of headers that left the sender, as of ``synced_s``."""
        if self.state == "connecting":
            return 0
        return min(max(int(self.entry.nbytes + self.header_nbytes - self.remaining), 0), self.header_nbytes)

"""What a network holds at an instant: the state of links, the facts of a path, flows, transfers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, prod

import simpy

from simulator.network.agenda import Timer
from simulator.network.topology import FRAME_NBYTES, Link
from simulator.network.window import ACK_SHARE, QUEUE_FILL, Window
from simulator.record.ledger import Attempt

MIN_RTT_S = 1e-6  # a TCP round trip takes time even where the scenario says none
BINDS = 1 + 1e-9  # below this share of its capacity a link cannot hold anybody back
FULL = 0.997  # of the capacity; above what is left open where acknowledgements are estimated
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
    flows: "dict[int, Flow]" = field(default_factory=dict)  # those that send over it now
    acks: "dict[int, Flow]" = field(default_factory=dict)  # those whose acknowledgements cross it
    users: "dict[int, Flow]" = field(default_factory=dict)  # all attempts that need it
    demand: float = 0.0  # what flows and acknowledgements could want at most, bytes per second

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
    def can_bind(self) -> bool:
        """Whether its flows could want more than it has."""
        return self.demand > self.capacity * BINDS

    def used(self) -> float:
        """Payload bytes per second that flows and acknowledgements take now, summed in the order in
        which they joined, the same in every run.
        """
        used = sum([flow.rate for flow in self.flows.values()])
        return used + ACK_SHARE * sum([flow.rate for flow in self.acks.values()])

    def is_full(self) -> bool:
        """Whether it may hold somebody back now."""
        return self.used() >= self.capacity * FULL

    @property
    def buffer_nbytes(self) -> float:
        """Queue in front of the link."""
        if self.link.buffer_nbytes is not None:
            return self.link.buffer_nbytes
        return max(self.bytes_per_s * DEFAULT_QUEUE_S, DEFAULT_QUEUE_FRAMES * FRAME_NBYTES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Path:
    """A pair's route with what a flow needs to know of it, under present conditions.

    ``capacity`` is that of its slowest link, payload bytes per second, and ``queue_s`` the delay of a
    full buffer there; ``bound`` is the most by which a flow can load any link of its path. A flow
    sends its first byte after ``connect_s``, and never faster than ``limit``.
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
    bound: float
    weight: float
    connect_s: float
    limit: float = inf

    @property
    def is_up(self) -> bool:
        """Whether bytes and acknowledgements pass."""
        return not any(link.down for link in self.links) and not any(link.down for link in self.back)


def measure(
    there: Sequence[LinkState],
    back: Sequence[LinkState],
    *,
    ideal: bool,
    rtt_bias: float,
    pulled: bool = False,
) -> Path:
    """Return the facts of a path.

    The weight is ``(round trip + 0.7 · buffer delay)^-rtt_bias``; 0 makes shares equal. Connecting
    takes one round trip, and another where the receiver is told first and opens the connection
    (``pulled``).
    """
    slowest = min(there, key=lambda state: (state.capacity, state.link.id))
    one_way_s = sum(state.latency_s for state in there)
    back_s = sum(state.latency_s for state in back)
    jitter_s = sum(state.link.jitter_s for state in (*there, *back))
    queue_s = 0.0 if slowest.bytes_per_s == inf else slowest.buffer_nbytes / slowest.bytes_per_s
    if not ideal:
        one_way_s += sum(FRAME_NBYTES / state.bytes_per_s for state in there)
    rtt_s = max(one_way_s + back_s + jitter_s, MIN_RTT_S)
    return Path(
        links=tuple(there),
        back=() if ideal else tuple(back),
        one_way_s=one_way_s,
        rtt_s=rtt_s,
        jitter_s=jitter_s,
        loss=1 - prod(1 - state.loss for state in there),
        capacity=slowest.capacity,
        buffer_nbytes=slowest.buffer_nbytes,
        queue_s=queue_s,
        bound=slowest.capacity if slowest.capacity < inf else 0.0,  # unlimited links hold nobody back
        weight=(rtt_s + QUEUE_FILL * queue_s) ** -rtt_bias,
        connect_s=0.0 if ideal else 2 * rtt_s if pulled else rtt_s,
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
    flows: "dict[int, Flow]" = field(default_factory=dict)  # connections that are open, by number
    message: Attempt | None = None  # of a control message, or one that is refused
    is_copy: bool = False  # of another control message
    again: simpy.Event | None = None  # the arrival of this message's copy
    was_parted: bool = False  # a partition came between its ends while it was under way
    timer: Timer | None = None  # pause before the next attempt, or arrival of a control message


@dataclass(slots=True, kw_only=True, eq=False)
class Flow:
    """One attempt of a bulk transfer on its way.

    ``state``: connecting, sending, draining (all sent, not all arrived); ``stalled`` holds the
    instant since when it is cut off. ``rate`` is payload bytes per second; ``remaining`` is as of
    ``synced_s``. ``cap`` is the window's limit on the rate.
    """

    id: int
    transfer: Transfer
    entry: Attempt
    path: Path
    remaining: float
    header_nbytes: int = 0  # of the application, sent before the payload
    state: str = "connecting"
    stalled_s: float | None = None
    rto_s: float = 0.0
    rate: float = 0.0
    synced_s: float = 0.0
    cap: float = inf
    tight: list[LinkState] = field(default_factory=list)  # links of the path that can be full
    window: Window = field(default_factory=Window)
    is_last_burst: bool = False
    is_capped: bool = True  # by its window rather than by a link, as of the last solution
    loss_at: float = 0.0  # a packet is lost when this much remains; 0: none before the end
    progress: Timer | None = None
    is_damaged: bool = False  # its payload will arrive with a wrong checksum
    due_s: float = inf  # when progress is really due; its timer may be early
    timer: Timer | None = None
    deadline: Timer | None = None

    def sync(self, now: float) -> None:
        """Bring ``remaining`` up to date."""
        elapsed_s = now - self.synced_s
        if elapsed_s > 0 and self.rate > 0:
            self.remaining = max(self.remaining - self.rate * elapsed_s, 0.0)
        self.synced_s = now

    def sent_nbytes(self) -> int:
        """Whole bytes of payload that left the sender, as of ``synced_s``."""
        return min(max(int(self.entry.nbytes - self.remaining), 0), self.entry.nbytes)

    def sent_header_nbytes(self) -> int:
        """Whole bytes of headers that left the sender, as of ``synced_s``."""
        if self.state == "connecting":
            return 0
        return min(max(int(self.entry.nbytes + self.header_nbytes - self.remaining), 0), self.header_nbytes)


def join(flow: Flow) -> None:
    """Let a flow take part in the sharing of its links."""
    for state in flow.path.links:
        state.flows[flow.id] = flow
        state.demand += flow.path.bound
    for state in flow.path.back:
        state.acks[flow.id] = flow
        state.demand += ACK_SHARE * flow.path.bound


def leave(flow: Flow) -> list[LinkState]:
    """Take a flow off its links; return those that may have held somebody back until now."""
    crossed = (*flow.path.links, *flow.path.back)
    freed = [state for state in crossed if state.can_bind and state.flows and state.is_full()]
    for state in flow.path.links:
        del state.flows[flow.id]
        state.demand -= flow.path.bound
    for state in flow.path.back:
        del state.acks[flow.id]
        state.demand -= ACK_SHARE * flow.path.bound
    for state in crossed:
        if not state.flows and not state.acks:
            state.demand = 0.0  # no rounding error outlives the traffic
    return freed


def repath(flow: Flow, path: Path, *, joined: bool) -> None:
    """Give a flow new facts of the same route; ``joined`` if it takes part in the sharing."""
    if joined:
        for state in path.links:
            state.demand += path.bound - flow.path.bound
        for state in path.back:
            state.demand += ACK_SHARE * (path.bound - flow.path.bound)
    flow.path = path

"""How TCP's congestion window moves, as far as a flow model sees it. Pure functions.

Sources: CUBIC: S. Ha, I. Rhee, L. Xu, "CUBIC: a new TCP-friendly high-speed TCP variant", ACM SIGOPS
Operating Systems Review 42(5), 2008, and RFC 9438, 2023. Reno: RFC 5681, 2009. BBR: N. Cardwell et
al., "BBR: congestion-based congestion control", ACM Queue 14(5), 2016. HyStart: S. Ha, I. Rhee,
"Taming the elephants: new TCP slow start", Computer Networks 55(9), 2011. Time-outs: RFC 6298, 2011.
Shares of Reno at a drop-tail queue go as the inverse square of the round trip: T. V. Lakshman,
U. Madhow, "The performance of TCP/IP for networks with high bandwidth-delay products and random
loss", IEEE/ACM Transactions on Networking 5(3), 1997; CUBIC's growth in real time makes that the inverse.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor

import numpy as np

from simulator.network.topology import FRAME_NBYTES, SEGMENT_NBYTES

EFFICIENCY = SEGMENT_NBYTES / FRAME_NBYTES
"""Payload per byte on the wire in full segments."""
ACK_SHARE = 27 / FRAME_NBYTES
"""Bytes of acknowledgements on the way back per byte on the wire: 54 for every two segments."""
INITIAL_SEGMENTS = 10
JITTER_SEGMENTS = 16
"""Window at which HyStart leaves slow start where jitter looks like a queue."""
FIRST_GROWTH = 1 / 20
"""Of the window per round trip, the least by which CUBIC grows until its first loss."""
MOST_ROUNDS = 1000.0
"""Of such growth; by then it is out of all bounds."""
QUEUE_FILL = 0.7
"""Mean filling of the bottleneck's buffer by a loss-based sender."""
MIN_RTO_S, MAX_RTO_S, CONNECT_RTO_S = 0.2, 120.0, 1.0
PROBE_ROUNDS = 2
"""Round trips without an acknowledgement, after which the tail is probed."""
TICK_S, WHEEL_SLOTS, WHEEL_FACTOR = 0.004, 64, 8


Draw = Callable[[str, str, str], np.random.Generator]
"""The stream of chance for a purpose, a sender and a receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A congestion control: what a loss leaves of the window, and what else sets it apart."""

    backoff: float
    cubic: bool
    loss_based: bool  # cuts on loss, fills buffers, and keeps its old window when its share rises
    hystart: bool
    rtt_bias: float  # shares go as (round trip with queue)^-bias
    tunnel_share: float = 1.0  # what a tunnel over TCP leaves of the payload; below 1 there is one


TUNNEL_PACKET_NBYTES = 1426
"""An IP packet inside a tunnel of OpenVPN over TCP with its default ``mssfix 1492 mtu``: less 40 bytes
of IP and TCP outside and 26 of its own (length 2, opcode and peer 4, packet number 4, AES-GCM tag 16)."""
TUNNEL_SHARE = (TUNNEL_PACKET_NBYTES - 52) / (TUNNEL_PACKET_NBYTES + 26)
"""Payload of the inner segment, after 52 bytes of IP and TCP, per byte of the tunnel's own stream."""

CONTROLS: dict[str, Control | None] = {
    "tcp-cubic": Control(backoff=0.7, cubic=True, loss_based=True, hystart=True, rtt_bias=1.0),
    "tcp-reno": Control(backoff=0.5, cubic=False, loss_based=True, hystart=False, rtt_bias=2.0),
    "tcp-bbr": Control(backoff=1.0, cubic=False, loss_based=False, hystart=False, rtt_bias=0.0),
    "vpn-over-tcp": Control(
        backoff=0.7, cubic=True, loss_based=True, hystart=True, rtt_bias=1.0, tunnel_share=TUNNEL_SHARE
    ),
    "ideal": None,
}
"""By preset; None: no handshake, no window, no overhead.

``vpn-over-tcp`` is CUBIC through a tunnel that is a connection of CUBIC itself: the outer one meets
losses and sets the pace, the inner one sees delay alone. When the outer one waits for a time-out, so
does the inner, and sends its window a second time (O. Honda et al., "Understanding TCP over TCP",
Proc. SPIE 6011, 2005; OpenVPN 2.6 manual, --mssfix). A tunnel over UDP (WireGuard, IPsec) is no preset:
it is ``tcp-cubic`` over a link of less bandwidth.
"""


def grown(
    is_cubic: float, backoff: float, nbytes: float, peak: float, elapsed_s: float, rtt_s: float
) -> float:
    """Return the window in bytes, ``elapsed_s`` after it began to grow from ``nbytes``; ``peak`` is what
    it was before its last loss, 0 before the first.

    CUBIC: the larger of ``0.4·(t − K)³ + peak`` and its Reno-friendly line, in segments; before the
    first loss a twentieth each round trip at least (``tcp_cubic.c``). Reno: one segment each round trip.
    """
    elapsed_s = max(elapsed_s, 0.0)
    rounds = elapsed_s / rtt_s
    if is_cubic == 0.0:
        return nbytes + rounds * SEGMENT_NBYTES
    start, top = nbytes / SEGMENT_NBYTES, max(peak, nbytes) / SEGMENT_NBYTES
    away_s = elapsed_s - float(((top - start) / 0.4) ** (1 / 3))
    curve = top + 0.4 * (away_s * away_s * away_s)
    if not peak > 0.0:
        curve = max(curve, start * (1 + FIRST_GROWTH) ** min(rounds, MOST_ROUNDS))
    slope = 3 * (1 - backoff) / (1 + backoff)
    return SEGMENT_NBYTES * max(curve, float(floor(start + slope * rounds)))


def overflows(window_nbytes: float, pipe_nbytes: float, buffer_nbytes: float) -> bool:
    """Say whether slow start, ending at this window, overruns a buffer that is shallow for its
    bandwidth-delay product ``pipe_nbytes``.
    """
    return window_nbytes / 2 > buffer_nbytes and 2 * buffer_nbytes < pipe_nbytes


def hystart_limit_s(rtt_s: float) -> float:
    """Return the delay variation above which HyStart sees a queue."""
    return min(max(rtt_s / 8, 0.004), 0.016)


def wake_s(down_s: float, up_s: float, rto_s: float, *, probe_s: float = 0.0) -> float:
    """Return when a sender that was cut at ``down_s`` tries again with success: its first time-out
    not before ``up_s``.

    Time-outs double up to 2 min: ``down_s + probe_s + rto·(2^k − 1)``, each with its timer's lateness;
    ``probe_s`` is when a probe of the tail restarts the first one (RFC 8985, 2021), 0 for none.
    """
    at, wait = down_s + probe_s, rto_s
    while at < up_s:
        at += wait + timer_lateness_s(wait)
        wait = min(2 * wait, MAX_RTO_S)
    return at


def probe_s(rto_s: float) -> float:
    """Return how long after the last packet the tail is probed: two round trips and two ticks, but
    not later than the time-out.
    """
    return min(PROBE_ROUNDS * (rto_s - MIN_RTO_S) + 2 * TICK_S, rto_s)


def timer_lateness_s(wait_s: float) -> float:
    """Return by how much a timer of Linux is late on average: its wheel has slots of 8, 64, 512 ...
    ticks for waits from 64, 512, 4096 ... ticks on, and a tick is 4 ms (kernel/time/timer.c).
    """
    slot = 1
    while wait_s >= WHEEL_SLOTS * slot * TICK_S:
        slot *= WHEEL_FACTOR
    return slot * TICK_S / 2 if slot > 1 else 0.0

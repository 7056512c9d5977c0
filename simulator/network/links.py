"""A link as the scenario makes it; :class:`~simulator.network.flow.LinkState` is what becomes of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A directed link.

    Args:
        bytes_per_s: capacity on the wire, headers included; ``inf`` is unlimited.
        latency_s: one way.
        loss: probability per packet.
        buffer_nbytes: queue in front of the link; None: 50 ms at full rate, 64 packets at least.
        jitter_s: mean of the extra delay of a packet, exponentially distributed.
    """

    id: str
    src: str
    dst: str
    bytes_per_s: float
    latency_s: float
    loss: float = 0.0
    buffer_nbytes: float | None = None
    jitter_s: float = 0.0

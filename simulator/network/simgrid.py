"""Tiers that share links as SimGrid does: to be checked against it, and to run scenarios under it.

A flow waits its route's latency, times a factor, using nothing; then rates are weighted max-min with
``rate · penalty`` equal, where ``penalty = latency + Σ weight_nbytes / capacity`` over the links of
its route. Every flow loads the way back with 5 % of its rate, and a full link there holds it back
as well. A flow's cap is the smaller of its slowest link's capacity at its start and
``window / (2 · latency)``. No handshake, no slow start, no loss, no queue; the last byte arrives
when it leaves.

Sources: LV08: P. Velho, A. Legrand, "Accuracy study and improvement of network simulation in the
SimGrid framework", SIMUTools 2009. CM02: H. Casanova, L. Marchal, "A network model for simulation
of grid application", INRIA report RR-4596, 2002. SimGrid 3.32 manual, "SimGrid models".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from simulator.network.flow import Flow, LinkState, Path

CROSS_TRAFFIC = 0.05
"""Load on the way back per byte of payload on the way there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One of SimGrid's settings of its network model."""

    latency_factor: float
    bandwidth_factor: float  # payload per byte of a link's capacity
    weight_nbytes: float  # "weight-S": how much a slow link on its route costs a flow's share


MODELS: dict[str, Model] = {
    "simgrid": Model(latency_factor=13.01, bandwidth_factor=0.97, weight_nbytes=20537.0),
    "simgrid-cm02": Model(latency_factor=1.0, bandwidth_factor=1.0, weight_nbytes=0.0),
}
"""By tier."""


def measure(there: Sequence[LinkState], back: Sequence[LinkState], *, model: Model, window: float) -> Path:
    """Return the facts of a path; ``window`` in bytes is SimGrid's TCP-gamma.

    A route without latency has the penalty 1, as in SimGrid, which weighs such flows alike.
    """
    latency_s = sum([state.latency_s for state in there])
    slowest = min(there, key=lambda state: (state.capacity, state.link.id))
    penalty_s = latency_s + sum([model.weight_nbytes / state.bytes_per_s for state in there])
    return Path(
        links=tuple(there),
        back=tuple(back),
        one_way_s=0.0,
        rtt_s=latency_s + sum([state.latency_s for state in back]),
        jitter_s=0.0,
        loss=0.0,
        capacity=slowest.capacity,
        buffer_nbytes=slowest.buffer_nbytes,
        queue_s=0.0,
        weight=1 / penalty_s if latency_s > 0 else 1.0,
        connect_s=model.latency_factor * latency_s,
        hops=tuple([state.index for state in (*there, *back)]),
        loads=(1.0,) * len(there) + (CROSS_TRAFFIC,) * len(back),
        num_loaded=len(there) + len(back),
        limit=model.bandwidth_factor * window / (2 * latency_s) if latency_s > 0 else inf,
    )


def hold(flow: Flow, now: float) -> None:
    """Set a flow's cap: its slowest link of when it first sent, and the window."""
    if flow.ceiling == inf:
        flow.ceiling = flow.path.capacity
    flow.cap = min(flow.ceiling, flow.path.limit)

"""Fair shares of flows that start together, as a pure function."""

from collections.abc import Sequence

from simulator.network import kernel
from simulator.network.rows import CAP, FREE, NUM_HOPS, NUM_LINKS, SHARE, WEIGHT
from simulator.network.table import Table


def max_min(
    routes: Sequence[Sequence[int]],
    capacity: Sequence[float],
    weight: Sequence[float],
    cap: Sequence[float],
    loads: Sequence[Sequence[float]] | None = None,
) -> list[float]:
    """Return the weighted max-min fair rate of every flow, in the unit of ``capacity``.

    Args:
        routes: for every flow the indices of the links that it crosses, none twice.
        capacity: of every link, not negative; ``inf`` never binds.
        weight: of every flow, positive.
        cap: of every flow, not negative; ``inf`` for none. A flow with neither a cap nor a finite
            link has the rate ``inf``.
        loads: what a byte of a flow puts on each link of its route; one byte unless given.
    """
    table = Table(len(capacity))
    slots = [table.take() for _ in routes]
    for link, limit in enumerate(capacity):
        table.lf[FREE][link] = limit
    for place, (slot, route) in enumerate(zip(slots, routes, strict=True)):
        table.set_route(slot, route, loads[place] if loads else [1.0] * len(route))
        table.fi[NUM_LINKS][slot] = table.fi[NUM_HOPS][slot] = len(route)
        table.ff[WEIGHT][slot], table.ff[CAP][slot] = weight[place], cap[place]
        kernel.join(*table.all, slot)
    kernel.solve(*table.all, 0.0)
    return [table.ff[SHARE][slot] for slot in slots]

"""Who gets how much now: collects the changes of an instant and solves the part they touch."""

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Any, Protocol

import numpy as np

from simulator.network import compiled, due, kernel
from simulator.network.agenda import SAME_INSTANT
from simulator.network.flow import Flow, LinkState, Path
from simulator.network.rows import (
    ACKED,
    CAPACITY,
    DUE,
    FLIPPED,
    FREE,
    FULL,
    MEMBERS,
    NUM_HOPS,
    NUM_LINKS,
    STANDING,
    TOUCHED,
    WEIGHT,
)
from simulator.network.table import Table

COMPILED_FROM = 100_000
"""Looks at flows, from which loading the compiled kernel (half a second) pays for itself."""


class Settler(Protocol):
    """Whoever looks after flows while their shares are found: ``before`` sets the cap of a flow that
    was touched; ``after`` sees what a solution means for it, and for any other that came to be held
    back by its cap or by a link after that, and may touch flows again; ``progressed`` is told that
    a flow has nothing left before its stop; ``turned`` that links have come to hold flows back, or
    none, since :meth:`Shares.look_at_queues`. All are told the time.
    """

    before: Callable[[Flow, float], None]
    after: Callable[[Flow, float], None]
    turned: Callable[[float], None]

    def progressed(self, flow: Flow, now: float) -> None:
        """Nothing is left before the stop."""


class Shares:
    """Rates of all flows that send."""

    def __init__(self, links: Iterable[LinkState]) -> None:
        states = self._states = list(links)
        self._table = Table(len(states))
        self._kernel: Any = kernel
        self._work = 0
        self._owner: dict[int, Flow] = {}
        self._flows: dict[int, Flow] = {}
        self._links: dict[int, None] = {}
        self._acked: dict[int, None] = {}
        for index, state in enumerate(states):
            state.index = index
        self.touch_links(states)

    def admit(self, flow: Flow, nbytes: float, now: float) -> None:
        """Give a flow its place in the tables, with so many bytes to send."""
        flow.table, flow.slot = self._table, self._table.take()
        self._owner[flow.slot] = flow
        flow.remaining, flow.synced_s, flow.loss_at = nbytes, now, 0.0
        flow.cap, flow.slack, flow.ceiling = inf, 0.0, inf
        self._put(flow, flow.path)

    def dismiss(self, flow: Flow) -> None:
        """Take its place back."""
        del self._owner[flow.slot]
        self._table.give(flow.slot)

    def join(self, flow: Flow) -> None:
        """Let a flow take part."""
        table = self._table
        self._kernel.join(*table.all, flow.slot)
        self._flows[flow.id] = flow

    def leave(self, flow: Flow) -> None:
        """Take a flow out; its rate becomes zero."""
        table = self._table
        self._flows.pop(flow.id, None)
        self._kernel.leave(*table.all, flow.slot)
        indices, num_loaded = flow.path.hops.tolist(), flow.path.num_loaded
        self._links.update(dict.fromkeys(indices[:num_loaded]))
        self._acked.update(dict.fromkeys(indices[num_loaded:]))

    def repath(self, flow: Flow, path: Path, now: float, *, joined: bool) -> None:
        """Give a flow new facts of its path; ``joined`` if it takes part in the sharing."""
        moved = joined and not np.array_equal(path.hops, flow.path.hops)
        if moved:
            flow.sync(now)
            self.leave(flow)
        flow.path = path
        self._put(flow, path)
        if moved:
            self.join(flow)
        elif joined:
            self.touch(flow)

    def _put(self, flow: Flow, path: Path) -> None:
        table = self._table
        table.set_route(flow.slot, path.hops, path.loads)
        table.ff[WEIGHT][flow.slot] = path.weight
        table.fi[NUM_LINKS][flow.slot] = path.num_loaded
        table.fi[NUM_HOPS][flow.slot] = len(path.hops)

    def touch(self, flow: Flow) -> None:
        """Say that something about a flow has changed."""
        self._flows[flow.id] = flow

    def touch_links(self, links: Iterable[LinkState]) -> None:
        """Say that the capacity of links has changed."""
        for state in links:
            self._table.lf[CAPACITY][state.index] = state.capacity
            # below what any load leaves free: all flows of the link take part in the next solution
            self._table.lf[FREE][state.index] = -state.capacity if state.capacity < inf else inf
            self._links[state.index] = None

    def look_at_queues(self) -> Iterator[Flow]:
        """A queue now stands where a link holds flows back, nowhere else: yield the flows whose
        acknowledgements come to wait in one, or do not any more.
        """
        for index in self._table.copy_changes(FULL, STANDING):
            state = self._states[index]
            for flow in state.users.values():
                if flow.rate > 0 and state in flow.path.back:
                    yield flow

    def expect(self, flow: Flow, now: float) -> None:
        """Work out anew when a flow has nothing left before its stop."""
        due.expect(self._table.ff, self._table.tree, flow.slot, now)

    def settle(self, settler: Settler, now: float) -> float:
        """Solve until nothing is touched or due any more; return when the next flow is due."""
        table, limit = self._table, now * SAME_INSTANT
        while True:
            due_s = table.ff[DUE][table.tree[1]]
            if due_s <= limit:
                for flow in self._listed(self._kernel.ripe(*table.all, limit)):
                    settler.progressed(flow, now)
            elif self._flows or self._links or self._acked:
                self._solve(settler, now)
            else:
                return due_s

    def _solve(self, settler: Settler, now: float) -> None:
        table, flows, self._flows = self._table, self._flows, {}
        for place, flow in enumerate(flows.values()):
            settler.before(flow, now)
            table.fi[MEMBERS][place] = flow.slot
        for row, links in ((TOUCHED, self._links), (ACKED, self._acked)):
            for place, link in enumerate(links):
                table.li[row][place] = link
        counts = len(flows), len(self._links), len(self._acked)
        self._links.clear()
        self._acked.clear()
        num, work, turned = self._kernel.solve(*table.all, now, *counts)
        for flow in self._listed(num):
            flows[flow.id] = flow
        for id in sorted(flows):
            settler.after(flows[id], now)
        if turned:
            settler.turned(now)
        self._work += work
        if self._work > COMPILED_FROM and self._kernel is kernel and compiled.available():
            self.compile()

    def compile(self) -> None:
        """From now on use compiled loops."""
        self._kernel = compiled.functions()
        self._table.compile()

    def _listed(self, num: int) -> list[Flow]:
        row = self._table.fi[FLIPPED]
        return sorted([self._owner[row[place]] for place in range(num)], key=_id)


def _id(flow: Flow) -> int:
    return flow.id

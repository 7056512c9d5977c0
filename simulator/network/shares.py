"""Who gets how much now: collects the changes of an instant and solves the part they touch."""

from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Protocol

from simulator.network import changes, compiled, due, kernel
from simulator.network.flow import Flow, LinkState, Path
from simulator.network.pacing import GROWTH_STEP_S, LOSSY_GROWTH_STEP_S
from simulator.network.rows import (
    BACKOFF,
    BUFFER,
    BY_DUE,
    CAP,
    CAPACITY,
    CAPPED,
    CEILING,
    CHANGE,
    CHANGED,
    DUE,
    FLIPPED,
    FLOWS,
    FREE,
    FULL_QUEUE,
    HAS_HYSTART,
    IS_CUBIC,
    IS_LOSS_BASED,
    LIMIT,
    MAX_WINDOW,
    NUM_HOPS,
    NUM_LINKS,
    PATH_RTT,
    REMAINING,
    SLACK,
    STANDS,
    STEP,
    STOP,
    SYNCED,
    TURNS,
    WEIGHT,
)
from simulator.network.table import Table
from simulator.network.window import QUEUE_FILL, Control

COMPILED_FROM = 100_000
"""Looks at flows, from which loading the compiled kernel (half a second) pays for itself."""


class Settler(Protocol):
    """Whoever looks after flows while their shares are found. ``progressed`` is told that a flow has
    nothing left before its stop. Where no rules of a congestion control are given to :class:`Shares`,
    ``before`` sets the cap of a flow that was touched, and ``after`` sees what a solution means for it,
    and for any other that came to be held back by its cap or by a link after that; it may touch flows
    again. All are told the time.
    """

    before: Callable[[Flow, float], None]
    after: Callable[[Flow, float], None]

    def progressed(self, flow: Flow, now: float) -> None:
        """Nothing is left before the stop."""


class Shares:
    """Rates of all flows that send."""

    def __init__(self, links: Iterable[LinkState]) -> None:
        states = list(links)
        self.table = Table(len(states))
        self._kernel: Any = kernel
        self._work = 0
        self._owner: dict[int, Flow] = {}
        self._is_ruled = False
        for index, state in enumerate(states):
            state.index = index
        self.touch_links(states)
        if compiled.is_loaded():
            self.compile()

    def rule(self, control: Control, max_window: float) -> None:
        """From now on windows move by themselves, by the rules of a congestion control."""
        self._is_ruled, rules = True, self.table.rules
        rules[BACKOFF], rules[MAX_WINDOW] = control.backoff, max_window
        rules[IS_CUBIC], rules[IS_LOSS_BASED] = float(control.cubic), float(control.loss_based)
        rules[HAS_HYSTART] = float(control.hystart)

    def admit(self, flow: Flow, nbytes: float, now: float) -> None:
        """Give a flow its place in the tables, with so many bytes to send."""
        table = flow.table = self.table
        slot = flow.slot = table.take()
        self._owner[slot] = flow
        ff, table.fi[CAPPED][slot] = table.ff, 0
        ff[REMAINING][slot], ff[SYNCED][slot], ff[STOP][slot] = nbytes, now, 0.0
        ff[CAP][slot], ff[CEILING][slot], ff[SLACK][slot] = inf, inf, 0.0
        self._put(flow, flow.path)

    def dismiss(self, flow: Flow) -> None:
        """Take its place back."""
        del self._owner[flow.slot]
        self.table.give(flow.slot)

    def join(self, flow: Flow) -> None:
        """Let a flow take part."""
        self._kernel.join(*self.table.all, flow.slot)

    def begin(self, flow: Flow, now: float, window: float, threshold: float, peak: float) -> None:
        """Have a flow that takes part begin slow start with a window of so many bytes, up to a threshold."""
        self._kernel.begin(*self.table.all, flow.slot, now, window, threshold, peak)

    def leave(self, flow: Flow) -> None:
        """Take a flow out; its rate becomes zero."""
        self._kernel.leave(*self.table.all, flow.slot)

    def repath(self, flow: Flow, path: Path, now: float, *, joined: bool) -> None:
        """Give a flow new facts of its path; ``joined`` if it takes part in the sharing."""
        moved = joined and path.hops != flow.path.hops
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
        table, slot = self.table, flow.slot
        table.set_route(slot, path.hops, path.loads)
        ff, table.fi[NUM_LINKS][slot], table.fi[NUM_HOPS][slot] = table.ff, path.num_loaded, len(path.hops)
        ff[WEIGHT][slot], ff[LIMIT][slot], ff[PATH_RTT][slot] = path.weight, path.limit, path.rtt_s
        ff[FULL_QUEUE][slot], ff[BUFFER][slot] = path.queue_s, path.buffer_nbytes
        ff[STEP][slot] = LOSSY_GROWTH_STEP_S if path.loss > 0 else GROWTH_STEP_S

    def touch(self, flow: Flow) -> None:
        """Say that something about a flow has changed."""
        changes.touch(self.table.fi, self.table.counts, flow.slot)

    def touch_links(self, links: Iterable[LinkState]) -> None:
        """Say that the capacity of links has changed."""
        lf = self.table.lf
        for state in links:
            index, lf[CAPACITY][state.index] = state.index, state.capacity
            lf[STANDS][index] = QUEUE_FILL * state.queue_s
            # below what any load leaves free: all flows of the link take part in the next solution
            lf[FREE][index] = -state.capacity if state.capacity < inf else inf
            changes.touch_link(self.table.li, self.table.counts, index)

    def expect(self, flow: Flow, now: float) -> None:
        """Work out anew when a flow has nothing left before its stop."""
        due.expect(self.table.ff, self.table.trees, flow.slot, now)

    def settle(self, settler: Settler, now: float, others: Callable[[], float]) -> float:
        """Solve until nothing is touched or due any more; return when there is more to do. What windows
        do by themselves before ``others`` tells that anybody else acts is done at once.
        """
        while True:
            if self._is_ruled:
                num, next_s, work = self._kernel.advance(*self.table.all, now, others())
                if work > 0:
                    self._count(work)
            else:
                num, next_s = self._solve(settler, now)
            if num == 0:
                return float(next_s)
            for flow in self._listed(num):
                settler.progressed(flow, now)

    def _solve(self, settler: Settler, now: float) -> tuple[int, float]:
        """What the kernel's ``advance`` does, with the settler's rules."""
        table = self.table
        while True:
            num = due.ripe(table.ff, table.fi, table.trees, now)
            if num > 0:
                return num, now
            if not any(table.counts[:TURNS]):
                return 0, table.ff[DUE][table.trees[BY_DUE][1]]
            slots = table.fi[CHANGED][: table.counts[FLOWS]]
            for slot in [slot for slot in slots if table.fi[CHANGE][slot] == changes.LISTED]:
                settler.before(self._owner[slot], now)
            num, work = self._kernel.solve(*table.all, now)
            for flow in self._listed(num):
                settler.after(flow, now)
            self._count(work)

    def _count(self, work: int) -> None:
        self._work += work
        if self._work > COMPILED_FROM and self._kernel is kernel and compiled.available():
            self.compile()

    def compile(self) -> None:
        """From now on use compiled loops."""
        self._kernel = compiled.functions()
        self.table.compile()

    def _listed(self, num: int) -> list[Flow]:
        row = self.table.fi[FLIPPED]
        return sorted([self._owner[row[place]] for place in range(num)], key=_id)


def _id(flow: Flow) -> int:
    return flow.id

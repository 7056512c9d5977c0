"""Faults in virtual time: what the scenario declares, at set times or drawn, each firing recorded.

Every node of every fault draws from a stream of its own, named by the fault's place in the list and
the node, so another fault or site changes nobody's draws.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from simulator.rng import stream
from simulator.scenario.faults import joins_and_leaves
from simulator.scenario.schema import FAULT_VERBS, Fault
from simulator.scenario.times import parse_distribution
from simulator.sites.world import World

UNDO = {"crash": "recover", "leave": "join", "disconnect": "reconnect"}
"""What ends a fault that lasts ``for`` a while or ``from``–``to``."""

_BEGUN = {undo: verb for verb, undo in UNDO.items()}
_STARTS = {"join", "recover"}
_NOT_YET_JOINED = -1
"""Stands among the numbers of the faults that keep a node away, until it joins."""


def verb_of(fault: Fault) -> str:
    """The one verb of a fault."""
    return next(verb for verb in FAULT_VERBS if getattr(fault, verb) is not None)


def nodes_of(fault: Fault) -> tuple[str, ...]:
    """The nodes that a fault names."""
    target = getattr(fault, verb_of(fault))
    return (target,) if isinstance(target, str) else tuple(target)


def describe(fault: Fault) -> str:
    """The fault as the scenario wrote it, in one line."""
    fields = fault.model_dump(by_alias=True, exclude_none=True)
    return "{" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}"


def absent_at_start(faults: Sequence[Fault]) -> frozenset[str]:
    """Nodes of whose joins and leaves the earliest is a join: not there when the run begins.

    The place of a line in the list matters only between lines of the same instant, which fire in
    that order. Drawn times need no comparing: the scenario was checked to draw them only for nodes
    that do nothing but join, or nothing but leave.
    """
    absent = set()
    for node in {node for fault in faults for node in nodes_of(fault)}:
        found = joins_and_leaves(faults, node)
        first = min(found, key=lambda one: one[2] or 0.0, default=None)
        if first is not None and first[1] == "join":
            absent.add(node)
    return frozenset(absent)


class Injector:
    """Fires the declared faults; :meth:`finish` adds those that never did.

    Faults of one node may overlap: it stays down while any crash or leave lasts, and disconnected
    while any disconnect does. The end of a fault ends that fault alone; a line ``recover``, ``join``
    or ``reconnect`` of its own ends every crash, leave or disconnect of its node so far.
    """

    def __init__(self, world: World, faults: Sequence[Fault]) -> None:
        self._world = world
        self._faults = faults
        self._fired: set[tuple[int, str]] = set()
        self._open: dict[tuple[str, str], float] = {}  # (node, verb) -> since when
        self._causes: dict[tuple[str, str], set[int]] = defaultdict(set)  # the faults that last
        for node in absent_at_start(faults):
            self._causes[node, "leave"].add(_NOT_YET_JOINED)
        for index, fault in enumerate(faults):
            for node in nodes_of(fault):
                if world.knows(node):
                    self._schedule(index, fault, node)

    def _schedule(self, index: int, fault: Fault, node: str) -> None:
        rng = stream(self._world.network_seed, "fault", index, node)
        verb = verb_of(fault)
        if fault.every is not None:
            self._repeat(index, verb, node, fault, rng)
        elif fault.from_ is not None:
            start, end = _draw(fault.from_, rng), _draw(fault.to, rng)
            self._at(start, index, verb, node)
            self._at(end, index, UNDO[verb], node)
        else:
            instant = _draw(fault.at, rng)
            self._at(instant, index, verb, node)
            if fault.for_ is not None:
                self._at(instant + _draw(fault.for_, rng), index, UNDO[verb], node)

    def _repeat(self, index: int, verb: str, node: str, fault: Fault, rng: np.random.Generator) -> None:
        """Draw the pause, fire, draw the length, undo, and so on for ever."""
        now = self._world.env.now

        def undo() -> None:
            self._at(self._world.env.now + _draw(fault.for_, rng), index, UNDO[verb], node, then=again)

        def again() -> None:
            self._repeat(index, verb, node, fault, rng)

        self._at(now + _draw(fault.every, rng), index, verb, node, then=undo)

    def _at(
        self, time_s: float, index: int, verb: str, node: str, then: Callable[[], None] | None = None
    ) -> None:
        """Fire at an instant; what brings a node up keeps the run alive until then."""
        world = self._world
        if verb in _STARTS:
            world.pending_starts[node] += 1

        def happen(_: object) -> None:
            if verb in _STARTS:
                world.pending_starts -= Counter([node])
            world.changed = True
            self._fire(index, verb, node)
            if then is not None:
                then()

        event = world.env.timeout(max(0.0, time_s - world.env.now))
        event.callbacks.append(happen)

    def _fire(self, index: int, verb: str, node: str) -> None:
        world = self._world
        remark = self._begin(index, verb, node) if verb in UNDO else self._end(index, verb, node)
        now = float(world.env.now)
        self._fired.add((index, node))
        world.observe(node, verb, None, None, None, {"fault": index})
        text = describe(self._faults[index])
        world.trace.faults.append((index, text, verb, node, now, "fired", remark or None))
        if verb in UNDO:
            self._open.setdefault((node, verb), now)
        elif not self._causes[node, _BEGUN[verb]]:
            since = self._open.pop((node, _BEGUN[verb]), None)
            if since is not None:
                world.trace.outages.append((node, _BEGUN[verb], since, now))

    def _begin(self, index: int, verb: str, node: str) -> str:
        """Let a fault begin; return a remark."""
        self._causes[node, verb].add(index)
        if verb == "disconnect":
            self._world.network.set_node(node, False)
            return ""
        return self._world.take_down(node, "down" if verb == "crash" else "absent")

    def _end(self, index: int, verb: str, node: str) -> str:
        """Let a fault end, or all of a kind; return a remark."""
        causes = self._causes[node, _BEGUN[verb]]
        if verb_of(self._faults[index]) == verb:
            causes.clear()
        else:
            causes.discard(index)
        others = ("disconnect",) if verb == "reconnect" else ("crash", "leave")
        lasting = [kind for kind in others if self._causes[node, kind]]
        if lasting:
            return f"a {' and a '.join(lasting)} goes on"
        if verb == "reconnect":
            self._world.network.set_node(node, True)
            return ""
        return self._world.bring_up(node)

    def finish(self) -> list[str]:
        """Close what is still open, list what never fired; return a warning for each of those."""
        world = self._world
        now = float(world.env.now)
        world.trace.outages += [
            (node, verb, since, now) for (node, verb), since in sorted(self._open.items())
        ]
        warnings = []
        for index, fault in enumerate(self._faults):
            for node in nodes_of(fault):
                row = (index, describe(fault), verb_of(fault), node, None)
                if not world.knows(node):
                    reason = f"this algorithm has no {node}"
                    world.trace.faults.append((*row, "not applicable", reason))
                elif (index, node) not in self._fired:
                    reason = f"the run ended at {now:.6g} s"
                    world.trace.faults.append((*row, "never fired", reason))
                    warnings.append(f"fault {describe(fault)} never fired for {node}: {reason}")
        return warnings


def _draw(text: str | None, rng: np.random.Generator) -> float:
    assert text is not None  # the scenario was checked
    return parse_distribution(text, "duration")(rng)

"""Faults in virtual time: what the scenario declares, at set times or drawn, each firing recorded.

Every node of every fault draws from a stream of its own, named by the fault's place in the list and
the node, so another fault or site changes nobody's draws.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from math import inf

import numpy as np

from simulator.network.conditions import Conditions
from simulator.network.influences import links_of
from simulator.network.timelines import Effect
from simulator.rng import stream
from simulator.scenario.dump import show
from simulator.scenario.faults import groups_of, joins_and_leaves
from simulator.scenario.schema import FAULT_VERBS, Fault
from simulator.scenario.targets import Tags, as_list, members
from simulator.scenario.times import parse_distribution
from simulator.sites.world import World

UNDO = {
    "crash": "recover",
    "leave": "join",
    "disconnect": "reconnect",
    "partition": "heal",
    "set": "restore",
}
"""What ends a fault that lasts ``for`` a while or ``from``–``to``. A flap is many disconnections."""

_BEGUN = {undo: verb for verb, undo in UNDO.items()}
_STARTS = {"join", "recover"}
_NOT_YET_JOINED = -1
"""Stands among the numbers of the faults that keep a node away, until it joins."""


def verb_of(fault: Fault) -> str:
    """The one verb of a fault."""
    return next(verb for verb in FAULT_VERBS if getattr(fault, verb) is not None)


def subjects_of(fault: Fault, tags: Tags) -> tuple[str, ...]:
    """What a fault happens to: nodes, links, or the groups of a partition in one text."""
    verb = verb_of(fault)
    if fault.set is not None:
        return (*members(fault.set.site, tags), *as_list(fault.set.link))
    if fault.partition is not None:
        return ("; ".join(" ".join(group) for group in groups_of(fault, tags)),)
    return members(getattr(fault, verb), tags)


def describe(fault: Fault) -> str:
    """The fault as the scenario wrote it, in one line."""
    return show(fault.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True))


def absent_at_start(faults: Sequence[Fault], tags: Tags) -> frozenset[str]:
    """Nodes of whose joins and leaves the earliest is a join: not there when the run begins.

    The place of a line in the list matters only between lines of the same instant, which fire in
    that order. Drawn times need no comparing: the scenario was checked to draw them only for nodes
    that do nothing but join, or nothing but leave.
    """
    absent = set()
    named = (members(verb, tags) for fault in faults for verb in (fault.join, fault.leave))
    for node in {node for nodes in named for node in nodes}:
        found = joins_and_leaves(faults, node, tags)
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

    def __init__(self, world: World, faults: Sequence[Fault], tags: Tags, links: Conditions) -> None:
        self._world = world
        self._faults = faults
        self._tags = tags
        self._links = links
        self._fired: set[tuple[int, str]] = set()
        self._open: dict[tuple[str, str], float] = {}  # (subject, verb) -> since when
        self._causes: dict[tuple[str, str], set[int]] = defaultdict(set)  # the faults that last
        for node in absent_at_start(faults, tags):
            self._causes[node, "leave"].add(_NOT_YET_JOINED)
        for index, fault in enumerate(faults):
            for subject in subjects_of(fault, tags):
                if self._applies(index, subject):
                    self._schedule(index, fault, subject)

    def _applies(self, index: int, subject: str) -> bool:
        """Whether what a fault names takes part in this run."""
        fault = self._faults[index]
        if fault.partition is not None:
            return len(set(self._groups(index).values())) > 1
        if fault.set is not None and subject in as_list(fault.set.link):
            links_of(fault.set, self._tags, self._world.network.links, f"faults.{index}.set")
            return True
        return self._world.knows(subject)

    def _schedule(self, index: int, fault: Fault, node: str) -> None:
        rng = stream(self._world.network_seed, "fault", index, node)
        verb = verb_of(fault)
        if fault.every is not None:
            self._repeat(index, verb, node, fault, rng)
            return
        begin_s, end_s = _draw(fault.at if fault.from_ is None else fault.from_, rng), inf
        if fault.to is not None:
            end_s = _draw(fault.to, rng)
        elif fault.for_ is not None:
            end_s = begin_s + _draw(fault.for_, rng)
        if verb == "flap":
            self._call(begin_s, partial(self._flap, index, node, end_s, rng))
            return
        self._at(begin_s, index, verb, node)
        if end_s < inf:
            self._at(end_s, index, UNDO[verb], node)

    def _repeat(self, index: int, verb: str, node: str, fault: Fault, rng: np.random.Generator) -> None:
        """Draw the pause, fire, draw the length, undo, and so on for ever."""

        def begin() -> None:
            end_s = self._world.env.now + _draw(fault.for_, rng)
            if verb == "flap":
                self._flap(index, node, end_s, rng)
                self._call(end_s, again)
            else:
                self._at(end_s, index, UNDO[verb], node, then=again)

        def again() -> None:
            self._repeat(index, verb, node, fault, rng)

        begin_s = self._world.env.now + _draw(fault.every, rng)
        if verb == "flap":
            self._call(begin_s, begin)
        else:
            self._at(begin_s, index, verb, node, then=begin)

    def _flap(self, index: int, node: str, end_s: float, rng: np.random.Generator) -> None:
        """Disconnect now, reconnect after a while, and so on until the end."""
        fault, now = self._faults[index], float(self._world.env.now)

        def pause() -> None:
            next_s = float(self._world.env.now) + _draw(fault.up, rng)
            if next_s < end_s:
                self._call(next_s, partial(self._flap, index, node, end_s, rng))

        self._fire(index, "disconnect", node)
        self._at(min(now + _draw(fault.down, rng), end_s), index, "reconnect", node, then=pause)

    def _call(self, time_s: float, action: Callable[[], None]) -> None:
        event = self._world.env.timeout(max(0.0, time_s - self._world.env.now))
        event.callbacks.append(lambda _: action())

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
        if verb in {"set", "restore"}:
            return  # nothing is out
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
            self._world.set_line(node, False)
            return ""
        if verb == "partition":
            self._world.network.part(index, self._groups(index))
            return ""
        if verb == "set":
            return self._set(index, node)
        return self._world.take_down(node, "down" if verb == "crash" else "absent")

    def _end(self, index: int, verb: str, node: str) -> str:
        """Let a fault end, or all of a kind; return a remark."""
        if verb == "heal":
            self._causes[node, "partition"].discard(index)
            self._world.network.heal(index)
            return ""
        if verb == "restore":
            return self._restore(index, node)
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
            self._world.set_line(node, True)
            return ""
        return self._world.bring_up(node)

    def _groups(self, index: int) -> dict[str, int]:
        """The group of every node under a partition; those that are in none are in one more."""
        groups = groups_of(self._faults[index], self._tags)
        of = {node: number for number, group in enumerate(groups) for node in group}
        return {node: of.get(node, len(groups)) for node in sorted({*self._world.nodes, *self._world.relays})}

    def _set(self, index: int, subject: str) -> str:
        setting = self._faults[index].set
        assert setting is not None
        effect = Effect(bytes_per_s=setting.bandwidth, latency_s=setting.latency, loss=setting.loss)
        for link in self._links_of(index, subject):
            self._links.hold(link, index, effect)
        if setting.speed is not None:
            self._world.nodes[subject].set_speed(index, setting.speed)
        return ""

    def _restore(self, index: int, subject: str) -> str:
        setting = self._faults[index].set
        assert setting is not None
        for link in self._links_of(index, subject):
            self._links.release(link, index)
        if setting.speed is not None:
            self._world.nodes[subject].set_speed(index, None)
        return ""

    def _links_of(self, index: int, subject: str) -> list[str]:
        setting = self._faults[index].set
        if setting is None or (setting.bandwidth, setting.latency, setting.loss) == (None, None, None):
            return []
        links = self._world.network.links
        return links_of(setting, self._tags, links, f"faults.{index}.set")[subject]

    def finish(self) -> list[str]:
        """Close what is still open, list what never fired; return a warning for each of those."""
        world = self._world
        now = float(world.env.now)
        world.trace.outages += [
            (node, verb, since, now) for (node, verb), since in sorted(self._open.items())
        ]
        warnings = []
        for index, fault in enumerate(self._faults):
            for node in subjects_of(fault, self._tags):
                row = (index, describe(fault), verb_of(fault), node, None)
                if not self._applies(index, node):
                    reason = f"this algorithm has no {node}"
                    if fault.partition is not None:
                        reason = "all that take part are in one group"
                    world.trace.faults.append((*row, "not applicable", reason))
                elif (index, node) not in self._fired:
                    reason = f"the run ended at {now:.6g} s"
                    world.trace.faults.append((*row, "never fired", reason))
                    warnings.append(f"fault {describe(fault)} never fired for {node}: {reason}")
        return warnings


def _draw(text: str | None, rng: np.random.Generator) -> float:
    assert text is not None  # the scenario was checked
    return parse_distribution(text, "duration")(rng)

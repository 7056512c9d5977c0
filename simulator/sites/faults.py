"""Faults in virtual time: what the scenario declares, at set times or drawn, each firing recorded.

Every node of every fault draws from a stream of its own, named by the fault's place in the list and
the node, so another fault or site changes nobody's draws.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf

import numpy as np

from simulator.network.conditions import Conditions
from simulator.rng import stream
from simulator.scenario.dump import show
from simulator.scenario.faults import groups_of, joins_and_leaves
from simulator.scenario.kinds import per_second
from simulator.scenario.schema import FAULT_VERBS, Fault
from simulator.scenario.targets import Tags, as_list, members
from simulator.scenario.times import parse_distribution
from simulator.sites.fault_acts import BEGUN, UNDO, Acts
from simulator.sites.world import World

_STARTS = {"join", "recover"}
_NO_OUTAGE = {"set", "straggle", "corrupt", "fail_over"}
_STATUS = {True: "fired", False: "no effect"}


def verb_of(fault: Fault) -> str:
    """The one verb of a fault."""
    return next(verb for verb in FAULT_VERBS if getattr(fault, verb) is not None)


def subjects_of(fault: Fault, tags: Tags) -> tuple[str, ...]:
    """What a fault happens to: nodes, links, or the groups of a partition in one text."""
    where = fault.set or fault.corrupt
    if where is not None:
        return (*members(where.site, tags), *as_list(where.link))
    if fault.partition is not None:
        return ("; ".join(" ".join(group) for group in groups_of(fault, tags)),)
    return members(getattr(fault, verb_of(fault)), tags)


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
    """Fires the declared faults; :meth:`finish` adds those that never did, or did nothing."""

    def __init__(self, world: World, faults: Sequence[Fault], tags: Tags, links: Conditions) -> None:
        self._world = world
        self._faults = faults
        self._texts = [describe(fault) for fault in faults]
        self._tags = tags
        self._acts = Acts(world, faults, tags, links, absent_at_start(faults, tags))
        self._happens: dict[tuple[int, str], bool] = {}  # whether the last firing had an effect
        self._had_effect: dict[tuple[int, str], bool] = {}  # whether any had
        self._remarks: dict[tuple[int, str], str] = {}  # why it had none
        self._open: dict[tuple[str, str], float] = {}  # (subject, verb) -> since when
        for index, fault in enumerate(faults):
            for subject in subjects_of(fault, tags):
                if not self._why_not(index, subject):
                    self._schedule(index, fault, subject)

    def _why_not(self, index: int, subject: str) -> str:
        """Why a fault cannot happen in this run; an empty text if it can."""
        fault, world = self._faults[index], self._world
        if fault.partition is not None:
            is_whole = len(set(self._acts.groups(index).values())) < 2
            return "all that take part are in one group" if is_whole else ""
        where = fault.set or fault.corrupt
        if where is not None and subject in as_list(where.link):
            return "" if subject in world.network.links else f"this algorithm has no {subject}"
        if fault.fail_over is not None and not world.succession.is_machine(subject):
            return "this algorithm has no server"
        return "" if world.knows(subject) else f"this algorithm has no {subject}"

    # -- when -----------------------------------------------------------------------------------------

    def _schedule(self, index: int, fault: Fault, node: str) -> None:
        rng = stream(self._world.network_seed, "fault", index, node)
        verb = verb_of(fault)
        if fault.every is not None:
            self._repeat(index, verb, node, rng, 0.0)
            return
        begin_s, end_s = _draw(fault.at if fault.from_ is None else fault.from_, rng), inf
        if fault.to is not None:
            end_s = _draw(fault.to, rng)
        elif fault.for_ is not None:
            end_s = begin_s + _draw(fault.for_, rng)
        if verb == "flap":
            self._call(begin_s, partial(self._flap, index, node, end_s, rng))
            return
        if verb == "churn":
            self._churn(index, node, begin_s, end_s, rng)
            return
        self._at(begin_s, index, verb, node)
        if end_s < inf:
            self._at(end_s, index, UNDO[verb], node)

    def _repeat(self, index: int, verb: str, node: str, rng: np.random.Generator, base_s: float) -> None:
        """Draw the pause, fire, draw the length, undo, and so on for ever. ``base_s`` is when the last one
        ended, or would have ended without jitter.
        """
        fault = self._faults[index]
        due_s = base_s + _draw(fault.every, rng)
        begin_s = due_s
        if fault.jitter is not None:
            begin_s = max(self._world.now, due_s + _draw(fault.jitter, rng) * float(rng.uniform(-1, 1)))

        def begin() -> None:
            lasts_s = _draw(fault.for_, rng)
            again = partial(self._repeat, index, verb, node, rng, due_s + lasts_s)
            end_s = begin_s + lasts_s
            if verb == "flap":
                self._flap(index, node, end_s, rng)
                self._call(end_s, again)
            else:
                self._at(end_s, index, UNDO[verb], node, then=again)

        if verb == "flap":
            self._call(begin_s, begin)
        else:
            self._at(begin_s, index, verb, node, then=begin)

    def _flap(self, index: int, node: str, end_s: float, rng: np.random.Generator) -> None:
        """Disconnect now, reconnect after a while, and so on until the end."""
        fault, now = self._faults[index], self._world.now

        def pause() -> None:
            next_s = self._world.now + _draw(fault.up, rng)
            if next_s < end_s:
                self._call(next_s, partial(self._flap, index, node, end_s, rng))

        self._fire(index, "disconnect", node)
        self._at(min(now + _draw(fault.down, rng), end_s), index, "reconnect", node, then=pause)

    def _churn(self, index: int, node: str, since_s: float, end_s: float, rng: np.random.Generator) -> None:
        """Let a site leave at random until the end; a newcomer in its place may leave as well."""
        fault = self._faults[index]
        assert fault.rate is not None  # the scenario was checked
        leave_s = since_s + float(rng.exponential(1 / per_second(fault.rate)))
        if leave_s >= end_s:
            return
        if fault.replacement is None:
            self._at(leave_s, index, "leave", node)
            return
        join_s = leave_s + _draw(fault.replacement, rng)
        again = partial(self._churn, index, node, join_s, end_s, rng)
        self._at(leave_s, index, "leave", node)
        self._at(join_s, index, "join", node, then=again)

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

        def happen() -> None:
            if verb in _STARTS:
                world.pending_starts -= Counter([node])
            world.changed = True
            self._fire(index, verb, node)
            if then is not None:
                then()

        self._call(time_s, happen)

    # -- what -----------------------------------------------------------------------------------------

    def _fire(self, index: int, verb: str, node: str) -> None:
        world, place, begins = self._world, (index, node), verb not in BEGUN
        own_line = verb == verb_of(self._faults[index])
        if begins:
            remark = self._acts.begin(index, verb, node)
        else:
            remark = self._acts.end(index, verb, node, all_of_them=own_line)
            self._mark_as_felt(self._acts.felt_from_now(node, verb, remark), node)
        if begins or own_line:
            self._happens[place] = not remark or remark.endswith("goes on")
            self._had_effect[place] = self._had_effect.get(place, False) or self._happens[place]
            self._remarks[place] = remark
        status = _STATUS[self._happens[place]]
        if not self._happens[place]:
            remark = remark or self._remarks[place]  # the end of what did nothing does nothing either
        world.observe(node, verb, None, None, None, {"fault": index})
        world.trace.faults.append((index, self._texts[index], verb, node, world.now, status, remark or None))
        self._note_outage(verb, node)

    def _mark_as_felt(self, felt: Sequence[int], node: str) -> None:
        """What began while its node was away has an effect after all: it outlasts the absence."""
        rows = self._world.trace.faults
        for index in felt:
            if self._happens.get((index, node), True):
                continue
            self._happens[index, node] = self._had_effect[index, node] = True
            last = next(
                at for at in reversed(range(len(rows))) if (rows[at][0], rows[at][3]) == (index, node)
            )
            rows[last] = (*rows[last][:5], _STATUS[True], "began while it was away")

    def _note_outage(self, verb: str, node: str) -> None:
        kind, now = BEGUN.get(verb, verb), self._world.now
        if kind in _NO_OUTAGE:
            return
        if verb == kind:
            self._open.setdefault((node, kind), now)
        elif not self._acts.lasts(node, kind):
            since = self._open.pop((node, kind), None)
            if since is not None:
                self._world.trace.outages.append((node, kind, since, now))

    # -- what did not happen ----------------------------------------------------------------------------

    def finish(self) -> list[str]:
        """Close what is still open, list what never fired; return a warning for each fault and node that
        it had no effect on.
        """
        trace, now = self._world.trace, self._world.now
        trace.outages += [(node, verb, since, now) for (node, verb), since in sorted(self._open.items())]
        self._undamaged()
        warnings: list[str] = []
        for index, fault in enumerate(self._faults):
            found = list(self._unfired(index, fault))
            # of a churn nobody knows whom it takes: one that takes somebody has happened
            if fault.churn is None or len(found) == len(subjects_of(fault, self._tags)):
                warnings += [text for text in found if text]
        return warnings

    def _unfired(self, index: int, fault: Fault) -> Iterator[str]:
        """Write what did not happen into the table; yield a warning for each."""
        for node in subjects_of(fault, self._tags):
            place, row = (index, node), (index, self._texts[index], verb_of(fault), node, None)
            reason = self._why_not(index, node)
            if reason:
                self._world.trace.faults.append((*row, "not applicable", reason))
                yield ""
            elif place not in self._had_effect:
                reason = f"the run ended at {self._world.now:.6g} s"
                self._world.trace.faults.append((*row, "never fired", reason))
                yield f"fault {self._texts[index]} never fired for {node}: {reason}"
            elif not self._had_effect[place]:
                yield f"fault {self._texts[index]} had no effect on {node}: {self._remarks[place]}"

    def _undamaged(self) -> None:
        """A corruption that nothing met, or that chance spared all of, had no effect."""
        for place, had_effect in self._had_effect.items():
            is_corrupt = self._faults[place[0]].corrupt is not None
            if is_corrupt and had_effect and not self._world.network.damage.count[place]:
                self._had_effect[place] = False
                self._remarks[place] = "nothing was damaged"
                rows = self._world.trace.faults
                for number, row in enumerate(rows):
                    if (row[0], row[3]) == place:
                        rows[number] = (*row[:5], _STATUS[False], "nothing was damaged")


def _draw(text: str | None, rng: np.random.Generator) -> float:
    assert text is not None  # the scenario was checked
    return parse_distribution(text, "duration")(rng)

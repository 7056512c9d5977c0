"""Machines that come and go as their availability says: their lines, up and down in virtual time."""

from collections.abc import Mapping

from simulator.scenario.schema import NodeSpec
from simulator.sites.compute import Calendar
from simulator.sites.world import World

_CAUSE = "availability"


class Presences:
    """Takes lines down while their machines are unavailable, where that means so; work pauses by itself
    (:class:`~simulator.sites.compute.Processor`).
    """

    def __init__(self, world: World, specs: Mapping[str, NodeSpec]) -> None:
        self._world = world
        self._away_since: dict[str, float] = {}
        for name, spec in sorted(specs.items()):
            if spec.availability is not None and spec.availability.means != "compute-only":
                calendar = Calendar.from_spec(spec.availability)
                if not calendar.is_open(0.0):
                    self._set(name, False)
                self._wait(name, calendar)

    def _wait(self, name: str, calendar: Calendar) -> None:
        world = self._world
        at_s, opens = calendar.next_change(world.now)
        if at_s == float("inf"):
            return

        def change(_: object) -> None:
            if opens == (name in self._away_since):
                self._set(name, opens)
            self._wait(name, calendar)

        world.env.timeout(max(0.0, at_s - world.now)).callbacks.append(change)

    def _set(self, name: str, opens: bool) -> None:
        world = self._world
        world.set_line(name, opens, _CAUSE)
        world.observe(name, "available" if opens else "unavailable", None, None, None, {})
        if opens:
            world.trace.outages.append((name, "unavailable", self._away_since.pop(name), world.now))
        else:
            self._away_since[name] = world.now

    def finish(self) -> None:
        """Close what is still open."""
        rows = [(name, "unavailable", since, self._world.now) for name, since in self._away_since.items()]
        self._world.trace.outages += sorted(rows)

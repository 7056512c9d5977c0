"""What conditions did in a run: outages and events in the trace, and a row for each line and link."""

from simulator.network.conditions import Conditions, Influence
from simulator.network.influences import build_influences
from simulator.rng import stream
from simulator.scenario.conditions import Condition
from simulator.scenario.dump import show
from simulator.scenario.schema import ScenarioBase
from simulator.scenario.targets import as_list, members, tags_of
from simulator.sites.world import World

EVENTS = {
    "trace": ("no_bandwidth", "bandwidth_back"),
    "maintenance": ("maintenance", "maintenance_over"),
    "rekey": ("rekeying", "rekeyed"),
}
"""Events at the beginning and the end of an outage, by kind of condition."""


def describe(condition: Condition) -> str:
    """The condition as the scenario wrote it, in one line; of a table its source alone."""
    fields = condition.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if fields.get("trace", {}).get("source"):
        del fields["trace"]["csv"]
    return show(fields)


class ConditionLog:
    """The conditions of a run. Hears of every outage; :meth:`finish` says which lines had no effect.

    A line of a site is one outage, though it is a link in either direction.
    """

    def __init__(self, world: World, scenario: ScenarioBase) -> None:
        self._world, self._lines = world, scenario.network.conditions
        self._tags = tags_of(scenario.sites)
        self._open: dict[tuple[int, str], float] = {}  # (line, owner) -> since when
        seed = scenario.seed.network
        network = world.network
        self._influences = tuple(
            build_influences(
                self._lines, self._tags, network.links, lambda name: stream(seed, "network", name)
            )
        )
        self.links = Conditions(network, self._influences, self.tell)

    def tell(self, influence: Influence, down: bool) -> None:
        """See :class:`simulator.network.conditions.Conditions`."""
        place, now = (influence.number, influence.owner), float(self._world.env.now)
        if down == (place in self._open):
            return
        kind = self._lines[influence.number].kind
        event = EVENTS[kind][0 if down else 1]
        self._world.observe(influence.owner, event, None, None, None, {"condition": influence.number})
        if down:
            self._open[place] = now
        else:
            self._world.trace.outages.append((influence.owner, kind, self._open.pop(place), now))

    def finish(self) -> list[str]:
        """Close open outages and write the table of conditions; return a warning for each line that
        had no effect on anything it names.
        """
        world, now = self._world, float(self._world.env.now)
        for (number, owner), since in sorted(self._open.items()):
            world.trace.outages.append((owner, self._lines[number].kind, since, now))
        warnings, late = [], f"the run ended at {now:.6g} s"
        for number, condition in enumerate(self._lines):
            row = (number, describe(condition), condition.kind)
            mine = [one for one in self._influences if one.number == number]
            for one in mine:
                end = (one.first_s, "fired", None) if one.first_s <= now else (None, "never fired", late)
                world.trace.conditions.append((*row, one.link, *end))
            named = {*members(condition.site, self._tags), *as_list(condition.link)}
            for name in sorted(named - {one.owner for one in mine}):
                world.trace.conditions.append((*row, name, None, "not applicable", f"{name} takes no part"))
            if mine and all(one.first_s > now for one in mine):
                warnings.append(f"condition {row[1]} never fired: {late}")
        return warnings

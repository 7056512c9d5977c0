"""What each verb of a fault does to nodes and lines when it fires, and when it ends."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from simulator.network.conditions import Conditions
from simulator.network.influences import links_of
from simulator.network.timelines import Effect
from simulator.scenario.conditions import Corruption, Setting
from simulator.scenario.faults import groups_of
from simulator.scenario.schema import Fault
from simulator.scenario.targets import Tags
from simulator.sites.world import World

UNDO = {
    "crash": "recover",
    "leave": "join",
    "disconnect": "reconnect",
    "partition": "heal",
    "set": "restore",
    "straggle": "catch_up",
    "corrupt": "clean",
}
"""What ends a fault that lasts ``for`` a while or ``from``–``to``. A flap is many disconnections, a churn
many leaves and joins.
"""
BEGUN = {undo: verb for verb, undo in UNDO.items()}
_NOT_YET_JOINED = -1
"""Stands among the numbers of the faults that keep a node away, until it joins."""


class Acts:
    """Does what faults say. :meth:`begin` and :meth:`end` return why nothing happened, or an empty text.

    Faults of one node may overlap: it stays down while any crash or leave lasts, and disconnected
    while any disconnect does. The end of a fault ends that fault alone; a line ``recover``, ``join``
    or ``reconnect`` of its own ends every crash, leave or disconnect of its node so far.
    """

    def __init__(
        self, world: World, faults: Sequence[Fault], tags: Tags, links: Conditions, absent: Iterable[str]
    ) -> None:
        self._world, self._faults, self._tags, self._links = world, faults, tags, links
        self._causes: dict[tuple[str, str], set[int]] = defaultdict(set)  # the faults that last
        for node in absent:
            self._causes[node, "leave"].add(_NOT_YET_JOINED)
        self._begin: Mapping[str, Callable[[int, str], str]] = {
            "crash": lambda _, node: world.take_down(node, "down"),
            "leave": lambda _, node: world.take_down(node, "absent"),
            "disconnect": self._disconnect,
            "partition": self._part,
            "set": self._set,
            "straggle": self._straggle,
            "corrupt": self._corrupt,
            "fail_over": lambda _, node: world.succession.hand_over(node),
        }

    def begin(self, index: int, verb: str, subject: str) -> str:
        """Let a fault begin."""
        self._causes[subject, verb].add(index)
        return self._begin[verb](index, subject)

    def end(self, index: int, verb: str, subject: str, *, all_of_them: bool) -> str:
        """Let a fault end, or all of its kind."""
        causes = self._causes[subject, BEGUN[verb]]
        if verb == "heal":
            self._world.network.heal(index)
            self._world.succession.look()
        elif verb == "clean":
            self._world.network.damage.end((index, subject))
        elif verb in {"restore", "catch_up"}:
            self._restore(index, subject)
        elif verb == "reconnect" and not causes:
            return "was not disconnected"
        if all_of_them:
            causes.clear()
        else:
            causes.discard(index)
        if verb not in {"recover", "join", "reconnect"}:
            return ""
        others = ("disconnect",) if verb == "reconnect" else ("crash", "leave")
        lasting = [kind for kind in others if self._causes[subject, kind]]
        if lasting:
            return f"a {' and a '.join(lasting)} goes on"
        if verb == "reconnect":
            self._world.set_line(subject, True)
            return ""
        node = self._world.nodes.get(subject)
        if self._faults[index].churn is not None and node is not None and node.state in {"down", "absent"}:
            node.durable.clear()  # somebody else, in the same place
        return self._world.bring_up(subject)

    def lasts(self, subject: str, verb: str) -> bool:
        """Whether any fault of this kind lasts."""
        return bool(self._causes[subject, verb])

    def felt_from_now(self, subject: str, verb: str, remark: str) -> list[int]:
        """The faults that a node feels once ``verb`` took another one away, with what that returned."""
        if verb not in {"recover", "join", "reconnect"}:
            return []
        felt: tuple[str, ...] = () if remark else ("disconnect", "straggle", "set")
        if remark.endswith("goes on"):
            felt = ("disconnect",) if verb == "reconnect" else ("crash", "leave")
        return sorted(index for kind in felt for index in self._causes[subject, kind] - {_NOT_YET_JOINED})

    def groups(self, index: int) -> dict[str, int]:
        """The group of every node under a partition; those that are in none are in one more."""
        groups = groups_of(self._faults[index], self._tags)
        of = {node: number for number, group in enumerate(groups) for node in group}
        machines = {*self._world.machines, *self._world.relays}
        return {node: of.get(node, len(groups)) for node in sorted(machines)}

    def links(self, index: int, subject: str) -> list[str]:
        """The links that a line ``set`` or ``corrupt`` is about, of what it names."""
        fault = self._faults[index]
        where = fault.corrupt or fault.set
        assert where is not None
        return links_of(where, self._tags, self._world.network.links)[subject]

    def _disconnect(self, index: int, node: str) -> str:
        self._world.set_line(node, False)
        return self._world.why_gone(node)

    def _part(self, index: int, _: str) -> str:
        groups = self.groups(index)
        self._world.network.part(index, groups)
        self._world.succession.look()
        there = {group for node, group in groups.items() if not self._world.why_gone(node)}
        return "" if len(there) > 1 else "all that are left are in one group"

    def _straggle(self, index: int, node: str) -> str:
        factor = self._faults[index].factor
        assert factor is not None  # the scenario was checked
        self._world.set_speed(node, index, 1 / factor)
        return self._world.why_gone(node)

    def _corrupt(self, index: int, subject: str) -> str:
        what = self._faults[index].corrupt
        assert isinstance(what, Corruption)
        damage, links = self._world.network.damage, self.links(index, subject)
        damage.begin((index, subject), links, what.probability)
        return ""

    def _set(self, index: int, subject: str) -> str:
        setting = self._faults[index].set
        assert setting is not None
        effect = Effect(bytes_per_s=setting.bandwidth, latency_s=setting.latency, loss=setting.loss)
        for link in self._links_set(index, subject, setting):
            self._links.hold(link, index, effect)
        if setting.speed is not None:
            self._world.set_speed(subject, index, setting.speed)
        return self._world.why_gone(subject) if subject in self._world.machines else ""

    def _restore(self, index: int, subject: str) -> None:
        setting = self._faults[index].set
        if setting is not None:
            for link in self._links_set(index, subject, setting):
                self._links.release(link, index)
        if setting is None or setting.speed is not None:
            self._world.set_speed(subject, index, None)

    def _links_set(self, index: int, subject: str, setting: Setting) -> list[str]:
        if (setting.bandwidth, setting.latency, setting.loss) == (None, None, None):
            return []
        return self.links(index, subject)

"""Who the server is: replicas of its durable state, and a standby that takes over when it is out of reach.

A standby at a site is a second role on that site's machine, ``server@<site>``: it shares the site's line
and its fate. Replicas are exact copies of what outcomes hold, as files are, so they cost the bytes of an
fp32 model whatever the codec is. That everybody learns of a new server at one instant stands for an
address that moves with the role (a floating IP address, a name with a short time to live).
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import simpy

from simulator.api import Message, Ref
from simulator.scenario.topologies import MACHINES

if TYPE_CHECKING:
    from simulator.sites.node import NodeRuntime
    from simulator.sites.world import World

WAITING = "waiting"
"""State of a standby whose turn has not come."""


def role_at(machine: str) -> str:
    """The node that is the server on a machine: the machine itself, or a second role at a site."""
    return machine if machine in MACHINES else f"server@{machine}"


@dataclass(slots=True, kw_only=True)
class _Replica:
    """What a standby has of the server's state, and what is on its way to it."""

    held: dict[str, Any] = field(default_factory=dict)
    wanted: dict[str, Any] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    busy: bool = False


class Succession:
    """The server of a run and its standbys, which are node names in the order of succession.

    ``acting`` is the server now, empty for methods without one.
    """

    def __init__(self, world: "World", detect_after_s: float) -> None:
        self._world, self._detect_after_s = world, detect_after_s
        self._line: tuple[str, ...] = ()
        self._machine: dict[str, str] = {}
        self._replicas: dict[str, _Replica] = {}
        self._silence = 0  # numbers the times that the server fell silent; timers of earlier ones are stale
        self._is_vacant = False
        self._promised = ""  # who takes over as soon as it has what the server left
        self.acting = ""
        self.is_detecting = False

    def install(self, machines: Sequence[str]) -> None:
        """Make known the machines of the server and of its standbys, in this order."""
        self._line = tuple(role_at(machine) for machine in machines)
        self._machine = dict(zip(self._line, machines, strict=True))
        self.acting = self._line[0]
        if len(self._line) > 1:
            self._replicas = {name: _Replica() for name in self._line}
            for name in self._line:
                self._world.nodes[name].watchers.append(self.replicate)

    # -- what the world asks ----------------------------------------------------------------------

    def machine_of(self, node: str) -> str:
        """The machine that a node runs on, by which the network knows it."""
        return self._machine.get(node, node)

    def is_machine(self, machine: str) -> bool:
        """Whether the server may run there."""
        return role_at(machine) in self._machine

    def is_server(self, node: str) -> bool:
        """Whether a node is the server, was it or may become it."""
        return node in self._machine

    def on(self, machine: str) -> list["NodeRuntime"]:
        """The nodes of a machine: its own, and a second role."""
        names = [machine, role_at(machine)] if role_at(machine) != machine else [machine]
        return [self._world.nodes[name] for name in names if name in self._world.nodes]

    def deliver(self, message: Message, dst: str) -> None:
        """Hand a message to a node, unless it is from a server that another one has replaced."""
        if self.is_server(message.src) and message.src != self.acting:
            self._world.observe(dst, "refused", message.header.get("round"), None, message.src, {})
        else:
            self._world.nodes[dst].deliver(message)

    def begin(self, node: "NodeRuntime") -> None:
        """Start a node, or have it wait for its turn."""
        if self.is_server(node.name) and (node.name != self.acting or self._promised):
            node.state = WAITING
        else:
            node.start()

    # -- who is the server -------------------------------------------------------------------------

    def look(self) -> None:
        """Something has happened to a node: notice a server that fell silent, or is back in time."""
        if len(self._line) < 2 or self._promised or self._world.nodes[self.acting].state == "done":
            return
        if self._is_there(self.acting) and self._heir() is None:
            self._silence += 1
            self.is_detecting = self._is_vacant = False
            self.replicate(self._world.nodes[self.acting])  # to a standby that is back
        elif self._is_vacant:
            self._succeed()
        elif not self.is_detecting:
            self.is_detecting = True
            self._silence += 1
            number = self._silence
            timer = self._world.env.timeout(self._detect_after_s)
            timer.callbacks.append(lambda _: self._detected(number))

    def hand_over(self, machine: str) -> str:
        """Stop the server, and let a standby take over as soon as it has what that one left; return why
        nothing happened, or an empty text.
        """
        name = role_at(machine)
        if name == self.acting:
            return "is the server already"
        if self._promised:
            return "another hand-over is under way"
        old = self._world.nodes[self.acting]
        if old.state == "done":
            return "its protocol had ended"
        if not self._is_there(name) or self._are_parted(name, self.acting):
            return f"{machine} is out of reach"
        self.replicate(old)
        if old.state == "up" and self._replicas[name].busy:
            self._promised, self.is_detecting = name, True
            self._silence += 1
            self._world.payloads.forget(old.name)
            old.stop(WAITING)
        else:
            self._take_over(name)
        return ""

    def _keep_promise(self) -> None:
        """The state that the server left has arrived, or will not."""
        heir, self._promised = self._promised, ""
        self.is_detecting, self._world.changed = False, True
        if self._is_there(heir):
            self._take_over(heir)
        elif self._is_there(self.acting):
            self._world.nodes[self.acting].start()
        self.look()

    def _detected(self, number: int) -> None:
        if number == self._silence and self.is_detecting:
            self.is_detecting = False
            self._world.changed = True
            self._succeed()

    def _succeed(self) -> None:
        heir = self._heir()
        self._is_vacant = heir is None
        if heir is not None:
            self._take_over(heir)

    def _take_over(self, heir: str) -> None:
        world, old = self._world, self._world.nodes[self.acting]
        if old.state == "up":  # cut off, but running: there must not be two servers
            world.payloads.forget(old.name)
            old.stop(WAITING)
        self._silence += 1
        self.is_detecting = self._is_vacant = False
        self.acting, world.changed = heir, True
        world.observe(heir, "fail_over", None, None, old.name, {})
        world.nodes[heir].start()

    def _heir(self) -> str | None:
        """The first in the line that may take over now: if the server is gone, any; if a partition hides
        it, one whose side has more sites, so that no two take each other's place in turn.
        """
        is_gone = not self._is_there(self.acting)
        others = (name for name in self._line if name != self.acting and self._is_there(name))
        return next((name for name in others if is_gone or self._outnumbers(name)), None)

    def _outnumbers(self, name: str) -> bool:
        """Whether a partition lies between a standby and the server, with more sites on its side."""
        if not self._are_parted(name, self.acting):
            return False
        sites = [one for one in self._world.sites if self._world.nodes[one].state not in {"down", "absent"}]
        sides = [sum(not self._are_parted(end, one) for one in sites) for end in (name, self.acting)]
        return sides[0] > sides[1]

    def _are_parted(self, name: str, other: str) -> bool:
        return self._world.network.partitions.parts(self.machine_of(name), self.machine_of(other))

    def _is_there(self, name: str) -> bool:
        is_connected = self._world.network.is_connected(self.machine_of(name))
        return is_connected and self._world.nodes[name].state in {"up", WAITING}

    # -- replicas ----------------------------------------------------------------------------------

    def replicate(self, server: "NodeRuntime") -> None:
        """Send what the server has made durable to every standby that does not have it."""
        if server.name != self.acting:
            return
        others = [name for name in self._line if name != self.acting and self._is_there(name)]
        behind = [name for name in others if self._replicas[name].wanted != server.durable]
        if behind:
            state = copy.deepcopy(dict(server.durable))
            for name in behind:
                self._replicas[name].wanted = state
                if not self._replicas[name].busy:
                    self._ship(server.name, name)

    def _ship(self, src: str, dst: str) -> None:
        world, replica = self._world, self._replicas[dst]
        state, refs = replica.wanted, {ref.key: ref for ref in _refs(replica.wanted)}
        new = [refs[key] for key in sorted(refs.keys() - replica.keys)]
        transfer = world.network.transfer(
            self.machine_of(src),
            self.machine_of(dst),
            sum(world.payloads.raw_nbytes(ref) for ref in new) or world.control_nbytes,
            kind="replica",
            round=None,
            control=not new,
        )
        replica.busy = True

        def ended(outcome: simpy.Event) -> None:
            outcome.defused, replica.busy = True, False
            if outcome.ok and src == self.acting:
                replica.held, replica.keys = state, frozenset(refs)
                world.nodes[dst].durable = copy.deepcopy(state)
            else:  # lost, or from a server that was replaced: the next step of the server tries again
                replica.wanted = replica.held
            if src != self.acting:
                self.replicate(world.nodes[self.acting])
            elif outcome.ok and replica.wanted is not state:
                self._ship(src, dst)
            if self._promised == dst and not replica.busy:
                self._keep_promise()

        transfer.event.callbacks.append(ended)


def _refs(value: object) -> Iterator[Ref]:
    """All outcomes that a durable state names."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _refs(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _refs(one)
    elif is_dataclass(value):
        for part in fields(value):
            yield from _refs(getattr(value, part.name))

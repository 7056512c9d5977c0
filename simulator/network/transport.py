"""Transfers in virtual time: bulk transfers with their retries, control messages, changing links.

A bulk transfer opens a new connection (one round trip), sends at its fair share under its window,
and is there one path delay after its last byte left. No process per flow: everything is a timer of
one agenda. Times are seconds, sizes bytes of payload, rates payload bytes per second.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import simpy

from simulator.errors import TransferFailed
from simulator.network.agenda import Agenda, Timer
from simulator.network.bulk import Bulk
from simulator.network.carrier import Carrier
from simulator.network.damage import Damage
from simulator.network.flow import LinkState, Path, Transfer
from simulator.network.forwarding import forward, why_refused
from simulator.network.lines import Lines
from simulator.network.messages import DUPLICATE, TIMED_OUT, Messenger
from simulator.network.open_transfers import OpenTransfers
from simulator.network.partitions import Partitions
from simulator.network.shares import Shares
from simulator.network.simgrid import MODELS
from simulator.network.topology import Link, Topology
from simulator.network.window import CONTROLS
from simulator.record.ledger import Attempt, Ledger
from simulator.scenario.transmission import TransportSpec


class Network:
    """Moves bytes between the nodes of a topology.

    Args:
        stream: returns the network seed's stream for a purpose, from its beginning.
        ledger: gets every attempt and the bytes of every link.
    """

    def __init__(
        self,
        env: simpy.Environment,
        topology: Topology,
        spec: TransportSpec,
        *,
        stream: Callable[[str], np.random.Generator],
        ledger: Ledger,
    ) -> None:
        self._env, self._topology, self._spec, self._ledger = env, topology, spec, ledger
        self._draw = cache(lambda purpose, src, dst: stream(f"{purpose} {src}>{dst}"))
        self._open = OpenTransfers(env, topology, ledger)
        self._crashed: set[str] = set()
        self.partitions = Partitions()
        control = CONTROLS[spec.preset] if spec.tier not in MODELS else None
        self._lines = Lines(topology, spec, control)
        self._shares = Shares(self._lines.states.values())
        self._agenda = Agenda(env, self._settle)
        self.damage = Damage(spec.damage, self._draw, self._lines.states)
        self._bulk = Bulk(
            agenda=self._agenda,
            ledger=ledger,
            spec=spec,
            damage=self.damage,
            enter=self._open.attempt,
            path_of=lambda transfer: self._lines.path(transfer.src, transfer.dst),
            over=self._finish,
        )
        self._carrier = Carrier(
            agenda=self._agenda,
            shares=self._shares,
            spec=spec,
            control=control,
            draw=self._draw,
            is_parted=self.partitions.are_between,
            ended=self._bulk.ended,
        )
        self._bulk.carrier = self._carrier
        self._messenger = Messenger(
            agenda=self._agenda,
            ledger=ledger,
            spec=spec,
            draw=self._draw,
            path_of=lambda transfer: self._lines.known_path(transfer.src, transfer.dst),
            is_parted=self.partitions.are_between,
            over=self._message_over,
        )
        for link in topology.links.values():
            ledger.add_link(link.id, link.src, link.dst, link.bytes_per_s, link.latency_s)

    def _settle(self) -> float:
        return self._shares.settle(self._carrier, self._env.now, self._agenda.others)

    # -- what callers use -------------------------------------------------------------------------------

    def transfer(
        self, src: str, dst: str, nbytes: int, *, kind: str, round: int | None, control: bool,
        within_s: float | None = None,
    ) -> Transfer:  # fmt: skip
        """Send ``nbytes`` and return at once; the transfer's event tells how that ended.

        A control message needs no connection and takes no share of links. To, from or by way of a
        crashed node the transfer fails after one round trip, and anywhere when ``within_s`` are over.

        Raises:
            ScenarioError: an unknown node, or no route.
            ValueError: a negative size, or a node that sends to itself.
        """
        if nbytes < 0 or src == dst:
            raise ValueError(f"{nbytes} bytes from {src} to {dst}: need a size from 0 on and two nodes")
        route = self._topology.passage.by(src, dst)
        via = "" if route is None else route.via
        until = None if within_s is None else self._env.now + within_s
        start = partial(self._start, nbytes=nbytes, kind=kind, round=round, control=control, until=until)
        if route is None or route.forward == "cut-through":
            return start(src, dst, via)

        onward = partial(start, via, dst, "")
        return forward(start(src, via, ""), onward, via, self._crashed, self._ledger, self._env)

    def _start(
        self, src: str, dst: str, via: str, *, nbytes: int, kind: str, round: int | None, control: bool,
        until: float | None,
    ) -> Transfer:  # fmt: skip
        """One leg, or the whole where ``via`` passes it on while it comes."""
        self._lines.path(src, dst)  # what cannot be routed shows here, before anything is booked
        nodes = (src, dst, via) if via else (src, dst)
        transfer = self._open.new(nodes, nbytes, kind, round, control)
        refused = ""
        if not self._crashed.isdisjoint(nodes):
            refused = next(why_refused(name, transfer) for name in nodes if name in self._crashed)
        if control or refused:
            transfer.message = self._open.attempt(transfer, nbytes)
        if control:
            if self._messenger.send(transfer, refused=refused):
                transfer.again = self._copy(transfer).event
        elif refused:
            self._messenger.refuse(transfer, refused)
        else:
            self._bulk.attempt(transfer)
            if until is not None:
                self._agenda.at(until, self._expire, transfer)
        return transfer

    def _expire(self, transfer: Transfer) -> None:
        """The sender waits no longer."""
        if transfer in self._open:
            self._give_up(transfer, TIMED_OUT)

    def _copy(self, transfer: Transfer) -> Transfer:
        """Send a control message a second time, as the network does now and then."""
        copy = self._open.new(transfer.nodes, transfer.nbytes, transfer.kind, transfer.round, True)
        copy.is_copy = True
        copy.message = self._open.attempt(copy, copy.nbytes)
        self._messenger.send_copy(copy)
        return copy

    def path(self, src: str, dst: str) -> Path:
        """Return the way from ``src`` to ``dst`` with what is true of it now.

        Raises:
            ScenarioError: an unknown node, or no route.
        """
        return self._lines.path(src, dst)

    @property
    def overhead(self) -> float:
        """Bytes on the wire per byte of payload."""
        return 1 / self._lines.efficiency

    def set_node(self, name: str, connected: bool, cause: str = "") -> None:
        """Disconnect a node from its lines, or connect it again, for one of its causes."""
        self._set_down(self._lines.of_node(name), f"{name} {cause}", not connected)

    def is_connected(self, name: str) -> bool:
        """Whether none of a node's lines is down."""
        return not any(state.down for state in self._lines.of_node(name))

    def drop_node(self, name: str) -> None:
        """A crash: whatever the node sends, is sent or passes on fails at once, and so does all that
        starts before :meth:`revive_node`.
        """
        self._crashed.add(name)
        for transfer in self._open.at(name):
            self._give_up(transfer, why_refused(name, transfer))

    def part(self, cause: object, groups: Mapping[str, int]) -> None:
        """Part the network: between nodes of different groups nothing passes until :meth:`heal`."""
        apart = self.partitions.part(cause, groups, self._open.all())
        self._carrier.stall([flow for transfer in apart for flow in transfer.flows.values()])

    def heal(self, cause: object) -> None:
        """End what :meth:`part` began."""
        apart = self.partitions.heal(cause, self._open.all())
        self._carrier.resume([flow for transfer in apart for flow in transfer.flows.values()])

    def revive_node(self, name: str) -> None:
        """The node is back."""
        self._crashed.discard(name)

    def set_link(
        self,
        link_id: str,
        *,
        up: bool | None = None,
        bytes_per_s: float | None = None,
        latency_s: float | None = None,
        loss: float | None = None,
        cause: str = "",
    ) -> None:
        """Change a link now. It is up when no ``cause`` keeps it down.

        Raises:
            ValueError: no capacity (write ``up=False``), a negative latency, a loss outside [0, 1).
        """
        state = self._lines.states[link_id]
        if self._lines.change(state, bytes_per_s=bytes_per_s, latency_s=latency_s, loss=loss):
            self._carrier.change(
                [state], lambda flow: self._lines.known_path(flow.transfer.src, flow.transfer.dst)
            )
        if up is not None:
            self._set_down([state], cause, not up)

    def reset_link(self, link_id: str, reason: str) -> None:
        """Fail all attempts that need a link; they are made again by the policy of the transport."""
        self._carrier.reset([self._lines.states[link_id]], reason)

    # -- what conditions need -----------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual time in seconds."""
        return self._agenda.now

    def at(self, at_s: float, action: Callable[[Any], None], item: object) -> Timer:
        """Have ``action(item)`` called with the network's own events of that time."""
        return self._agenda.at(at_s, action, item)

    @property
    def links(self) -> Mapping[str, Link]:
        """All links as the scenario declares them, by id."""
        return self._topology.links

    def is_idle(self, link_id: str) -> bool:
        """Whether no attempt needs the link now."""
        return not self._lines.states[link_id].users

    def on_use(self, link_id: str, action: Callable[[], None]) -> None:
        """Have ``action`` called once, before the next transfer that needs the link."""
        self._lines.on_use[link_id] = action

    def close(self) -> None:
        """End of the run: book what is on its way as in flight, and check the ledger.

        Raises:
            MedgossipError: bytes are not conserved.
        """
        for transfer in self._open.all():
            for entry in self._halt(transfer):
                self._ledger.close(entry, self._env.now, "in_flight")
            self._bulk.book_kept(transfer, "in_flight")
        self._open.clear()
        self._agenda.close()
        self._ledger.check()

    # -- inside --------------------------------------------------------------------------------------

    def _set_down(self, states: Iterable[LinkState], cause: str, down: bool) -> None:
        changed = self._lines.set_down(states, cause, down, self._env.now)
        (self._carrier.cut if down else self._carrier.reopen)(changed)

    def _finish(self, transfer: Transfer, reason: str) -> None:
        self._bulk.book_kept(transfer, "failed" if reason else "delivered")
        self._open.remove(transfer)
        if reason:
            transfer.event.fail(TransferFailed(reason))
            transfer.event.defused = True  # nobody need listen
        else:
            transfer.event.succeed()

    def _halt(self, transfer: Transfer) -> list[Attempt]:
        """Stop what a transfer does; return its open attempts, carried bytes booked."""
        return [*self._bulk.halt(transfer), *([transfer.message] if transfer.message is not None else [])]

    def _give_up(self, transfer: Transfer, reason: str) -> None:
        for entry in self._halt(transfer):
            self._ledger.close(entry, self._env.now, "failed", reason)
        self._finish(transfer, reason)

    def _message_over(self, transfer: Transfer, reason: str) -> None:
        if reason:
            self._give_up(transfer, reason)
        elif transfer.is_copy and not self._spec.deliver_duplicates:
            self._give_up(transfer, DUPLICATE)
        elif transfer.message is not None:
            self._ledger.close(transfer.message, self._env.now, "delivered")
            self._finish(transfer, "")

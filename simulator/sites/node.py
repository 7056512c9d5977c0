"""A node: mailbox, processor, durable state, and the supervision of its protocol.

The protocol is a generator that this module drives itself instead of leaving it to a SimPy process:
a crash then closes the generator where it stands (an ``Interrupt`` is an ``Exception`` that a
protocol could swallow), and exceptions reach it unchanged.
"""

from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from simulator.api import Bundle, Learner, Message, ReceiveTimeout, Ref, Role, SiteData, Task, TransferFailed
from simulator.rng import stream
from simulator.sites.compute import Processor, extra_flop, flop
from simulator.sites.durability import Disk
from simulator.sites.workbench import Workbench

if TYPE_CHECKING:
    from simulator.sites.world import World

STATES = ("absent", "up", "down", "done", "waiting")
"""Not joined yet (or left), running, crashed, protocol ended, a standby whose turn has not come."""


class NodeRuntime:
    """One site or the server in virtual time; implements :class:`simulator.api.Node`."""

    def __init__(
        self,
        world: "World",
        name: str,
        *,
        role: Callable[..., Role],
        processor: Processor,
        data: SiteData,
        disk: Disk,
    ) -> None:
        self._world = world
        self._role = role
        self._bench, self._disk = Workbench(world.env, processor), disk
        self.name = name
        self.data = data
        self.num_cases = data.num_train
        self.durable: dict[str, Any] = {}
        self.state = "absent"
        self.waits_forever = False
        self.watchers: list[Callable[[NodeRuntime], None]] = []  # called whenever the protocol waits again
        self._protocol: Role | None = None
        self._generation = 0  # callbacks of an earlier life, or of an earlier yield, are stale
        self._mailbox: dict[str, list[tuple[float, Message]]] = {}  # with the time of arrival
        self._handlers: dict[str, Callable[[Message], None]] = {}
        self._waiting: tuple[str, simpy.Event] | None = None
        self._streams: dict[str, np.random.Generator] = {}

    # -- what the protocol may know ------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual time in seconds."""
        return float(self._world.env.now)

    @property
    def flop_per_s(self) -> float:
        """Sustained speed."""
        return self._bench.flop_per_s

    @property
    def sites(self) -> tuple[str, ...]:
        """All configured sites, sorted."""
        return self._world.sites

    @property
    def server(self) -> str:
        """The node that is the server now; empty for methods without one."""
        return self._world.server

    @property
    def neighbors_of(self) -> Mapping[str, tuple[str, ...]]:
        """The overlay: sorted peers of every site."""
        return self._world.overlay

    @property
    def peers(self) -> tuple[str, ...]:
        """This node's neighbors on the overlay; the server has none."""
        return self._world.overlay.get(self.name, ())

    @property
    def cases_of(self) -> Mapping[str, int]:
        """Training cases of every site."""
        return self._world.cases_of

    @property
    def learner(self) -> Learner:
        """The tasks that every site can do on its own."""
        return self._world.learner

    # -- verbs that take virtual time ----------------------------------------------------------

    def compute(self, task: Task, *refs: Ref, **params: Any) -> simpy.Event:
        """See :meth:`simulator.api.Node.compute`."""
        round_ = params.pop("round", None)
        _only_references("compute", refs)
        sizes = self._world.sizes_of(self.name, refs)
        cost = task.cost(self.data, sizes[0], len(refs), params)
        work_flop, extra = flop(cost, *sizes), extra_flop(cost, *sizes)
        ref = self._world.submit(task, self.name, refs, params, work_flop)
        row = [self.name, task.name, ref.key, round_]
        self._world.work.append(row)
        if self._disk.has(ref.key):
            work_flop = extra = 0.0
        event = self._bench.add(row, work_flop, extra, ref)
        event.callbacks.append(lambda _: self._disk.finished(ref.key))
        return event

    def send(self, dst: str, kind: str, ref: Ref | None = None, **header: Any) -> simpy.Event:
        """See :meth:`simulator.api.Node.send`."""
        _only_references("send", () if ref is None else (ref,))
        event = self._world.env.event()
        event.defused = True  # a protocol that does not wait for it has chosen not to know
        self._world.shipping.ship(self, dst, kind, ref, header, event)
        return event

    def receive(self, kind: str, timeout_s: float | None = None) -> simpy.Event:
        """See :meth:`simulator.api.Node.receive`."""
        event = self._world.env.event()
        event.defused = True
        box = self._mailbox.get(kind)
        if box:
            event.succeed(box.pop(0)[1])
            return event
        self._waiting = (kind, event)
        if timeout_s is None:
            self.waits_forever = self._world.changed = True
        else:
            timer = self._world.env.timeout(max(0.0, timeout_s))
            timer.callbacks.append(lambda _: self._give_up(kind, timeout_s, event))
        return event

    def sleep(self, seconds: float) -> simpy.Event:
        """See :meth:`simulator.api.Node.sleep`."""
        return self._world.env.timeout(max(0.0, seconds))

    # -- verbs that take none ------------------------------------------------------------------

    def post(self, dst: str, kind: str, ref: Ref | None = None, **header: Any) -> None:
        """See :meth:`simulator.api.Node.post`."""
        _only_references("post", () if ref is None else (ref,))
        self._world.shipping.ship(self, dst, kind, ref, header, None)

    def on(self, kind: str, handler: Callable[[Message], None]) -> None:
        """See :meth:`simulator.api.Node.on`."""
        self._handlers[kind] = handler

    def drain(self, kind: str) -> list[Message]:
        """See :meth:`simulator.api.Node.drain`; by time of arrival, equals by the sender's name."""
        return [message for _, message in self._mailbox.pop(kind, ())]

    def value(self, ref: Ref) -> Bundle:
        """See :meth:`simulator.api.Node.value`."""
        return self._world.value(ref)

    def rng(self, purpose: str) -> np.random.Generator:
        """See :meth:`simulator.api.Node.rng`."""
        if purpose not in self._streams:
            self._streams[purpose] = stream(self._world.network_seed, self.name, purpose)
        return self._streams[purpose]

    def common_rng(self, purpose: str, index: int) -> np.random.Generator:
        """See :meth:`simulator.api.Node.common_rng`."""
        return stream(self._world.network_seed, "everyone", purpose, index)

    def live_sites(self, index: int) -> tuple[str, ...]:
        """See :meth:`simulator.api.Node.live_sites`."""
        return self._world.live_sites(index)

    def record(
        self,
        event: str,
        *,
        round: int | None = None,
        model: Ref | None = None,
        peer: str | None = None,
        user: str | None = None,
        predictor: str = "",
        predictor_params: Mapping[str, Any] | None = None,
        **detail: Any,
    ) -> None:
        """See :meth:`simulator.api.Node.record`."""
        if round is not None:
            self._disk.reached(round)
        if user is not None:
            detail["user"] = user
        how = predictor, predictor_params
        self._world.observe(self.name, event, round, model, peer, detail, *how, user=user)

    # -- life cycle, driven by the world and its faults ------------------------------------------

    def start(self) -> None:
        """Begin the role, with ``durable`` as it was left."""
        self.state = "up"
        self._generation += 1
        self._bench.reset()
        self._protocol = self._role(self, self._world.settings)
        self._advance(self._generation, None, None)

    def stop(self, state: str) -> None:
        """Crash or leave: close the protocol where it stands; work in progress and mail are lost."""
        self._generation += 1
        if self.state == "up":  # what a standby holds are files
            self.durable = self._disk.after_crash(self.durable)
        if self._protocol is not None:
            self._protocol.close()
            self._protocol = None
        self.state = state
        self._world.changed = True
        self._mailbox.clear()
        self._handlers.clear()
        self._waiting = None
        self.waits_forever = False
        self.cut_work("lost")

    def cut_work(self, status: str) -> None:
        """End the records of unfinished work now; their operations are those done until now."""
        self._bench.cut(status)

    def set_speed(self, cause: object, level: float | str | None) -> None:
        """See :meth:`simulator.sites.workbench.Workbench.set_speed`."""
        self._bench.set_speed(cause, level)

    def deliver(self, message: Message) -> None:
        """Put a message into the mailbox, or hand it to the protocol that waits for it."""
        if message.kind in self._handlers:  # a site whose protocol has ended still answers
            self._handlers[message.kind](message)
        elif self.state != "up":
            return
        elif self._waiting is not None and self._waiting[0] == message.kind:
            event = self._waiting[1]
            self._waiting, self.waits_forever = None, False
            event.succeed(message)
        else:
            box = self._mailbox.setdefault(message.kind, [])
            insort(box, (self.now, message), key=lambda arrived: (arrived[0], arrived[1].src))

    def _give_up(self, kind: str, timeout_s: float, event: simpy.Event) -> None:
        if self._waiting is not None and self._waiting[1] is event:
            self._waiting = None
            event.fail(ReceiveTimeout(kind, timeout_s))

    def _resume(self, generation: int, event: simpy.Event) -> None:
        event.defused = True
        if generation == self._generation:
            self._advance(generation, event.value if event.ok else None, None if event.ok else event.value)

    def _advance(self, generation: int, value: Any, error: BaseException | None) -> None:
        """Run the protocol to its next ``yield``."""
        assert self._protocol is not None
        self._generation = generation = generation + 1
        try:
            event = self._protocol.send(value) if error is None else self._protocol.throw(error)
            while _waited_for(self.name, event).callbacks is None:  # it has already happened: no time passes
                happened = event
                if happened.ok:
                    event = self._protocol.send(happened.value)
                else:
                    event = self._protocol.throw(happened.value)
        except StopIteration:
            self._protocol = None
            self.state = "done"
            self._world.changed = True
            self._world.observe(self.name, "ended", None, None, None, {})
            return
        except TransferFailed as failure:
            # the protocol had no answer to a failed transfer: a defect of the algorithm, not of the run
            raise RuntimeError(
                f"{self.name}: the protocol let TransferFailed({failure.reason}) escape"
            ) from failure
        self._disk.save(self.durable)
        for watch in self.watchers:
            watch(self)
        event.callbacks.append(lambda happened: self._resume(generation, happened))


def _only_references(verb: str, given: Sequence[object]) -> None:
    for one in given:
        if not isinstance(one, Ref):
            missing = "; write yield before what gave it" if isinstance(one, simpy.Event) else ""
            raise TypeError(f"node.{verb} takes references to outcomes, not {type(one).__name__}{missing}")


def _waited_for(name: str, event: object) -> simpy.Event:
    if not isinstance(event, simpy.Event):
        raise TypeError(
            f"the protocol of {name} yields {event!r}; yield what node.compute, send, receive or sleep give"
        )
    return event

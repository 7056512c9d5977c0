"""The world of one run: nodes, network and work joined in virtual time, and how a run ends."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import simpy

from simulator.api import Bundle, Learner, ModelSize, Ref, Sending, Settings, SiteData, Task
from simulator.network.transport import Network
from simulator.record.trace import Observation, Trace
from simulator.scenario.outgoing import Privacy, Rogue
from simulator.scenario.topologies import SERVER
from simulator.scenario.transmission import Codec
from simulator.sites.node import NodeRuntime
from simulator.sites.outgoing import Outgoing
from simulator.sites.payloads import Payloads
from simulator.sites.shipping import Shipping
from simulator.sites.succession import WAITING, Succession
from simulator.work.executors import Executor
from simulator.work.jobs import Namer


class World:
    """Everything that protocols act on. Built by :mod:`simulator.simulation`, run once.

    Args:
        settings: the algorithm's settings, handed to every role.
        model: sizes of the network that is trained.
        sizes: sizes of the other networks, by the name that ``namer`` has for them.
        relays: who passes on what others send, without a role of their own.
        control_nbytes: size of a message without a model.
        rogues, privacy: see :class:`simulator.sites.outgoing.Outgoing`.
        detect_after_s: how long the server is out of reach before a standby takes over.
    """

    def __init__(
        self,
        *,
        env: simpy.Environment,
        network: Network,
        namer: Namer,
        executor: Executor,
        learner: Learner,
        model: ModelSize,
        sizes: Mapping[str, ModelSize],
        codec: Codec,
        settings: Settings,
        data: Mapping[str, SiteData],
        overlay: Mapping[str, tuple[str, ...]],
        relays: frozenset[str],
        network_seed: int,
        control_nbytes: int,
        rogues: Mapping[str, Rogue],
        privacy: Privacy | None,
        detect_after_s: float,
    ) -> None:
        self.env = env
        self.network = network
        self.learner = learner
        self.model = model
        self._sizes = {"": model, **sizes}
        self.settings = settings
        self.shipping = Shipping(self, getattr(settings, "sending", Sending()))  # some methods send nothing
        self.overlay = overlay
        self.relays = relays
        self.network_seed = network_seed
        self.sites = tuple(sorted(data))
        self.cases_of = {name: data[name].num_train for name in self.sites}
        self.nodes: dict[str, NodeRuntime] = {}
        self.trace = Trace()
        self.work: list[list[Any]] = []
        self.reported: set[str] = set()  # keys of tasks whose meta data belong into the trace
        self.keys: set[str] = set()
        self.pending_starts: Counter[str] = Counter()  # joins and recoveries still to come, by node
        self.changed = True  # whether the run may have come to its end
        self._namer = namer
        self._executor = executor
        self.payloads = Payloads(
            env=env,
            codec=codec,
            model=model,
            submit=lambda task, node, refs, params: self.submit(task, node, refs, params, 0.0),
            value=self.value,
            model_only=namer.model_only,
        )
        self.outgoing = Outgoing(
            rogues=rogues,
            privacy=privacy,
            submit=self._submit_alike,
            initial=lambda site: self.submit(learner.init, site, (), {}, 0.0),
            model_only=namer.model_only,
        )
        self.changes: set[str] = set()  # keys of outcomes that are changes of models
        self.control_nbytes = control_nbytes
        self.succession = Succession(self, detect_after_s)
        self._relays_down: set[str] = set()
        self._live: dict[int, tuple[str, ...]] = {}

    @property
    def now(self) -> float:
        """Virtual time in seconds."""
        return float(self.env.now)

    # -- what nodes ask for -----------------------------------------------------------------------

    @property
    def server(self) -> str:
        """The node that is the server now; empty for methods without one."""
        return self.succession.acting

    def submit(
        self, task: Task, node: str, refs: tuple[Ref, ...], params: Mapping[str, Any], work_flop: float
    ) -> Ref:
        """Name a piece of work and make it known to the executor."""
        owner = SERVER if self.succession.is_server(node) else node
        job = self._namer.job(task, owner, refs, params, work_flop)
        self._executor.submit(job)
        self.keys.add(job.key)
        self.reported |= {job.key} if task.reported else set()
        self.changes |= {job.key} if task.change else set()
        size = self._sizes[self._namer.network_of(job.key)]
        if task.payload:
            apart = task.apart(size, params) if task.apart else None
            self.payloads.declare(job.key, task.payload(size, params), apart=apart)
        elif size is not self.model:
            self.payloads.declare(job.key, (size.num_parameters, size.num_buffers), size.num_counters)
        return Ref(job.key, task.name, node)

    def _submit_alike(self, task: Task, node: str, refs: tuple[Ref, ...], params: Mapping[str, Any]) -> Ref:
        """Make work known that takes no time and whose outcome is as large as its first input."""
        ref = self.submit(task, node, refs, params, 0.0)
        self.payloads.declare_like(ref.key, refs[0])
        now = float(self.env.now)
        self.work.append([node, task.name, ref.key, None, now, now, "done", 0.0, 0.0, 0.0])
        return ref

    def sizes_of(self, node: str, refs: tuple[Ref, ...]) -> list[ModelSize]:
        """Sizes of the networks of a task's inputs, and where these are fewer than two, of the node's own."""
        names = [self._namer.network_of(ref.key) for ref in refs]
        return [self._sizes[name] for name in (*names, *[self._namer.own.get(node, "")] * (2 - len(names)))]

    def value(self, ref: Ref) -> Bundle:
        """The outcome itself; waits in wall time."""
        return self._executor.value(ref.key)

    def live_sites(self, index: int) -> tuple[str, ...]:
        """Sites that were up when this was first asked for ``index``."""
        up = tuple(name for name in self.sites if self.nodes[name].state == "up")
        return self._live.setdefault(index, up)

    def observe(
        self,
        node: str,
        event: str,
        round_: int | None,
        model: Ref | None,
        peer: str | None,
        detail: dict[str, Any],
        predictor: str = "",
        predictor_params: Mapping[str, Any] | None = None,
        user: str | None = None,
    ) -> None:
        """Write an event; a model that a site, ``user`` or the node itself, uses from now on is noted for
        evaluation.
        """
        now = float(self.env.now)
        self.trace.event(now, node, event, round_, peer, detail)
        if model is not None and round_ is not None:
            site = user or (None if self.succession.is_server(node) else node)
            how = predictor_params or {}
            self.trace.observations.append(Observation(site, round_, now, model, predictor, how))

    # -- running ------------------------------------------------------------------------------------

    def start(self, absent: frozenset[str]) -> None:
        """Start every role but those of nodes that join later, in sorted order."""
        for name in sorted(self.nodes):
            if name in absent:
                self.network.drop_node(name)
            elif self.succession.machine_of(name) not in absent:
                self.succession.begin(self.nodes[name])

    def run(self, until_s: float) -> str:
        """Run to the end and say why it is one.

        The run ends when no protocol is left and none will start again, after ``until_s``, or when
        all that are left wait for messages that nobody can send any more. What happens exactly at
        ``until_s`` still belongs to the run; work that goes on beyond its end is recorded up to it.
        """
        reason = self._run(until_s)
        for node in self.nodes.values():
            node.cut_work("running")
        return reason

    def _run(self, until_s: float) -> str:
        while True:
            if self.changed:  # looking at every node after every event would cost more than the events
                self.changed = False
                reason = self._end_reason()
                if reason:
                    return reason
            if self.env.peek() > until_s:
                if self.env.now < until_s:  # SimPy refuses to run to where it is
                    self.env.run(until=until_s)
                return "virtual time of stop reached"
            self.env.step()

    def _end_reason(self) -> str:
        starting = self.pending_starts.keys() - self.relays
        if self.succession.is_detecting:
            return ""
        if any(self.nodes[name].state in {"down", "absent"} for name in starting):
            return ""
        up = [node for node in self.nodes.values() if node.state == "up"]
        if not up:
            return "all protocols ended"
        if self.shipping.in_flight or not all(node.waits_forever for node in up):
            return ""
        waiting = ", ".join(sorted(node.name for node in up))
        return f"deadlock: {waiting} wait without a timeout for messages that cannot come"

    # -- what faults do -------------------------------------------------------------------------------

    @property
    def machines(self) -> tuple[str, ...]:
        """Machines with a role, sorted; a second role at a site is none of its own."""
        return tuple(sorted({self.succession.machine_of(name) for name in self.nodes}))

    def knows(self, name: str) -> bool:
        """Whether there is such a machine or relay in this run."""
        return name in self.nodes or name in self.relays

    def why_gone(self, name: str) -> str:
        """Why nothing more can happen to a machine or relay for now, or an empty text."""
        if name in self.relays:
            return "was already down" if name in self._relays_down else ""
        states = {node.state for node in self.succession.on(name)}
        if states & {"down", "absent"}:
            return "was already down"
        return "its protocol had ended" if states == {"done"} else ""

    def set_speed(self, name: str, cause: object, level: float | str | None) -> None:
        """Let a machine compute at another speed, until the same cause says None."""
        for node in self.succession.on(name):
            node.set_speed(cause, level)

    def bring_up(self, name: str) -> str:
        """Join or recover; return why nothing happened, or an empty text."""
        if name in self.relays:
            if name not in self._relays_down:
                return "was already up"
            self._relays_down.discard(name)
            self.network.revive_node(name)
            return ""
        node = self.nodes[name]
        if node.state in {"up", WAITING}:
            return "was already up"
        self.network.revive_node(name)
        for one in self.succession.on(name):
            if one.state in {"down", "absent"}:
                self.succession.begin(one)
        self.succession.look()
        return "its protocol had ended" if node.state == "done" else ""

    def set_line(self, name: str, connected: bool, cause: str = "fault") -> None:
        """Disconnect a node from its lines, or connect it again as far as this cause goes."""
        self.network.set_node(name, connected, cause)
        self.succession.look()

    def take_down(self, name: str, state: str) -> str:
        """Crash (``down``) or leave (``absent``); return why nothing happened, or an empty text."""
        if name in self.relays:
            if name in self._relays_down:
                return "was already down"
            self._relays_down.add(name)
            self.network.drop_node(name)
            return ""
        node = self.nodes[name]
        if node.state in {"down", "absent"}:
            return "was already down"
        for one in self.succession.on(name):
            self.payloads.forget(one.name)
            if one.state != "done":
                one.stop(state)
        self.network.drop_node(name)
        self.succession.look()
        return "its protocol had ended" if node.state == "done" else ""

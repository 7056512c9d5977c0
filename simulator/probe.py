"""Asking a scenario's network: who reaches whom how fast, and how long a transfer takes.

The world of a run with roles that do nothing, brought to an instant: faults and conditions have
happened as they would in a run, and go on during a transfer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf

import simpy

from simulator.api import Node, Role, SiteData
from simulator.errors import TransferFailed
from simulator.indexing import recipe_of
from simulator.network.flow import LinkState
from simulator.record.ledger import Ledger
from simulator.registry import Algorithm, registry
from simulator.scenario.schema import ScenarioBase
from simulator.simulation import start
from simulator.sites.world import World
from simulator.work.executors import PlanExecutor
from simulator.work.jobs import Namer

Pair = tuple[str, str]
_AWAY = {"down": "has crashed", "absent": "is not there"}
_NOT_OF_THE_NETWORK = {"data", "device", "speed", "seconds_per_item", "availability", "checkpoint"}
_GRID_S = 25.6
"""A multiple of the steps in which windows and queues are looked at: 25 ms, and 0.1 s doubled up to 8
times."""
_NO_DATA = SiteData(num_train=1, num_val=0, num_test=0, train_items=1, val_items=0, test_items=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """A link of a route as it is at an instant; ``bytes_per_s`` on the wire, ``inf`` for unlimited."""

    link: str
    src: str
    dst: str
    bytes_per_s: float
    latency_s: float
    loss: float
    is_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """What a ping tells. ``rtt_s`` is without queues; ``obstacle`` says why there is no answer."""

    src: str
    dst: str
    hops: tuple[Hop, ...]
    rtt_s: float
    bottleneck: str  # id of the slowest link; empty where all are unlimited
    bytes_per_s: float  # of the bottleneck
    obstacle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a transfer went. ``wire_nbytes`` counts headers and failed attempts; ``reason`` is empty
    where it arrived.
    """

    src: str
    dst: str
    nbytes: int
    start_s: float
    duration_s: float
    bytes_per_s: float  # payload over duration; 0 where it failed
    wire_nbytes: int
    retries: int
    reason: str


class Probe:
    """A scenario's network from an instant on."""

    def __init__(self, scenario: ScenarioBase, at_s: float) -> None:
        self._scenario, self._at_s, self._num_sent = scenario, at_s, 0
        self._world, self._ledger = _at_rest(scenario, at_s)
        self._quiet_until_s = float(self._world.env.peek())
        self.nodes: tuple[str, ...] = tuple(sorted(self._world.nodes))

    def ping(self, src: str, dst: str) -> Echo:
        """Return what is true of a pair's route.

        Raises:
            ScenarioError: no route between the two.
        """
        path = self._world.network.path(src, dst)
        hops = tuple(_hop(state) for state in path.links)
        slowest = min(hops, key=lambda hop: hop.bytes_per_s)
        obstacles = [*self._absent(src, dst), *_cut((*path.links, *path.back))]
        return Echo(
            src=src,
            dst=dst,
            hops=hops,
            rtt_s=path.rtt_s,
            bottleneck=slowest.link if slowest.bytes_per_s < inf else "",
            bytes_per_s=slowest.bytes_per_s,
            obstacle=obstacles[0] if obstacles else "",
        )

    def _absent(self, *names: str) -> Iterator[str]:
        for name in names:
            state = self._world.nodes[name].state
            if state in _AWAY:
                yield f"{name} {_AWAY[state]}"

    def transfer(self, pairs: Sequence[Pair], nbytes: int) -> list[Delivery]:
        """Start a transfer for every pair at once, at the instant of the probe, and run to their end.

        A network at rest is the same until something is due to happen to it, and whether it is known only
        where no conditions change its links: what ends before that is taken as it is. Otherwise the
        world is built anew and brought to the instant again.

        Raises:
            ScenarioError: no route between two.
        """
        is_old = self._num_sent > 0
        if is_old and not self._rests():
            self._world, self._ledger = _at_rest(self._scenario, self._at_s)
            is_old = False
        found = self._run(pairs, nbytes)
        if is_old and self._world.env.now >= self._quiet_until_s:
            self._world, self._ledger = _at_rest(self._scenario, self._at_s)
            found = self._run(pairs, nbytes)
        return [replace(one, start_s=self._at_s) for one in found]

    def _rests(self) -> bool:
        """Wait until queues have drained, and until an instant at which windows and queues are looked at
        as at that of the probe; return whether nothing else has happened by then.
        """
        env = self._world.env
        while env.peek() < self._quiet_until_s:
            env.step()
        passed = ceil((env.now - self._at_s) / _GRID_S) * _GRID_S
        if self._scenario.network.conditions or self._at_s + passed >= self._quiet_until_s:
            return False
        env.run(until=max(self._at_s + passed, env.now))
        return True

    def _run(self, pairs: Sequence[Pair], nbytes: int) -> list[Delivery]:
        env, start_s = self._world.env, float(self._world.env.now)
        ends: dict[str, tuple[float, str]] = {}
        sent = {f"probe {self._num_sent + number}": pair for number, pair in enumerate(pairs)}
        self._num_sent += len(pairs)
        for kind, (src, dst) in sent.items():
            self._start(kind, src, dst, nbytes, ends)
        while len(ends) < len(sent):
            env.step()
        tally = self._ledger.tally(sent)  # by kind: a relay makes two transfers of one
        deliveries = []
        for kind, (src, dst) in sent.items():
            duration_s, reason = ends[kind][0] - start_s, ends[kind][1]
            carried, retries = tally[kind]
            deliveries.append(
                Delivery(
                    src=src,
                    dst=dst,
                    nbytes=nbytes,
                    start_s=start_s,
                    duration_s=duration_s,
                    bytes_per_s=_rate(nbytes, duration_s, reason),
                    wire_nbytes=round(carried * self._world.network.overhead),
                    retries=retries,
                    reason=reason,
                )
            )
        return deliveries

    def _start(self, kind: str, src: str, dst: str, nbytes: int, ends: dict[str, tuple[float, str]]) -> None:
        transfer = self._world.network.transfer(src, dst, nbytes, kind=kind, round=None, control=False)

        def ended(event: simpy.Event) -> None:
            event.defused = True
            reason = event.value.reason if isinstance(event.value, TransferFailed) else ""
            ends[kind] = float(self._world.env.now), reason

        transfer.event.callbacks.append(ended)


def same_network(one: ScenarioBase, other: ScenarioBase) -> bool:
    """Whether a probe of either scenario gives the same answers."""
    return _network_part(one) == _network_part(other)


def _network_part(scenario: ScenarioBase) -> tuple[object, ...]:
    server = scenario.server.link if scenario.server is not None else None
    sites = [site.model_dump(exclude=_NOT_OF_THE_NETWORK) for site in scenario.sites]
    return sites, server, scenario.network, scenario.faults, scenario.seed.network


def _idle(node: Node, cfg: object) -> Role:
    """A role that waits for what never comes."""
    yield node.receive("nothing")


def _at_rest(scenario: ScenarioBase, at_s: float) -> tuple[World, Ledger]:
    """A world in which nothing is sent, after all that happens up to and at ``at_s``. The server is in
    it where the scenario has one, whether or not the algorithm needs it.
    """
    real: Algorithm = registry("algorithms")[scenario.algorithm.name]
    idle = Algorithm(
        settings=real.settings,
        site=_idle,
        server=_idle if scenario.server is not None else None,
        summary=real.summary,
        source=real.source,
    )
    namer = Namer(
        recipe=recipe_of(scenario),
        meta=registry("datasets")[scenario.task.dataset.name].describe(scenario.task.dataset),
        mode="probe",
        seed=scenario.seed.learning,
        prepared={},
    )
    data = {site.name: _NO_DATA for site in scenario.sites}
    world, ledger, *_ = start(scenario, idle, data, namer, PlanExecutor())
    world.env.timeout(at_s)  # there is an event at that instant, whatever else happens
    while world.env.peek() <= at_s:
        world.env.step()
    return world, ledger


def _hop(state: LinkState) -> Hop:
    return Hop(
        link=state.link.id,
        src=state.link.src,
        dst=state.link.dst,
        bytes_per_s=state.bytes_per_s,
        latency_s=state.latency_s,
        loss=state.loss,
        is_up=not state.down,
    )


def _cut(states: Sequence[LinkState]) -> Iterator[str]:
    for state in states:
        if state.down:
            yield f"link {state.link.id} is down"


def _rate(nbytes: int, seconds: float, reason: str) -> float:
    if reason:
        return 0.0
    return nbytes / seconds if seconds > 0 else inf

"""From a scenario to a finished run in virtual time: the world assembled, run, and closed."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import simpy

from simulator.api import Algorithm, SiteData
from simulator.errors import ScenarioError
from simulator.indexing import (
    index_sites,
    model_size,
    objection,
    prepare_jobs,
    read_jobs,
    recipe_of,
    site_data,
    site_networks,
    union,
    untested,
)
from simulator.learning.tasks import learner
from simulator.network.transport import Network
from simulator.network.underlay import underlay_of
from simulator.network.wiring import check_wiring, overlay_of
from simulator.record.ledger import Ledger
from simulator.record.waits import waits
from simulator.registry import DataMeta, SiteIndex, registry
from simulator.rng import stream
from simulator.scenario.schema import NodeSpec, ScenarioBase
from simulator.scenario.targets import tags_of
from simulator.scenario.topologies import SERVER, STANDBY
from simulator.sites.accounting import need_accountant
from simulator.sites.availability import Presences
from simulator.sites.compute import Processor
from simulator.sites.conditions import ConditionLog
from simulator.sites.durability import Disk
from simulator.sites.faults import Injector, absent_at_start
from simulator.sites.node import NodeRuntime
from simulator.sites.succession import role_at
from simulator.sites.world import World
from simulator.work.executors import Executor
from simulator.work.jobs import Job, Namer, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A run in virtual time; values may still be to compute."""

    label: str
    scenario: ScenarioBase
    world: World
    ledger: Ledger
    namer: Namer
    index: Mapping[str, SiteIndex]
    end_reason: str
    virtual_time_s: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a run is made of besides its network, algorithm and faults: the same for all scenarios with
    the same task, learning seed, and data and networks of the sites.
    """

    index: Mapping[str, SiteIndex]
    data: Mapping[str, SiteData]
    meta: DataMeta
    recipe: Mapping[str, Any]
    opened: tuple[Job, ...]  # one per case
    prepared: Mapping[str, Job]  # one per site


def basis_of(scenario: ScenarioBase) -> Basis:
    """Look at a scenario's data, without opening an image."""
    index = index_sites(scenario)
    opened = read_jobs(scenario, index)
    return Basis(
        index=index,
        data=site_data(scenario, index),
        meta=registry("datasets")[scenario.task.dataset.name].describe(scenario.task.dataset),
        recipe=recipe_of(scenario),
        opened=tuple(chain.from_iterable(opened.values())),
        prepared=prepare_jobs(scenario, index, opened),
    )


class Bases:
    """The bases of scenarios: what several have in common is looked up once."""

    def __init__(self) -> None:
        self._found: dict[str, Basis] = {}

    def of(self, scenario: ScenarioBase) -> Basis:
        """Return the scenario's basis."""
        key = digest(
            [
                scenario.task.model_dump_json(),
                scenario.seed.learning,
                *([one.name, one.data.model_dump_json(), str(one.network)] for one in scenario.sites),
            ]
        )
        if key not in self._found:
            self._found[key] = basis_of(scenario)
        return self._found[key]


def simulate(
    label: str,
    scenario: ScenarioBase,
    executor: Executor,
    mode: str,
    basis: Basis | None = None,
) -> Simulated:
    """Run a scenario in virtual time. What ``executor`` computes is its own affair; a ``basis`` is that
    of a scenario which has it in common with this one.
    """
    algorithm: Algorithm = registry("algorithms")[scenario.algorithm.name]
    basis = basis or basis_of(scenario)
    for job in [*basis.opened, *basis.prepared.values()]:
        executor.submit(job)
    networks = site_networks(scenario)
    namer = Namer(
        recipe=basis.recipe,
        meta=basis.meta,
        mode=mode,
        seed=scenario.seed.learning,
        prepared={name: job.key for name, job in basis.prepared.items()},
        own=networks.own,
        networks=networks.settings,
    )
    reason = objection(scenario, basis.data)
    if reason:
        raise ScenarioError(reason)
    if scenario.privacy is not None:
        _check_privacy(scenario)
    world, ledger, injector, conditions, presences = start(scenario, algorithm, basis.data, namer, executor)
    end_reason = world.run(scenario.stop.virtual_time)
    world.network.close()
    warnings = [*injector.finish(), *conditions.finish()]
    presences.finish()
    ledger.check()
    warnings += untested(basis.index)
    warnings += waits(world.trace.events, ledger.rows("transfers"), world.sites)
    warnings += world.payloads.remarks() + world.outgoing.remarks()
    if end_reason.startswith("deadlock"):
        warnings.append(end_reason)
    return Simulated(
        label=label,
        scenario=scenario,
        world=world,
        ledger=ledger,
        namer=namer,
        index=basis.index,
        end_reason=end_reason,
        virtual_time_s=float(world.env.now),
        warnings=tuple(warnings),
    )


def start(
    scenario: ScenarioBase,
    algorithm: Algorithm,
    data: Mapping[str, SiteData],
    namer: Namer,
    executor: Executor,
) -> tuple[World, Ledger, Injector, ConditionLog, Presences]:
    """Return a scenario's world at its first instant: faults set, protocols started."""
    world, ledger = _build(scenario, algorithm, data, namer, executor)
    conditions = ConditionLog(world, scenario)
    tags = tags_of(scenario.sites)
    injector = Injector(world, scenario.faults, tags, conditions.links)
    presences = Presences(world, {name: scenario.machines[name] for name in world.machines})
    world.start(absent_at_start(scenario.faults, tags))
    return world, ledger, injector, conditions, presences


def _check_privacy(scenario: ScenarioBase) -> None:
    """Noise on running statistics could make a variance negative, and they tell of cases too."""
    need_accountant()
    if model_size(scenario).num_buffers:
        raise ScenarioError(
            f"privacy: {scenario.task.network.name} keeps running statistics, which cannot be noised; "
            "choose a network without them (unet with norm: instance)"
        )


def _servers(scenario: ScenarioBase, specs: Mapping[str, NodeSpec]) -> tuple[str, ...]:
    """The machines of the server and its standbys, in the order of succession."""
    assert scenario.server is not None  # the scenario was checked
    for number, name in enumerate(scenario.server.successors):
        if name not in specs:
            raise ScenarioError(f"server.standby.{number}: {name} has no training case; name another site")
    return (SERVER, *scenario.server.successors)


def _build(
    scenario: ScenarioBase,
    algorithm: Algorithm,
    data: Mapping[str, SiteData],
    namer: Namer,
    executor: Executor,
) -> tuple[World, Ledger]:
    """Nodes, lines and work, joined."""
    has_server = algorithm.server is not None
    specs = _machines(scenario, data, has_server=has_server)
    servers = _servers(scenario, specs) if has_server else ()
    world, ledger = _empty_world(scenario, specs, data, namer, executor, has_server=has_server)
    model, networks = model_size(scenario), site_networks(scenario)
    for name, spec in sorted(specs.items()):
        processor = Processor.from_spec(spec, networks.sizes.get(networks.own.get(name, ""), model))
        roles = [(name, algorithm.site, data[name])] if name in data else []
        if name in servers:
            assert algorithm.server is not None
            roles.append((role_at(name), algorithm.server, union(data)))
        for node, role, cases in roles:
            disk = Disk(spec.checkpoint)
            world.nodes[node] = NodeRuntime(
                world, node, role=role, processor=processor, data=cases, disk=disk
            )
    if servers:
        world.succession.install(servers)
    return world, ledger


def _machines(
    scenario: ScenarioBase, data: Mapping[str, SiteData], *, has_server: bool
) -> dict[str, NodeSpec]:
    """The sites that take part, and the server with a standby of its own if the method has one."""
    specs: dict[str, NodeSpec] = {site.name: site for site in scenario.sites if site.name in data}
    if has_server:
        assert scenario.server is not None  # the scenario was checked
        specs[SERVER] = scenario.server
        specs |= {STANDBY: scenario.standby} if scenario.standby is not None else {}
    return specs


def _empty_world(
    scenario: ScenarioBase,
    specs: Mapping[str, NodeSpec],
    data: Mapping[str, SiteData],
    namer: Namer,
    executor: Executor,
    *,
    has_server: bool,
) -> tuple[World, Ledger]:
    """The lines and the rules of a world in which nobody lives yet, and the account of its bytes."""
    neighbors = overlay_of(scenario, sorted(data))
    check_wiring(scenario, sorted(data), neighbors, has_server=has_server)
    topology = underlay_of(scenario, specs)
    env, ledger = simpy.Environment(), Ledger()
    seed = scenario.seed.network
    network = Network(
        env,
        topology,
        scenario.network.transport,
        stream=lambda purpose: stream(seed, "network", purpose),
        ledger=ledger,
    )
    world = World(
        env=env,
        network=network,
        namer=namer,
        executor=executor,
        learner=learner(scenario.task.init),
        model=model_size(scenario),
        sizes=site_networks(scenario).sizes,
        codec=scenario.network.codec,
        settings=scenario.algorithm,
        data=data,
        overlay=neighbors,
        relays=frozenset(topology.nodes) - specs.keys(),
        network_seed=seed,
        control_nbytes=round(scenario.network.transport.control_size),
        rogues={site.name: site.rogue for site in scenario.sites if site.rogue and site.name in data},
        privacy=scenario.privacy,
        detect_after_s=scenario.server.detect_after if scenario.server is not None else 0.0,
    )
    return world, ledger

"""From a scenario to a finished run in virtual time: the world assembled, run, and closed."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.metadata import version
from typing import Any

import simpy

from simulator.api import Algorithm, ModelSize, SiteData
from simulator.errors import ScenarioError
from simulator.learning.tasks import PREPARE, learner
from simulator.network.topology import build, overlay
from simulator.network.transport import Network
from simulator.record.ledger import Ledger
from simulator.registry import Dataset, SiteIndex, registry
from simulator.rng import stream
from simulator.scenario.schema import NodeSpec, ScenarioBase
from simulator.sites.compute import Processor
from simulator.sites.faults import Injector, absent_at_start
from simulator.sites.node import NodeRuntime
from simulator.sites.world import World
from simulator.work.executors import Executor
from simulator.work.jobs import Job, Namer, digest

SERVER = "server"
_READERS = ("numpy", "scipy", "pillow", "nibabel", "tifffile")
"""Packages whose version can change what is read from a file, or how it is normalized."""


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


def recipe_of(scenario: ScenarioBase) -> dict[str, Any]:
    """The ``task`` section as JSON: what workers need to know of a scenario."""
    return dict(scenario.task.model_dump(mode="json", by_alias=True))


def index_sites(scenario: ScenarioBase) -> dict[str, SiteIndex]:
    """List every site's cases, without opening an image."""
    dataset: Dataset = registry("datasets")[scenario.task.dataset.name]
    habits = {site.name: site.data for site in scenario.sites}
    return dataset.index(scenario.task.dataset, habits, scenario.seed.learning)


def model_size(scenario: ScenarioBase) -> ModelSize:
    """Parameters, buffers and work of the network on one slice or patch."""
    meta = registry("datasets")[scenario.task.dataset.name].describe(scenario.task.dataset)
    shape = scenario.task.patch_size or meta.item_shape
    if shape is None:
        raise ScenarioError(
            "task.patch_size: missing; the cases of this data set differ in size, "
            "so say what one training step sees, for example [96, 96]"
        )
    background = scenario.task.loss == "jaccard_ce"
    network = registry("networks")[scenario.task.network.name]
    size: ModelSize = network.size(
        scenario.task.network, len(meta.channels), len(meta.structures) + background, shape
    )
    return size


def taking_part(index: Mapping[str, SiteIndex]) -> list[str]:
    """Sites that have training cases. The others are unseen hospitals: they have no node, and the
    models of those that take part are tested on their cases.

    Raises:
        ScenarioError: no site has any.
    """
    names = [name for name, site in index.items() if site.count("train")]
    if not names:
        raise ScenarioError("sites: no site has a training case")
    return names


def site_data(scenario: ScenarioBase, index: Mapping[str, SiteIndex]) -> dict[str, SiteData]:
    """What every site that takes part knows of its cases, in training steps' worth of voxels.

    For training a volume counts as its patches of one epoch. Validation and tests see slices and
    volumes whole: one counts as its voxels over those of a patch, rounded up by site; as 1 where
    the size of the cases is not known without opening them, which costs them too low.
    """
    meta = registry("datasets")[scenario.task.dataset.name].describe(scenario.task.dataset)
    whole = Fraction(1)
    if scenario.task.patch_size and meta.item_shape:
        whole = Fraction(math.prod(meta.item_shape), math.prod(scenario.task.patch_size))
    patches = scenario.task.patches_per_case if meta.spatial_dims == 3 else 1
    return {
        name: SiteData(
            num_train=site.count("train"),
            num_val=site.count("val"),
            num_test=site.count("test"),
            train_items=patches * site.num_items("train"),
            val_items=math.ceil(whole * site.num_items("val")),
            test_items=math.ceil(whole * site.num_items("test")),
        )
        for name, site in index.items()
        if name in taking_part(index)
    }


def union(data: Mapping[str, SiteData]) -> SiteData:
    """All sites' cases taken together."""
    sums = {name: sum(asdict(one)[name] for one in data.values()) for name in SiteData.__slots__}
    return SiteData(**sums)


def prepare_jobs(scenario: ScenarioBase, index: Mapping[str, SiteIndex]) -> dict[str, Job]:
    """One job per site that reads, checks and normalizes its cases; its key names the data and the
    versions of the packages that read them.
    """
    readers = {name: version(name) for name in _READERS}
    recipe = recipe_of(scenario)
    dataset = {name: value for name, value in recipe["dataset"].items() if name != "root"}
    jobs = {}
    for site in scenario.sites:
        found = index[site.name]
        params = {
            "site_data": site.data.model_dump(mode="json", by_alias=True),
            "cases": [asdict(case) for case in found.cases],
        }
        what = [PREPARE.function, PREPARE.version, dataset, found.fingerprint, params]
        key = digest([*what, recipe["normalize"], recipe["strict"], scenario.seed.learning, readers])
        jobs[site.name] = Job(
            key=key,
            task=PREPARE.name,
            function=PREPARE.function,
            inputs=(),
            data=(),
            params=params,
            site=site.name,
            seed=scenario.seed.learning,
            recipe=recipe,
            flop=1e12,  # first of all: everything waits for it
        )
    return jobs


def overlay_of(scenario: ScenarioBase, sites: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Neighbors among ``sites``, which take part; pairs with an unseen hospital fall away."""
    network = scenario.network
    if not isinstance(network.overlay, str):
        pairs = tuple(pair for pair in network.overlay if all(name in sites for name in pair))
        network = network.model_copy(update={"overlay": pairs})
    return overlay(network, sites)


def simulate(
    label: str, scenario: ScenarioBase, executor: Executor, mode: str, progress: Callable[[float], None]
) -> Simulated:
    """Run a scenario in virtual time. What ``executor`` computes is its own affair."""
    algorithm: Algorithm = registry("algorithms")[scenario.algorithm.name]
    index = index_sites(scenario)
    jobs = prepare_jobs(scenario, index)
    for job in jobs.values():
        executor.submit(job)
    meta = registry("datasets")[scenario.task.dataset.name].describe(scenario.task.dataset)
    namer = Namer(
        recipe=recipe_of(scenario),
        meta=meta,
        mode=mode,
        seed=scenario.seed.learning,
        prepared={name: job.key for name, job in jobs.items()},
    )
    world, ledger = _build(scenario, algorithm, index, namer, executor)
    objection = algorithm.check(scenario.algorithm, site_data(scenario, index)) if algorithm.check else ""
    if objection:
        raise ScenarioError(objection)
    absent = absent_at_start(scenario.faults)
    injector = Injector(world, scenario.faults)
    world.start(absent)
    end_reason = world.run(scenario.stop.virtual_time, progress)
    world.network.close()
    warnings = injector.finish()
    ledger.check()
    if end_reason.startswith("deadlock"):
        warnings.append(end_reason)
    return Simulated(
        label=label,
        scenario=scenario,
        world=world,
        ledger=ledger,
        namer=namer,
        index=index,
        end_reason=end_reason,
        virtual_time_s=float(world.env.now),
        warnings=tuple(warnings),
    )


def _build(
    scenario: ScenarioBase,
    algorithm: Algorithm,
    index: Mapping[str, SiteIndex],
    namer: Namer,
    executor: Executor,
) -> tuple[World, Ledger]:
    """Nodes, lines and work, joined."""
    here = taking_part(index)
    specs: dict[str, NodeSpec] = {site.name: site for site in scenario.sites if site.name in here}
    if algorithm.server is not None:
        assert scenario.server is not None  # the scenario was checked
        specs[SERVER] = scenario.server
    env, ledger = simpy.Environment(), Ledger()
    model, data = model_size(scenario), site_data(scenario, index)
    seed = scenario.seed.network
    network = Network(
        env,
        build(scenario.network, {name: spec.link for name, spec in specs.items()}),
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
        model=model,
        codec=scenario.network.codec,
        settings=scenario.algorithm,
        data=data,
        overlay=overlay_of(scenario, sorted(data)),
        network_seed=seed,
        control_nbytes=round(scenario.network.transport.control_size),
    )
    for name, spec in sorted(specs.items()):
        is_server = name == SERVER and algorithm.server is not None
        world.nodes[name] = NodeRuntime(
            world,
            name,
            role=algorithm.server if is_server else algorithm.site,  # type: ignore[arg-type]
            processor=Processor.from_spec(spec, model),
            data=union(data) if is_server else data[name],
        )
        if is_server:
            world.server = name
    return world, ledger

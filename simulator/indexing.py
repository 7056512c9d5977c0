"""What a scenario's data and network amount to, known before anything runs and without torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from typing import Any

from simulator.api import ModelSize, SiteData
from simulator.errors import ScenarioError
from simulator.learning.data.corruption_settings import Corruptions
from simulator.learning.tasks import PREPARE, READ
from simulator.registry import Algorithm, Dataset, SiteIndex, registry
from simulator.scenario.schema import ScenarioBase, Site
from simulator.work.jobs import Job, digest

_READERS = ("numpy", "scipy", "pillow", "nibabel", "tifffile")
"""Packages whose version can change what is read from a file, or how it is normalized."""


def recipe_of(scenario: ScenarioBase) -> dict[str, Any]:
    """The ``task`` section as JSON: what workers need to know of a scenario."""
    return dict(scenario.task.model_dump(mode="json", by_alias=True))


def index_sites(scenario: ScenarioBase) -> dict[str, SiteIndex]:
    """List every site's cases, without opening an image."""
    dataset: Dataset = registry("datasets")[scenario.task.dataset.name]
    habits = {site.name: site.data for site in scenario.sites}
    found = dataset.index(scenario.task.dataset, habits, scenario.seed.learning)
    _check_missing(habits, dataset.describe(scenario.task.dataset).channels)
    return found


def _check_missing(habits: Mapping[str, Any], channels: Sequence[str]) -> None:
    """Check that modalities which sites lack, and their stand-ins, are channels of the data set."""
    for place, site in enumerate(habits.values()):
        for missing in site.all_missing if isinstance(site, Corruptions) else ():
            for name in (missing.channel, missing.replace_by):
                if name is not None and name not in channels:
                    known = ", ".join(channels)
                    raise ScenarioError(f'sites.{place}.data.missing: no channel "{name}"; there are {known}')


def model_size(scenario: ScenarioBase, site: Site | None = None) -> ModelSize:
    """Parameters, buffers and work of the task's network, or a site's own, on one slice or patch."""
    meta = registry("datasets")[scenario.task.dataset.name].describe(scenario.task.dataset)
    shape = scenario.task.patch_size or meta.item_shape
    if shape is None:
        example = "[96, 96]" if meta.spatial_dims == 2 else "[64, 96, 96]"
        raise ScenarioError(
            "task.patch_size: missing; the cases of this data set may differ in size, "
            f"so say what one training step sees, for example {example}"
        )
    background = scenario.task.loss == "jaccard_ce"
    settings = network_settings(scenario, site)
    network = registry("networks")[settings.name]
    size: ModelSize = network.size(settings, len(meta.channels), len(meta.structures) + background, shape)
    return replace(size, num_channels=len(meta.channels), item_shape=tuple(shape))


def network_settings(scenario: ScenarioBase, site: Site | None) -> Any:
    """A site's own network, or the task's."""
    return scenario.task.network if site is None or site.network is None else site.network


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteNetworks:
    """The networks that sites have instead of the task's: which, what they are, what they cost.

    ``own`` holds the name of each such site's network, a digest; ``settings`` (as JSON) and ``sizes``
    are by these names.
    """

    own: Mapping[str, str]
    settings: Mapping[str, Mapping[str, Any]]
    sizes: Mapping[str, ModelSize]


def site_networks(scenario: ScenarioBase) -> SiteNetworks:
    """Return the networks of sites that differ from the task's.

    Raises:
        ScenarioError: an item is too small for a site's network.
    """
    own: dict[str, str] = {}
    settings: dict[str, Mapping[str, Any]] = {}
    sizes: dict[str, ModelSize] = {}
    for number, site in enumerate(scenario.sites):
        if network_settings(scenario, site) == scenario.task.network:
            continue
        described = site.network.model_dump(mode="json", by_alias=True)
        own[site.name] = name = digest(described)
        if name not in sizes:
            try:
                settings[name], sizes[name] = described, model_size(scenario, site)
            except ScenarioError as error:
                here = str(error).replace("task.network", f"sites.{number}.network", 1)
                raise ScenarioError(here) from None
    return SiteNetworks(own=own, settings=settings, sizes=sizes)


def objection(scenario: ScenarioBase, data: Mapping[str, SiteData]) -> str:
    """Return why the algorithm cannot run on these cases and networks, or an empty text."""
    algorithm: Algorithm = registry("algorithms")[scenario.algorithm.name]
    others = site_networks(scenario)
    in_use = {others.own.get(name, "") for name in data}
    if algorithm.server is not None:
        in_use.add("")
    if len(in_use) > 1:
        reason = _against_mixture(algorithm, scenario)
        if reason:
            return reason
    blind = sorted(name for name, site in data.items() if not site.num_val)
    if scenario.task.optimizer.plateau is not None and blind:
        return f"task.optimizer.plateau: needs validation cases, and {', '.join(blind)} has none; remove it"
    if algorithm.check is None:
        return ""
    sizes = {"": model_size(scenario), **others.sizes}
    found = (algorithm.check(scenario.algorithm, data, sizes[name], scenario.task) for name in sorted(in_use))
    return next((text for text in found if text), "")


def _against_mixture(algorithm: Algorithm, scenario: ScenarioBase) -> str:
    """Why sites of this scenario must have the same network, or an empty text."""
    number = next(i for i, site in enumerate(scenario.sites) if site.network is not None)
    if algorithm.mixed_networks is None:
        methods = registry("algorithms").items()
        others = ", ".join(name for name, one in methods if one.mixed_networks is not None)
        return (
            f"sites.{number}.network: under {scenario.algorithm.name} all models have the same parameters, "
            f"so sites need the same network; remove it, or use a method that allows it ({others})"
        )
    return algorithm.mixed_networks(scenario.algorithm) or _against_differences(scenario)


def _against_differences(scenario: ScenarioBase) -> str:
    """Why what leaves a site may not be compared with what it received, or an empty text."""
    why = "works on an update, which models of different networks do not have"
    for number, site in enumerate(scenario.sites):
        if site.rogue is not None and site.rogue.kind not in {"label-flip", "replay"}:
            return f"sites.{number}.rogue.kind: {site.rogue.kind} {why}; write label-flip or replay"
    return (
        "" if scenario.privacy is None else f"privacy: {why}; remove it, or give all sites the same network"
    )


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


def untested(index: Mapping[str, SiteIndex]) -> list[str]:
    """Say which of the sites that take part have nothing to be tested on. Of none at all, as in plans from
    declared numbers of cases, the report says that nothing was evaluated.
    """
    sites = taking_part(index)
    names = [name for name in sites if not index[name].count("test")]
    some = 0 < len(names) < len(sites)
    return [f"no test case at {', '.join(names)}: no result there"] if some else []


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
    batch_size = scenario.task.batch_size
    return {
        name: SiteData(
            num_train=site.count("train"),
            num_val=site.count("val"),
            num_test=site.count("test"),
            train_items=patches * site.num_items("train"),
            train_batches=math.ceil(patches * site.num_items("train") / batch_size),
            full_batches=patches * site.num_items("train") // batch_size,
            full_items=patches * site.num_items("train") // batch_size * batch_size,
            val_items=math.ceil(whole * site.num_items("val")),
            test_items=math.ceil(whole * site.num_items("test")),
        )
        for name, site in ((name, index[name]) for name in taking_part(index))
    }


def union(data: Mapping[str, SiteData]) -> SiteData:
    """All sites' cases taken together."""
    sums = {name: sum(getattr(one, name) for one in data.values()) for name in SiteData.__slots__}
    return SiteData(**sums)


def read_jobs(scenario: ScenarioBase, index: Mapping[str, SiteIndex]) -> dict[str, tuple[Job, ...]]:
    """One job per case that opens it, by site; none where there is nothing to open.

    A key names what decides a case's arrays: its contents, the settings but those that only choose
    and split cases, and the versions of the packages that read them. So a case is read once, however
    it is dealt out; where the index knows no digest of single cases, the site's fingerprint is named.
    """
    dataset: Dataset = registry("datasets")[scenario.task.dataset.name]
    if dataset.load is None:
        return {site.name: () for site in scenario.sites}
    readers = {name: version(name) for name in _READERS}
    recipe = recipe_of(scenario)
    settings = {name: value for name, value in recipe["dataset"].items() if name not in dataset.choosing}
    common = digest([READ.function, READ.version, settings, readers])
    found = {}
    for site in scenario.sites:
        site_data = site.data.model_dump(mode="json", by_alias=True)
        of_site = digest([common, index[site.name].fingerprint, site_data, scenario.seed.learning])
        found[site.name] = tuple(
            Job(
                key=digest([common, case.digest, dict(case.files)] if case.digest else [of_site, case.case]),
                task=READ.name,
                function=READ.function,
                inputs=(),
                data=(),
                params={"site_data": site_data, "case": asdict(case)},
                site=site.name,
                seed=scenario.seed.learning,
                recipe=recipe,
                flop=1e12,  # first of all: everything waits for it
            )
            for case in index[site.name].cases
        )
    return found


def prepare_jobs(
    scenario: ScenarioBase, index: Mapping[str, SiteIndex], opened: Mapping[str, Sequence[Job]]
) -> dict[str, Job]:
    """One job per site that puts its cases together, from the jobs that read them.

    The learning seed enters the key where chance plays a part: where something is wrong at the site.
    """
    recipe = recipe_of(scenario)
    readers = {name: version(name) for name in _READERS}
    jobs = {}
    for site in scenario.sites:
        wrong = site.data.damage() if isinstance(site.data, Corruptions) else None
        inputs = tuple(job.key for job in opened[site.name])
        params = {
            "site_data": site.data.model_dump(mode="json", by_alias=True),
            "cases": [asdict(case) for case in index[site.name].cases],
        }
        if site.rogue is not None and site.rogue.kind == "label-flip":
            params["flip_labels"] = True
        what = [PREPARE.function, PREPARE.version, inputs, readers, recipe["normalize"], recipe["strict"]]
        whose = [[case["case"], case["patient"], case["split"]] for case in params["cases"]]
        chance = [wrong, site.name, scenario.seed.learning] if wrong else None
        flipped = ["labels flipped"] if "flip_labels" in params else []
        jobs[site.name] = Job(
            key=digest(
                [*what, whose, chance, index[site.name].fingerprint if not inputs else None, *flipped]
            ),
            task=PREPARE.name,
            function=PREPARE.function,
            inputs=inputs,
            data=(),
            params=params,
            site=site.name,
            seed=scenario.seed.learning,
            recipe=recipe,
            flop=1e12,
        )
    return jobs

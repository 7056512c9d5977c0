"""What types cannot say: names that must exist, lines that must fit together."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from simulator import registry
from simulator.registry import DataMeta, Dataset, Settings, suggest
from simulator.scenario import messages
from simulator.scenario.availability import check_availability
from simulator.scenario.checks_network import check_network, dead_lines
from simulator.scenario.codecs import check_codec
from simulator.scenario.conditions_checks import check_conditions
from simulator.scenario.devices import DEVICES
from simulator.scenario.faults import check_faults
from simulator.scenario.locate import Finding, KeyPath
from simulator.scenario.schema import NodeSpec, ScenarioBase
from simulator.scenario.targets import tags_of
from simulator.scenario.topologies import MACHINES, SERVER, STANDBY
from simulator.scenario.transmission import TransportSpec

MIN_WINDOW_NBYTES = 1448
"""One full segment of TCP; with less in flight nothing would ever be sent."""
_SPEEDS = ("device", "speed", "seconds_per_item")


def check(scenario: ScenarioBase) -> list[Finding]:
    """Return everything that is wrong with a scenario whose types are right."""
    relays = [relay.name for relay in scenario.network.relays]
    tags = tags_of(scenario.sites)
    return [
        *_names(scenario),
        *_server(scenario),
        *_standby(scenario),
        *_machines(scenario),
        *_task(scenario),
        *check_network(scenario),
        *check_codec(scenario.network.codec),
        *_transport(scenario.network.transport),
        *check_conditions(scenario.network.conditions, [*node_names(scenario), *relays], tags),
        *check_faults(scenario.faults, node_names(scenario), relays, tags),
    ]


def node_names(scenario: ScenarioBase) -> list[str]:
    """Return the sites in order, and the server if there is one."""
    return list(scenario.machines)


def type_site_data(data: Sequence[Any], dataset: Dataset) -> tuple[list[Settings | None], list[Finding]]:
    """Validate what each site says of its data against the data set's ``site_settings``.

    Args:
        data: the bare ``data`` of every site, None where it has none.
        dataset: the data set of the scenario.

    Returns:
        The typed settings by site, and what is wrong.
    """
    typed: list[Settings | None] = []
    found: list[Finding] = []
    for number, value in enumerate(data):
        bare = {} if value is None else value
        try:
            typed.append(messages.validate(dataset.site_settings, bare))
        except ValidationError as error:
            typed.append(None)
            prefix: KeyPath = ("sites", number, "data")
            found += messages.findings(error, bare, dataset.site_settings, prefix)
    return typed, found


def _names(scenario: ScenarioBase) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for number, site in enumerate(scenario.sites):
        path: KeyPath = ("sites", number, "name")
        if site.name in MACHINES:
            yield Finding(path=path, message=f'"{site.name}" means the {site.name}; choose another name')
        if site.name in seen:
            message = f'"{site.name}" is the name of sites.{seen[site.name]} too; choose another'
            yield Finding(path=path, message=message)
        seen.setdefault(site.name, number)


def _server(scenario: ScenarioBase) -> Iterator[Finding]:
    name = scenario.algorithm.name
    if registry.registry("algorithms")[name].server is not None and scenario.server is None:
        remedy = '"server: {device: …, link: {up: …, down: …, latency: …}}"'
        yield Finding(path=("algorithm", "name"), message=f"{name} has a server; add {remedy}")


def _standby(scenario: ScenarioBase) -> Iterator[Finding]:
    """Who takes over exists, once; a machine for nothing else is used."""
    heirs = scenario.server.successors if scenario.server is not None else ()
    known = [name for name in scenario.machines if name != SERVER]
    for number, name in enumerate(heirs):
        path: KeyPath = (SERVER, STANDBY)
        if scenario.server is not None and not isinstance(scenario.server.standby, str):
            path = (*path, number)
        if name not in known:
            hint = (
                suggest(name, known) if name != STANDBY else '; add a machine "standby: {device: …, link: …}"'
            )
            yield Finding(path=path, message=f'no site "{name}"{hint}')
        elif name in heirs[:number]:
            yield Finding(path=path, message=f"{name} for the second time; name it once")
    for number, fault in enumerate(scenario.faults):
        if fault.fail_over is not None and fault.fail_over not in (SERVER, *heirs):
            message = f'"{fault.fail_over}" is no standby; write server: {{standby: {fault.fail_over}}}'
            yield Finding(path=("faults", number, "fail_over"), message=message)
    if scenario.standby is not None and STANDBY not in heirs:
        message = "takes over from nobody; write server: {standby: standby}"
        yield Finding(path=(STANDBY,), message=message, of_key=True)


def _transport(spec: TransportSpec) -> Iterator[Finding]:
    """SimGrid's models know neither congestion controls nor other weights; windows need a control and
    make shares themselves.
    """
    path: KeyPath = ("network", "transport")
    if spec.tier != "share":
        without = ("fairness",) if spec.tier == "window" else ("preset", "fairness")
        yield from _idle(spec, without, f"under tier {spec.tier}")
    if spec.tier == "share" and spec.preset == "ideal":
        yield from _idle(spec, ("window",), "with preset ideal")
    if not spec.message_duplication:
        yield from _idle(spec, ("deliver_duplicates",), "without message_duplication")
    if spec.window < MIN_WINDOW_NBYTES:
        message = f"{spec.window:g} B are less than a segment of TCP; write {MIN_WINDOW_NBYTES} B or more"
        yield Finding(path=(*path, "window"), message=message)
    if spec.tier == "window" and spec.preset == "ideal":
        message = "ideal has no window to follow; write tcp-cubic, tcp-reno or tcp-bbr, or tier: share"
        yield Finding(path=(*path, "preset"), message=message)


def _idle(spec: TransportSpec, names: Sequence[str], where: str) -> Iterator[Finding]:
    """Settings that are given and do nothing."""
    usual = TransportSpec()
    for name in names:
        value = getattr(spec, name)
        if value != getattr(usual, name):
            shown = value if isinstance(value, str) else "this"
            message = f"{shown} means nothing {where}; leave it out"
            yield Finding(path=("network", "transport", name), message=message)


def _machines(scenario: ScenarioBase) -> Iterator[Finding]:
    for number, site in enumerate(scenario.sites):
        yield from _machine(site, ("sites", number))
    if scenario.server is not None:
        yield from _machine(scenario.server, (SERVER,))
    if scenario.standby is not None:
        yield from _machine(scenario.standby, (STANDBY,))


def _machine(spec: NodeSpec, path: KeyPath) -> Iterator[Finding]:
    given = [name for name in _SPEEDS if getattr(spec, name) is not None]
    if not given:
        yield Finding(path=path, message="no computing speed; add device, speed or seconds_per_item")
    elif len(given) > 1:
        yield Finding(path=(*path, given[1]), message=f"{given[0]} says the speed already; keep one of them")
    if spec.device is not None and spec.device not in DEVICES:
        hint = suggest(spec.device, list(DEVICES))
        yield Finding(path=(*path, "device"), message=f'no device "{spec.device}"{hint}')
    for name in ("speed", "seconds_per_item"):
        if getattr(spec, name) == 0:
            remedy = "for computing that takes no time write speed: unlimited"
            yield Finding(path=(*path, name), message=f"must be above zero; {remedy}")
    yield from dead_lines(spec.link, (*path, "link"))
    if spec.availability is not None:
        yield from check_availability(spec.availability, (*path, "availability"))


def _task(scenario: ScenarioBase) -> Iterator[Finding]:
    task = scenario.task
    meta: DataMeta = registry.registry("datasets")[task.dataset.name].describe(task.dataset)
    if task.patch_size is not None and len(task.patch_size) != meta.spatial_dims:
        given = len(task.patch_size)
        message = f"{given} numbers for {meta.spatial_dims}-D data; write {meta.spatial_dims}"
        if hasattr(task.dataset, "dims") and given in {2, 3}:
            message += f", or task.dataset.dims: {given}"
        yield Finding(path=("task", "patch_size"), message=message)
    if task.patches_per_case > 1 and (meta.spatial_dims == 2 or task.patch_size is None):
        why = "slices are visited once per epoch" if meta.spatial_dims == 2 else "there is no task.patch_size"
        message = f"{task.patches_per_case} patches of a case, but {why}; remove it"
        yield Finding(path=("task", "patches_per_case"), message=message, of_key=True)
    background = task.loss == "jaccard_ce"
    outputs = len(meta.structures) + background
    if task.class_weight is not None and len(task.class_weight) != outputs:
        names = ", ".join([*(["background"] if background else []), *meta.structures])
        message = f"{len(task.class_weight)} weights for {outputs} output channels ({names}); write {outputs}"
        yield Finding(path=("task", "class_weight"), message=message)
    yield from _optimizer(scenario)


def _optimizer(scenario: ScenarioBase) -> Iterator[Finding]:
    optimizer = scenario.task.optimizer
    is_sgd = optimizer.name == "sgd"
    if optimizer.momentum and not is_sgd:
        message = f"{optimizer.name} has no momentum; remove it or use sgd"
        yield Finding(path=("task", "optimizer", "momentum"), message=message, of_key=True)
    if optimizer.amsgrad and is_sgd:
        message = "sgd has no amsgrad; remove it or use adam or adamw"
        yield Finding(path=("task", "optimizer", "amsgrad"), message=message, of_key=True)

"""What commands check before they begin, beyond what a scenario's text can say."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator import registry
from simulator.errors import ScenarioError, SetupError
from simulator.indexing import index_sites, objection, site_data, taking_part
from simulator.network.wiring import check_wiring, overlay_of
from simulator.registry import SiteIndex
from simulator.scenario.load import Point, Study
from simulator.scenario.locate import Finding, KeyPath, show
from simulator.scenario.remarks import idle_settings
from simulator.scenario.schema import ScenarioBase
from simulator.scenario.topologies import Pairs

_ALONE = "local"
"""The method whose sites exchange nothing on purpose."""

_Indexes = dict[tuple[str, ...], dict[str, SiteIndex]]


def check_trainable(study: Study) -> None:
    """Refuse to train on what is only declared.

    Raises:
        ScenarioError: a data set or network that can only be planned with.
    """
    found: list[str] = []
    for point in study.points:
        task, networks = point.scenario.task, registry.registry("networks")
        own = [(i, site.network) for i, site in enumerate(point.scenario.sites) if site.network is not None]
        parts: list[tuple[KeyPath, Any, Any]] = [
            (("task", "dataset"), task.dataset, registry.registry("datasets")[task.dataset.name].load),
            (("task", "network"), task.network, networks[task.network.name].build),
            *((("sites", i, "network"), settings, networks[settings.name].build) for i, settings in own),
        ]
        for path, settings, can in parts:
            if can is None:
                message = f'"{settings.name}" can only be planned with; use medgossip plan'
                found.append(show(point.tree, Finding(path=(*path, "name"), message=message))[1])
    if found:
        raise ScenarioError("\n".join(dict.fromkeys(found)))


def check_out(out: Path) -> None:
    """Refuse a folder that results cannot be written to; makes nothing that stays.

    Raises:
        SetupError: the folder, or the nearest that exists above it, takes no files.
    """
    try:
        above = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise SetupError(f"cannot write to {out}: {error.strerror}; choose another with --out") from None


def check_data(study: Study) -> None:
    """List every site's cases, without opening one, and ask the algorithms whether they can do.

    Raises:
        ScenarioError: what ``medgossip plan`` would refuse: missing folders, empty sites, a method
            that needs cases which some site has not.
    """
    indexes: _Indexes = {}
    found: list[str] = []
    for point in study.points:
        try:
            _check_point(point.scenario, indexes)
        except ScenarioError as error:
            found.append(study.locate(str(error), point))
    if found:
        raise ScenarioError("\n".join(dict.fromkeys(found)))


def warnings(study: Study) -> list[str]:
    """Return what is allowed but hardly meant: sites that an explicit overlay leaves alone, settings
    of links that the network model does not look at.
    """
    indexes: _Indexes = {}
    texts = []
    for point in study.points:
        found = [*_alone(point, indexes), *idle_settings(point.scenario)]
        texts += [f"{point.label}: {show(point.tree, finding)[1]}" for finding in found]
    return texts


def _check_point(scenario: ScenarioBase, indexes: _Indexes) -> None:
    index = _index(scenario, indexes)
    data = site_data(scenario, index)
    reason = objection(scenario, data)
    if reason:
        raise ScenarioError(reason)
    algorithm = registry.registry("algorithms")[scenario.algorithm.name]
    neighbors = overlay_of(scenario, sorted(data))
    check_wiring(scenario, sorted(data), neighbors, has_server=algorithm.server is not None)


def _index(scenario: ScenarioBase, indexes: _Indexes) -> Mapping[str, SiteIndex]:
    """The sites' cases; points of a sweep with the same data share one look at it."""
    settings = scenario.task.dataset
    sites = [f"{site.name} {site.data.model_dump_json()}" for site in scenario.sites]
    key = (settings.model_dump_json(), str(scenario.seed.learning), *sites)
    if key not in indexes:
        indexes[key] = index_sites(scenario)
    return indexes[key]


def _alone(point: Point, indexes: _Indexes) -> Iterator[Finding]:
    scenario = point.scenario
    kind, name = scenario.network.overlay, scenario.algorithm.name
    has_server = registry.registry("algorithms")[name].server is not None
    if not isinstance(kind, Pairs) or has_server or name == _ALONE:
        return
    index = _index(scenario, indexes)
    here = taking_part(index)
    paired = {site for pair in kind.pairs if all(end in here for end in pair) for site in pair}
    for site in here:
        if site not in paired and len(here) > 1:
            message = f"{site} has no peer and learns alone; pair it with another site"
            yield Finding(path=("network", "overlay"), message=message, of_key=True)

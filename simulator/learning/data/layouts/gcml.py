"""The sites and splits of GCML (Chen and Yuan, IEEE TMI 2025): centers with the sizes of their parts.

The rule is shipped, not the authors' lists: complete data give the very counts of the paper's group,
with cases drawn by the split's seed; ``task.dataset.lists`` takes the lists themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.errors import ScenarioError
from simulator.learning.data.layouts.settings import ImageSetSite
from simulator.learning.data.splits import SplitSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """One site of a published split: which center it is, and how many cases each part has."""

    center: str
    train: int
    val: int
    test: int


def with_centers(
    dataset: str, table: Mapping[str, Shares], sites: Mapping[str, ImageSetSite]
) -> dict[str, ImageSetSite]:
    """Return the sites, with the centers that the published splits give to their names.

    Args:
        dataset: its name, for errors.
        table: its published sites; empty if there are none.
        sites: the scenario's, by name.

    Raises:
        ScenarioError: no published split, or a site that is not in it.
    """
    if not table:
        raise ScenarioError(
            f"task.dataset.partition.kind: no GCML split of {dataset} is known; write natural"
        )
    known = {one.center for one in table.values()}
    found = {}
    for place, (name, site) in enumerate(sites.items()):
        centers = site.centers or ((table[name].center,) if name in table else ())
        if len(centers) != 1 or centers[0] not in known:
            names = ", ".join(f"{site} (center {one.center})" for site, one in table.items())
            raise ScenarioError(f"sites.{place}.name: {name} is no site of the GCML split; there are {names}")
        found[name] = site.model_copy(update={"center": centers[0]})
    return found


def shares(table: Mapping[str, Shares], center: str, settings: SplitSettings) -> SplitSettings:
    """Return the split of a center as shares of its patients, with the seed of ``settings``."""
    found = next(one for one in table.values() if one.center == center)
    total = found.train + found.val + found.test
    return settings.model_copy(update={"val": found.val / total, "test": found.test / total})

"""The overlay: who exchanges with whom, whatever the lines below are like."""

from collections.abc import Sequence

from simulator.errors import ScenarioError
from simulator.network.generators import edges
from simulator.registry import suggest
from simulator.scenario.topologies import Complete, File, OverlayKind, Pairs

Neighbors = dict[str, tuple[str, ...]]
_WHERE = "network.overlay"


def overlay(kind: OverlayKind, sites: Sequence[str], *, seed: int) -> Neighbors:
    """Return every site's neighbors, sorted.

    Rings follow the order given. Listed pairs are taken both ways, and may leave sites alone;
    everything else is connected.

    Args:
        kind: as in the scenario.
        sites: those that take part.
        seed: the network seed.

    Raises:
        ScenarioError: a pair names an unknown site, or one site twice; no such graph on so many
            sites.
    """
    if isinstance(kind, Complete):  # by far the largest, and sorted without a sort for each site
        ordered = sorted(sites)
        return {site: tuple(name for name in ordered if name != site) for site in sites}
    if isinstance(kind, File):
        raise ScenarioError(f"{_WHERE}.path: {kind.path} has not been read; load the scenario from its file")
    pairs = _listed(kind, sites) if isinstance(kind, Pairs) else edges(kind, sites, seed=seed, where=_WHERE)
    neighbors: dict[str, set[str]] = {site: set() for site in sites}
    for a, b in pairs:
        neighbors[a].add(b)
        neighbors[b].add(a)
    return {site: tuple(sorted(found)) for site, found in neighbors.items()}


def _listed(kind: Pairs, sites: Sequence[str]) -> Sequence[tuple[str, str]]:
    known = set(sites)
    for place, (a, b) in enumerate(kind.pairs):
        for name in (a, b):
            if name not in known:
                hint = suggest(name, list(sites))
                raise ScenarioError(f'{_WHERE}.{place}: unknown site "{name}"{hint}')
        if a == b:
            raise ScenarioError(f"{_WHERE}.{place}: {a} is paired with itself; name two sites")
    return kind.pairs

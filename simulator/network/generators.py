"""Who is joined with whom in graphs that follow a rule or chance; for cores and overlays alike.

Random graphs are drawn again until they are connected. One more node draws another graph: unlike
other chance in medgossip, that of graphs cannot be a matter of each node alone.
"""

from collections.abc import Sequence
from typing import Any

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.rng import draw_seed
from simulator.scenario.topologies import (
    Complete,
    ErdosRenyi,
    FullMesh,
    RandomRegular,
    Ring,
    SmallWorld,
    Star,
)

Kind = Complete | FullMesh | Ring | RandomRegular | SmallWorld | Star | ErdosRenyi
Pair = tuple[str, str]
MAX_DRAWS = 100
"""Random graphs drawn in search of a connected one."""


def edges(kind: Kind, names: Sequence[str], *, seed: int, where: str) -> list[Pair]:
    """Return each pair of ``names`` that is joined once, sorted by place in ``names``.

    Args:
        kind: the rule.
        names: in the order listed, which rings follow.
        seed: the network seed.
        where: the key of the scenario that holds the rule; names the stream and begins errors.

    Raises:
        ScenarioError: no such graph on so many nodes, or none that is connected.
    """
    num = len(names)
    match kind:
        case Complete() | FullMesh():
            numbers = [(a, b) for a in range(num) for b in range(a + 1, num)]
        case Ring():
            numbers = [(a, (a + 1) % num) for a in range(num)]
        case Star():
            hub = _place(kind.hub, names, f"{where}.hub")
            numbers = [(hub, other) for other in range(num) if other != hub]
        case RandomRegular():
            _check_degree(kind.degree, num, f"{where}.degree")
            numbers = _drawn("random_regular_graph", (kind.degree, num), num, seed, where)
        case SmallWorld():
            _check_neighbors(kind.neighbors, num, f"{where}.neighbors")
            numbers = _drawn("watts_strogatz_graph", (num, kind.neighbors, kind.rewire), num, seed, where)
        case ErdosRenyi():
            numbers = _drawn("gnp_random_graph", (num, kind.p), num, seed, where)
    once = sorted({(min(pair), max(pair)) for pair in numbers if pair[0] != pair[1]})
    return [(names[a], names[b]) for a, b in once]


def _drawn(
    generator: str, arguments: tuple[Any, ...], num: int, seed: int, where: str
) -> list[tuple[int, int]]:
    """The edges of the first graph that networkx draws connected."""
    import networkx as nx  # takes long to import, and most scenarios draw no graph

    for attempt in range(MAX_DRAWS):
        graph = getattr(nx, generator)(*arguments, seed=draw_seed(seed, where, attempt))
        if num < 2 or nx.is_connected(graph):
            return list(graph.edges)
    raise ScenarioError(
        f"{where}: none of {MAX_DRAWS} random graphs on {num} nodes is connected; join more of them"
    )


def _check_degree(degree: int, num: int, where: str) -> None:
    _check_room(degree, num, where)
    if degree * num % 2:
        other = degree - 1 if degree > 2 else degree + 1
        raise ScenarioError(
            f"{where}: {num} nodes of {degree} neighbors each have no whole number of links; write {other}"
        )
    if degree == 1 and num > 2:
        raise ScenarioError(f"{where}: 1 leaves {num} nodes in pairs that are not connected; write 2 or more")


def _check_neighbors(neighbors: int, num: int, where: str) -> None:
    _check_room(neighbors, num, where)
    if neighbors % 2:
        raise ScenarioError(
            f"{where}: {neighbors} is odd, half of them are on either side; write an even one"
        )


def _check_room(degree: int, num: int, where: str) -> None:
    if degree >= num:
        raise ScenarioError(
            f"{where}: {degree} neighbors need {degree + 1} nodes or more, there are {num}; write less"
        )


def _place(name: str, names: Sequence[str], where: str) -> int:
    if name not in names:
        raise ScenarioError(f'{where}: no site "{name}"{suggest(name, list(names))}')
    return names.index(name)

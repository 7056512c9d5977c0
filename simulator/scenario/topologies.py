"""Kinds of underlay and overlay, and routes by way of others: the typed form of ``network``.

A kind without settings of its own may be written as a word (``topology: ring``), and pairs of an
overlay as a list; inside the program both are the mapping with ``kind``.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from simulator.registry import Settings
from simulator.scenario.fields import Count, Name, Positive, Share
from simulator.units import Bytes, BytesPerSecond, Seconds

SERVER = "server"
STANDBY = "standby"
"""A machine of its own that waits to be the server."""
MACHINES = (SERVER, STANDBY)
"""Names of machines that are no sites."""
"""The server's name among the machines."""
ROOT = "core"
"""The router on top of a hierarchy, and the only one of a star."""
MAX_LINKS = 100_000
"""Two-way links of a core; a full mesh of 447 nodes has fewer."""
FIBER_KM_PER_S = 204_190.0
"""Speed of light in standard single-mode fiber (ITU-T G.652): group index 1.4682 at 1550 nm."""
PATH_STRETCH = 2.1
"""Length of a path of light over the great-circle distance, as a rule of thumb from measurements:
Bozkurt, Aqeel, Bhattacherjee, Chandrasekaran, Godfrey, Laughlin, Maggs, Singla, "Dissecting Latency in
the Internet's Fiber Infrastructure", arXiv 1811.10737, 2018. Where routes are chosen for latency 1.3.
"""


class Position(Settings):
    """Where on Earth a machine stands, in degrees; south and west are negative."""

    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]


class StarOfAccessLinks(Settings):
    """Every line ends in one core, which ``backbone`` may limit."""

    kind: Literal["star-of-access-links"] = "star-of-access-links"


class Graph(Settings):
    """The core is what ``links`` says."""

    kind: Literal["graph"] = "graph"


class Ring(Settings):
    """Everyone is joined to the next in the order listed, and the last to the first."""

    kind: Literal["ring"] = "ring"


class FullMesh(Settings):
    """A link of its own for every pair."""

    kind: Literal["full-mesh"] = "full-mesh"


class RandomRegular(Settings):
    """A random connected graph in which everyone has ``degree`` neighbors."""

    kind: Literal["random-regular"]
    degree: Count


class SmallWorld(Settings):
    """A ring in which everyone is joined to the ``neighbors`` nearest, half of them on either side; then
    one end of each link moves to a random place with probability ``rewire`` (Watts and Strogatz,
    "Collective dynamics of 'small-world' networks", Nature 393, 1998).
    """

    kind: Literal["small-world"]
    neighbors: Annotated[int, Field(ge=2)]
    rewire: Share


class Level(Settings):
    """One level of a hierarchy: how many routers hang under each router of the level above, and the
    line between the two.
    """

    branches: Count
    bandwidth: BytesPerSecond
    latency: Seconds
    loss: Share = 0.0
    buffer: Bytes | None = None


class Hierarchical(Settings):
    """A tree of routers under ``core``. The lines of sites end at its leaves, dealt one after the other
    in the order listed; those of the server and of relays end at ``core``.
    """

    kind: Literal["hierarchical"]
    levels: Annotated[tuple[Level, ...], Field(min_length=1, max_length=8)]


class Coordinates(Settings):
    """Links as long as the map says: great-circle distance x ``stretch`` / ``fiber_km_per_s``, added to
    the latency of ``core``. Without ``neighbors`` a full mesh; with it everyone is linked to as many
    nearest, and the shortest further links join what would stay apart.
    """

    kind: Literal["coordinates"]
    neighbors: Count | None = None
    stretch: Annotated[float, Field(ge=1)] = PATH_STRETCH
    fiber_km_per_s: Positive = FIBER_KM_PER_S


class File(Settings):
    """A graph from a file of the scenario's folder: edge list (.csv), .graphml or .gml. The loader puts
    what it says in its place, so a scenario that is loaded holds none.
    """

    kind: Literal["file"]
    path: str


class Complete(Settings):
    """Everyone may exchange with everyone."""

    kind: Literal["complete"] = "complete"


class Star(Settings):
    """Everyone exchanges with one site only."""

    kind: Literal["star"]
    hub: Name


class ErdosRenyi(Settings):
    """A random connected graph that has each pair with probability ``p``."""

    kind: Literal["erdos-renyi"]
    p: Annotated[float, Field(gt=0, le=1)]


class Pairs(Settings):
    """The pairs listed, both ways."""

    kind: Literal["pairs"] = "pairs"
    pairs: tuple[tuple[Name, Name], ...]


def _by_kind(value: Any) -> Any:
    if isinstance(value, str):
        return {"kind": value}
    if isinstance(value, list | tuple):  # of tuples, as a strict field that is handed Python values wants
        pairs = tuple(tuple(pair) if isinstance(pair, list) else pair for pair in value)
        return {"kind": "pairs", "pairs": pairs}
    return value


UnderlayKind = (
    StarOfAccessLinks
    | Graph
    | Ring
    | FullMesh
    | RandomRegular
    | SmallWorld
    | Hierarchical
    | Coordinates
    | File
)
OverlayKind = Complete | Ring | RandomRegular | SmallWorld | Star | ErdosRenyi | Pairs | File
_Underlays = Annotated[UnderlayKind, Field(discriminator="kind")]
_Overlays = Annotated[OverlayKind, Field(discriminator="kind")]
UnderlayField = Annotated[
    _Underlays,
    BeforeValidator(
        _by_kind,
        json_schema_input_type=Literal["star-of-access-links", "graph", "ring", "full-mesh"] | _Underlays,
    ),
]
OverlayField = Annotated[
    _Overlays,
    BeforeValidator(
        _by_kind,
        json_schema_input_type=Literal["complete", "ring"] | tuple[tuple[Name, Name], ...] | _Overlays,
    ),
]


class Core(Settings):
    """The links of a core that is generated, both directions; defaults for those read from a file."""

    bandwidth: BytesPerSecond
    latency: Seconds
    loss: Share = 0.0
    buffer: Bytes | None = None


class RouteSpec(Settings):
    """Traffic by way of another: into the line of ``via`` and out of it again.

    ``between`` says whose: that of every pair of sites, of all pairs with the server's, of pairs of
    which neither accepts connections (``outbound-only``), or of all pairs among the names listed. The
    first line that applies to a pair is taken. ``via`` itself is reached directly.
    """

    via: Name
    between: Literal["sites", "all", "outbound-only"] | Annotated[tuple[Name, ...], Field(min_length=2)]
    forward: Literal["cut-through", "store-and-forward"] = "cut-through"


def branches(kind: Hierarchical) -> Iterator[tuple[str, str, int]]:
    """Yield every router below the root with the one above it and the number of its level:
    ``region1``, ``region2``, …, under each of them ``region1-1``, ``region1-2``, ….
    """
    above = [ROOT]
    for number, level in enumerate(kind.levels):
        below = []
        for parent in above:
            stem = "region" if parent == ROOT else f"{parent}-"
            for branch in range(1, level.branches + 1):
                below.append(f"{stem}{branch}")
                yield below[-1], parent, number
        above = below


def leaves(kind: Hierarchical, spots: Sequence[str]) -> dict[str, str]:
    """Return the router of each site's line: the leaves in turn, and the root for the server."""
    last = len(kind.levels) - 1
    found = [name for name, _, number in branches(kind) if number == last]
    sites = [name for name in spots if name not in MACHINES]
    ends = {name: found[number % len(found)] for number, name in enumerate(sites)}
    return ends | {name: ROOT for name in spots if name in MACHINES}

"""Who exchanges with whom in a scenario, and whether there is a way; without searching any."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from simulator.errors import ScenarioError
from simulator.network.core import Spots, core_of
from simulator.network.overlay import Neighbors, overlay
from simulator.network.routes import passage_of
from simulator.registry import suggest
from simulator.scenario.conditions import Where
from simulator.scenario.schema import AccessLink, ScenarioBase
from simulator.scenario.targets import as_list
from simulator.scenario.topologies import MACHINES, SERVER, Pairs


def overlay_of(scenario: ScenarioBase, sites: Sequence[str]) -> Neighbors:
    """Return the neighbors among ``sites``, which take part; pairs with an unseen hospital fall away.

    Raises:
        ScenarioError: no such graph on so many sites.
    """
    kind = scenario.network.overlay
    if isinstance(kind, Pairs):
        kind = Pairs(pairs=tuple(pair for pair in kind.pairs if all(name in sites for name in pair)))
    return overlay(kind, sites, seed=scenario.seed.network)


def lines_of(scenario: ScenarioBase, machines: Collection[str]) -> dict[str, AccessLink]:
    """Return the lines of ``machines``, of the relays, and of whoever else passes on what others send."""
    wanted = {*machines, *(route.via for route in scenario.network.routes)}
    lines = {name: spec.link for name, spec in scenario.machines.items() if name in wanted}
    return lines | {relay.name: relay.link for relay in scenario.network.relays}


def spots_of(scenario: ScenarioBase) -> Spots:
    """Return the place on Earth of every site and the server, None where it has none."""
    return {name: spec.position for name, spec in scenario.machines.items()}


def check_wiring(
    scenario: ScenarioBase, sites: Sequence[str], neighbors: Mapping[str, Sequence[str]], *, has_server: bool
) -> None:
    """Refuse a core that cannot be, links that there are not, and pairs that exchange but of which
    neither accepts a connection: sites and the server where the method has one, else neighbors.

    Raises:
        ScenarioError: naming the key of the core's settings, the line with such a link, or the first
            such pair and where one of the two says so.
    """
    machines = [*sites, *(name for name in MACHINES if name in scenario.machines)] if has_server else sites
    lines = lines_of(scenario, machines)
    relays = {relay.name for relay in scenario.network.relays}
    core = core_of(
        scenario.network, spots_of(scenario), machines=lines, relays=relays, seed=scenario.seed.network
    )
    _check_links(scenario, [link.id for link in core.links])
    servers = (SERVER, *scenario.server.successors) if scenario.server is not None else ()
    pairs: Iterable[tuple[str, str]] = ((one, server) for server in servers for one in sites if one != server)
    if not has_server:
        pairs = ((site, peer) for site in sites for peer in neighbors[site])
    blocked = passage_of(scenario.network.routes, lines, machines).blocked(pairs)
    if blocked:
        raise ScenarioError(_no_way(scenario, *min(blocked)))


def _check_links(scenario: ScenarioBase, core: Sequence[str]) -> None:
    """Refuse lines of conditions and faults that name no link of the scenario, whoever takes part."""
    places: list[tuple[str, Where | None]] = []
    for number, condition in enumerate(scenario.network.conditions):
        places.append((f"network.conditions.{number}", condition))
    for number, fault in enumerate(scenario.faults):
        places += [(f"faults.{number}.set", fault.set), (f"faults.{number}.corrupt", fault.corrupt)]
    ends = [*scenario.machines, *(relay.name for relay in scenario.network.relays)]
    known = sorted({*core, *(f"{name}.{way}" for name in ends for way in ("up", "down"))})
    for place, where in places:
        for name in as_list(where.link) if where is not None else ():
            if name not in known:
                raise ScenarioError(f'{place}.link: no link "{name}"{suggest(name, known)}')


def _no_way(scenario: ScenarioBase, src: str, dst: str) -> str:
    number = [site.name for site in scenario.sites].index(src)
    return (
        f"sites.{number}.link.inbound: neither {src} nor {dst} accepts connections, and they exchange; "
        "add a way to network, routes: [{via: …, between: outbound-only}], or change the overlay"
    )

"""The underlay of a scenario: everybody's line, the core between them, and who passes on what."""

from collections.abc import Collection, Mapping

from simulator.errors import ScenarioError
from simulator.network.core import CoreGraph, Spots, core_of, require_capacity, require_passage, router
from simulator.network.routes import Passage, passage_of
from simulator.network.topology import Link, Topology
from simulator.network.wiring import lines_of, spots_of
from simulator.registry import suggest
from simulator.scenario.schema import AccessLink, NetworkSpec, ScenarioBase


def underlay_of(scenario: ScenarioBase, machines: Collection[str]) -> Topology:
    """Return the underlay of a scenario.

    Args:
        scenario: that has been checked.
        machines: the sites that take part, and the server if the method has one. Others have no line
            unless traffic goes by way of them, but every one has its router in a core that is
            generated, so that the core is the same for every method.

    Raises:
        ScenarioError: a link without capacity, a pair without a route, a graph that cannot be.
    """
    lines, spots = lines_of(scenario, machines), spots_of(scenario)
    passage = passage_of(scenario.network.routes, lines, machines)
    return build(scenario.network, lines, seed=scenario.seed.network, spots=spots, passage=passage)


def build(
    network: NetworkSpec,
    lines: Mapping[str, AccessLink],
    *,
    seed: int,
    spots: Spots | None = None,
    passage: Passage | None = None,
) -> Topology:
    """Return nodes, links and routes.

    A line ends at the router that it names, else where the topology says; traffic of others that
    passes there does not load it.

    Args:
        network: as in the scenario.
        lines: of everybody who has one, in the order listed.
        seed: the network seed, of cores that are drawn.
        spots: sites and server in the order listed, with their places on Earth; by default those
            with a line that are no relays.
        passage: who passes on what; by default nobody.

    Raises:
        ScenarioError: a link without capacity, a line that ends nowhere, a pair without a route, a
            graph that cannot be.
    """
    for name, line in lines.items():
        for direction in ("up", "down"):
            require_capacity(f"link of {name}: {direction}", getattr(line, direction))
        require_passage(f"link of {name}: loss", line.loss)
    relays = {relay.name for relay in network.relays}
    if spots is None:
        spots = {name: None for name in lines if name not in relays}
    core = core_of(network, spots, machines=lines, relays=relays, seed=seed)
    routers = core.routers()
    links = list(core.links)
    for name, line in lines.items():
        links += _access(name, line, *_ends(name, line, core, routers))
    topology = Topology(nodes=lines, links=links, passage=passage)
    first, *others = lines
    for name in others:  # all links go both ways, so what one node reaches, every node reaches
        topology.direct(first, name)
    return topology


def _ends(name: str, line: AccessLink, core: CoreGraph, routers: Collection[str]) -> tuple[str, str]:
    """Where a line goes into the core and where it comes from."""
    if line.to is None:
        if name not in core.ends:
            raise ScenarioError(f"network.links: {name} is in no link; add one with a: {name}")
        return core.ends[name]
    end = router(line.to)
    if end not in routers:
        hint = suggest(line.to, sorted(known.removeprefix("@") for known in routers))
        raise ScenarioError(f'link of {name}: to: no router "{line.to}"{hint}')
    return end, end


def _access(name: str, line: AccessLink, entry: str, leave: str) -> list[Link]:
    return [
        Link(
            id=f"{name}.{way}",
            src=src,
            dst=dst,
            bytes_per_s=rate,
            latency_s=line.latency,
            loss=line.loss,
            buffer_nbytes=line.buffer,
            jitter_s=line.jitter,
        )
        for way, src, dst, rate in (("up", name, entry, line.up), ("down", leave, name, line.down))
    ]

"""Ways by way of others: relays, VPN hubs, a proxy, and sites that accept no connection.

A pair's way is direct unless a line of ``network.routes`` applies. Toward a site that accepts no
connection the connection is opened from inside: the sender announces the transfer on a connection that
the site keeps open, and the site comes for it, one round trip later than if it could be reached. Two
such sites reach each other only by way of a relay; both keep a connection open to it, so nothing is
late.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from simulator.scenario.schema import AccessLink
from simulator.scenario.topologies import MACHINES, RouteSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Who passes on what, and who accepts no connection; by default everybody is reached directly.

    Args:
        routes: in the order of the scenario; the first that applies to a pair is taken.
        sites: those that take part.
        machines: sites and the server, without those that only pass on.
        closed: who opens connections but accepts none.
    """

    routes: tuple[RouteSpec, ...] = ()
    sites: frozenset[str] = frozenset()
    machines: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()

    def by(self, src: str, dst: str) -> RouteSpec | None:
        """Return the line that applies to a pair, the same for both directions."""
        return next((route for route in self.routes if self._applies(route, src, dst)), None)

    def _applies(self, route: RouteSpec, src: str, dst: str) -> bool:
        if route.via in (src, dst):
            return False
        members: Collection[str]
        match route.between:
            case "sites":
                members = self.sites
            case "all":
                members = self.machines
            case "outbound-only":
                members = self.closed
            case names:
                members = names
        return src in members and dst in members

    def is_pulled(self, src: str, dst: str) -> bool:
        """Whether the receiver opens the connection, because it accepts none."""
        return dst in self.closed and self.by(src, dst) is None

    def blocked(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the pairs of which neither accepts a connection and that nobody joins."""
        shut = [(a, b) for a, b in pairs if a in self.closed and b in self.closed]
        return [(a, b) for a, b in shut if self.by(a, b) is None]


def passage_of(
    routes: tuple[RouteSpec, ...], lines: Mapping[str, AccessLink], machines: Collection[str]
) -> Passage:
    """Return the passage among machines.

    Args:
        routes: as in the scenario.
        lines: of sites, server and relays.
        machines: the sites that take part, and the server if the method has one.
    """
    return Passage(
        routes=routes,
        sites=frozenset(machines) - set(MACHINES),
        machines=frozenset(machines),
        closed=frozenset(name for name, line in lines.items() if not line.inbound),
    )

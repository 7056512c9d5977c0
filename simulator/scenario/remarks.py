"""What a scenario may say of its network but hardly means: settings that nothing looks at."""

from collections.abc import Collection, Iterator

from simulator.scenario.locate import Finding, KeyPath
from simulator.scenario.schema import ScenarioBase
from simulator.scenario.topologies import SERVER
from simulator.scenario.traces import parse_csv
from simulator.scenario.transmission import TransportSpec

_EVERYTHING = ("loss", "buffer", "jitter")


def idle_settings(scenario: ScenarioBase) -> Iterator[Finding]:
    """Yield settings of links that the tier or the preset does not look at, one for each key with the
    number of places, and relays that no route names.
    """
    yield from _relays(scenario)
    names, why = _unseen(scenario.network.transport)
    for name in names:
        paths = list(_places(scenario, name))
        if paths:
            more = f" (and in {len(paths) - 1} more)" if len(paths) > 1 else ""
            effect = "delays control messages only" if name == "jitter" else "has no effect"
            message = f"{effect} {why}{more}; remove it, or choose another {why.split()[1]}"
            yield Finding(path=paths[0], message=message, of_key=True)


def _relays(scenario: ScenarioBase) -> Iterator[Finding]:
    used = {route.via for route in scenario.network.routes}
    for number, relay in enumerate(scenario.network.relays):
        if relay.name not in used:
            message = f"no route goes by way of {relay.name}; add routes: [{{via: {relay.name}, between: …}}]"
            yield Finding(path=("network", "relays", number, "name"), message=message)


def _unseen(spec: TransportSpec) -> tuple[Collection[str], str]:
    """Which settings of links make no difference, and under what."""
    if spec.tier.startswith("simgrid"):
        return _EVERYTHING, f"under tier {spec.tier}"
    if spec.preset == "ideal":
        return _EVERYTHING, "under preset ideal"
    if spec.preset == "tcp-bbr" and spec.tier == "share":  # its weight has no queue in it
        return ("buffer",), "under preset tcp-bbr in tier share"
    return (), ""


def _places(scenario: ScenarioBase, name: str) -> Iterator[KeyPath]:
    """Where links are given a ``name``, other than none."""
    network = scenario.network
    holders: list[tuple[KeyPath, object]] = [
        (("sites", number, "link"), site.link) for number, site in enumerate(scenario.sites)
    ]
    if scenario.server is not None:
        holders.append(((SERVER, "link"), scenario.server.link))
    holders += [(("network", "relays", i, "link"), relay.link) for i, relay in enumerate(network.relays)]
    holders += [(("network", "links", i), link) for i, link in enumerate(network.links)]
    holders.append((("network", "core"), network.core))
    holders += [(("faults", i, "set"), fault.set) for i, fault in enumerate(scenario.faults)]
    yield from ((*path, name) for path, holder in holders if _is_given(getattr(holder, name, None), name))
    if name == "loss":
        for number, condition in enumerate(network.conditions):
            trace = condition.trace
            if trace is not None and trace.csv is not None and name in parse_csv(trace.csv).values:
                yield "network", "conditions", number, "trace"


def _is_given(value: float | None, name: str) -> bool:
    return value is not None and (value > 0 or name == "buffer")

"""What ``medgossip network ping`` and ``transfer`` do and print."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import isinf
from typing import TypeVar

from simulator.commands.endings import reader_may_leave
from simulator.commands.tables import print_table
from simulator.errors import ScenarioError
from simulator.probe import Delivery, Echo, Pair, Probe, same_network
from simulator.registry import suggest
from simulator.scenario.load import Study, load_study
from simulator.units import short

Answer = TypeVar("Answer")

_CUT = "cut"
_HOPS = {
    "link": "link",
    "src": "from",
    "dst": "to",
    "bytes_per_s": "bandwidth",
    "latency_s": "latency",
    "loss": "loss",
    "state": "state",
}
_DELIVERIES = {
    "src": "from",
    "dst": "to",
    "duration_s": "duration",
    "bytes_per_s": "rate",
    "wire_nbytes": "on the wire",
    "retries": "retries",
    "outcome": "outcome",
}


def load(name: str, overrides: Sequence[str], label: str | None) -> Study:
    """Return the study with the one run whose network is meant.

    Raises:
        ScenarioError: what is wrong with the scenario, or runs whose networks differ.
    """
    study = load_study(name, overrides).only([label] if label else [])
    first = study.points[0]
    for point in study.points[1:]:
        if not same_network(first.scenario, point.scenario):
            labels = f"{first.label} and {point.label}"
            raise ScenarioError(f"{name}: the networks of {labels} differ; choose one with --only RUN")
    return study.only([first.label])


def ping_nodes(
    study: Study, senders: Sequence[str], receivers: Sequence[str], at_s: float, as_json: bool
) -> bool:
    """Ping and print; return False if a single pair was asked for and is cut.

    Raises:
        ScenarioError: an unknown node, or a single pair without a route.
    """
    probe = Probe(study.points[0].scenario, at_s)
    pairs = _pairs(probe.nodes, senders, receivers)
    if len(pairs) == 1:
        echo = probe.ping(*pairs[0])
        with reader_may_leave():
            _print_json([_echo_json(echo)], at_s) if as_json else _print_echo(echo)
        return not echo.obstacle
    echoes = _routed(pairs, lambda pair: probe.ping(*pair))
    with reader_may_leave():
        if as_json:
            _print_json([_echo_json(echo) for echo in echoes.values()], at_s)
        else:
            answers = {pair: _CUT if e.obstacle else short(e.rtt_s, "duration") for pair, e in echoes.items()}
            _print_matrix("round trip", pairs, answers)
            rates = {pair: _CUT if e.obstacle else _rate(e.bytes_per_s) for pair, e in echoes.items()}
            print()
            _print_matrix("bottleneck", pairs, rates)
            for obstacle in sorted({echo.obstacle for echo in echoes.values()} - {""}):
                print(f"{_CUT}: {obstacle}")
    return True


def transfer_between(
    study: Study,
    senders: Sequence[str],
    receivers: Sequence[str],
    *,
    nbytes: int,
    at_s: float,
    concurrent: int,
    as_json: bool,
) -> bool:
    """Transfer and print; return False if one of the transfers that were named failed.

    Raises:
        ScenarioError: an unknown node, or a named pair without a route.
    """
    probe = Probe(study.points[0].scenario, at_s)
    pairs = _pairs(probe.nodes, senders, receivers)
    named = bool(senders) and bool(receivers)
    if named:
        found = {("", ""): probe.transfer([pair for pair in pairs for _ in range(concurrent)], nbytes)}
    else:
        found = _routed(pairs, lambda pair: probe.transfer([pair] * concurrent, nbytes))
    deliveries = [one for several in found.values() for one in several]
    with reader_may_leave():
        if as_json:
            _print_json([asdict(one) for one in deliveries], at_s)
        elif named:
            _print_deliveries(deliveries)
        else:
            times = {pair: _time_of(several) for pair, several in found.items()}
            _print_matrix(short(nbytes, "size"), pairs, times)
    return not named or not any(one.reason for one in deliveries)


def _pairs(nodes: Sequence[str], senders: Sequence[str], receivers: Sequence[str]) -> list[Pair]:
    for option, names in (("--from", senders), ("--to", receivers)):
        for name in names:
            if name not in nodes:
                raise ScenarioError(f'{option} {name}: no node "{name}"{suggest(name, list(nodes))}')
    pairs = [(a, b) for a in senders or nodes for b in receivers or nodes if a != b]
    if not pairs:
        raise ScenarioError(f"--to {' '.join(receivers)}: the sender itself; name two nodes")
    return list(dict.fromkeys(pairs))


def _routed(pairs: Sequence[Pair], ask: Callable[[Pair], Answer]) -> dict[Pair, Answer]:
    """The answers by pair, without those that have no route."""
    found = {}
    for pair in pairs:
        try:
            found[pair] = ask(pair)
        except ScenarioError:
            continue  # shown as missing
    return found


def _print_echo(echo: Echo) -> None:
    hops = [{**asdict(hop), "state": "up" if hop.is_up else "down"} for hop in echo.hops]
    print_table([{**hop, "bytes_per_s": _rate(hop["bytes_per_s"])} for hop in hops], _HOPS)
    where = f" ({echo.bottleneck})" if echo.bottleneck else ""
    print(f"round trip: {short(echo.rtt_s, 'duration')} without queues")
    print(f"bottleneck: {_rate(echo.bytes_per_s)}{where}")
    if echo.obstacle:
        print(f"no answer: {echo.obstacle}")


def _print_deliveries(deliveries: Sequence[Delivery]) -> None:
    rows = []
    for one in deliveries:
        speed = None if one.reason else _rate(one.bytes_per_s)
        rows.append({**asdict(one), "bytes_per_s": speed, "outcome": one.reason or "delivered"})
    print_table(rows, _DELIVERIES)
    if len(deliveries) > 1 and not any(one.reason for one in deliveries):
        print(f"all delivered after {short(max(one.duration_s for one in deliveries), 'duration')}")


def _time_of(deliveries: Sequence[Delivery]) -> str:
    """How long they took, or why not all came."""
    reasons = sorted({one.reason for one in deliveries} - {""})
    if reasons:
        return ", ".join(reasons)
    return short(max(one.duration_s for one in deliveries), "duration")


def _print_matrix(corner: str, pairs: Sequence[Pair], cells: Mapping[Pair, str]) -> None:
    """Senders down, receivers across."""
    receivers = sorted({dst for _, dst in pairs})
    rows = []
    for src in sorted({src for src, _ in pairs}):
        across = {dst: cells.get((src, dst), "no route" if src != dst else "") for dst in receivers}
        rows.append({"": src} | across)
    print_table(rows, {"": f"{corner}, from"} | {dst: f"to {dst}" for dst in receivers})


def _echo_json(echo: Echo) -> dict[str, object]:
    return {**asdict(echo), "hops": [asdict(hop) for hop in echo.hops]}


def _print_json(rows: Sequence[object], at_s: float) -> None:
    print(json.dumps(_finite({"at_s": at_s, "pairs": rows}), indent=2))


def _finite(value: object) -> object:
    """JSON knows no infinity: an unlimited rate is null."""
    if isinstance(value, float) and isinf(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


def _rate(bytes_per_s: float) -> str:
    return short(bytes_per_s, "rate")

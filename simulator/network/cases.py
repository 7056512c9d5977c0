"""Reference cases: completion times of the same transfers in other systems, and our own of them.

The format is JSON: ``cases[]`` with a topology of two-way links, flows with explicit routes
(``"id~"`` is a link against its direction), events and, per system, ``reference`` seconds per flow.
Rates there are bits per second. A UDP flow is background: its rate is taken off its links (under
SimGrid's models it is a flow among others), and it is not scored. Flows of the same size, start and
path shape are interchangeable: both sides are sorted within such a class before they are compared.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import simpy

from simulator.errors import TransferFailed
from simulator.network.case_files import Case, read
from simulator.network.simgrid import MODELS
from simulator.network.topology import Link, Topology
from simulator.network.transport import Network
from simulator.record.ledger import Ledger
from simulator.rng import stream
from simulator.scenario.transmission import TransportSpec

__all__ = [
    "Case",
    "Errors",
    "against",
    "compare",
    "interchangeable",
    "makespan",
    "matched",
    "predict",
    "read",
    "scored",
]

UDP_SHARE = 0.97
"""In SimGrid a UDP flow goes first through a link of its own of 1/0.97 its rate, under either model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Relative errors of one case against a reference: of each flow, their mean, the makespan."""

    flows: tuple[float, ...]
    mean: float
    makespan: float


def scored(case: Case) -> list[int]:
    """Return the indices of the flows that are compared."""
    return [i for i, flow in enumerate(case["flows"]) if flow["kind"] == "tcp"]


def predict(case: Case, *, seed: int = 1, tier: str = "share", drawn: set[str] | None = None) -> list[float]:
    """Return our completion times in seconds of the flows scored, each from its own start; ``inf`` for
    one that never ends. ``drawn`` gets the names of the streams of chance that were used.
    """

    def chance(name: str) -> np.random.Generator:
        if drawn is not None:
            drawn.add(name)
        return stream(seed, "network", name)

    env, tcp = simpy.Environment(), case["tcp"]
    settings = {"preset": f"tcp-{tcp['cc']}", "window": f"{tcp['wmax']} B", "stall_timeout": "1 d"}
    spec = TransportSpec.model_validate({"tier": tier, **settings})
    sent = scored(case) if tier not in MODELS else list(range(len(case["flows"])))
    background = _background(case, [i for i in range(len(case["flows"])) if i not in sent])
    topology = _topology(case, sent, background)
    network = Network(env, topology, spec, stream=chance, ledger=Ledger())
    ends: dict[int, float] = {}
    for i in sent:
        env.process(_send(env, network, i, case["flows"][i]["start"], case["flows"][i]["bytes"], ends))
    env.process(_apply(env, network, case["events"], background))
    env.run()
    network.close()
    return [ends.get(i, inf) - case["flows"][i]["start"] for i in scored(case)]


def _send(
    env: simpy.Environment, network: Network, i: int, start_s: float, nbytes: int, ends: dict[int, float]
) -> Generator[simpy.Event, Any, None]:
    yield env.timeout(start_s)
    transfer = network.transfer(f"s{i}", f"d{i}", nbytes, kind="case", round=None, control=False)
    with suppress(TransferFailed):
        yield transfer.event
        ends[i] = env.now


def _apply(
    env: simpy.Environment, network: Network, events: list[Case], background: Mapping[str, float]
) -> Generator[simpy.Event, Any, None]:
    for event in events:
        yield env.timeout(event["t"] - env.now)
        for id, suffix in ((event["link"], ""), (f"{event['link']}~", "_rev")):
            match event["kind"]:
                case "down" | "up":
                    network.set_link(id, up=event["kind"] == "up")
                case "bw":
                    rate = event[f"bandwidth{suffix}"] - background.get(id, 0.0)
                    network.set_link(id, bytes_per_s=rate / 8)
                case "delay":
                    network.set_link(id, latency_s=event["latency"])


def _background(case: Case, flows: Sequence[int]) -> dict[str, float]:
    """Bits per second that the UDP flows given take off links."""
    taken: dict[str, float] = {}
    for i in flows:
        for id in case["flows"][i]["route"]:
            taken[id] = taken.get(id, 0.0) + case["flows"][i]["rate"]
    return taken


def _topology(case: Case, sent: Sequence[int], background: Mapping[str, float]) -> Topology:
    """Both directions of every link; each flow sent has ends of its own, so that its route is its
    own. A UDP flow that is sent begins with a link of its rate.
    """
    links = [link for spec in case["topology"]["links"] for link in _both_ways(spec, background)]
    routes, ends = {}, []
    for i in sent:
        flow, src, dst = case["flows"][i], f"s{i}", f"d{i}"
        there = tuple(flow["route"])
        routes[dst, src] = tuple(against(id) for id in reversed(there))
        if flow["kind"] == "udp":
            rate = flow["rate"] / 8 / UDP_SHARE
            links.append(Link(id=f"{src}.udp", src=src, dst=flow["src"], bytes_per_s=rate, latency_s=0.0))
            there = (f"{src}.udp", *there)
        routes[src, dst] = there
        ends += [src, dst]
    return Topology(nodes=[*case["topology"]["nodes"], *ends], links=links, routes=routes)


def _both_ways(spec: Case, background: Mapping[str, float]) -> Iterator[Link]:
    ways = (
        (spec["id"], spec["src"], spec["dst"], spec["bandwidth"], spec["queue"]),
        (f"{spec['id']}~", spec["dst"], spec["src"], spec["bandwidth_rev"], spec["queue_rev"]),
    )
    for id, src, dst, rate, queue in ways:
        yield Link(
            id=id,
            src=src,
            dst=dst,
            bytes_per_s=(rate - background.get(id, 0.0)) / 8,
            latency_s=spec["latency"],
            loss=spec["loss"],
            buffer_nbytes=queue,
        )


def against(id: str) -> str:
    """Return the id of a link's other direction."""
    return id[:-1] if id.endswith("~") else f"{id}~"


def matched(case: Case, predicted: Sequence[float], system: str) -> list[tuple[int, float, float]]:
    """Return (flow, predicted seconds, reference seconds), twins sorted on both sides; the flow is the
    one that the reference time is of.
    """
    measured = case["reference"][system]
    ours_of = dict(zip(scored(case), predicted, strict=True))
    triples = []
    for twins in interchangeable(case):
        by_time = sorted(twins, key=lambda i: (measured[i], i))
        ours = sorted(ours_of[i] for i in twins)
        triples += [(i, seconds, measured[i]) for i, seconds in zip(by_time, ours, strict=True)]
    return sorted(triples)


def compare(case: Case, predicted: Sequence[float], system: str) -> Errors:
    """Return the errors of ``predicted`` against ``case["reference"][system]``."""
    reference = [case["reference"][system][i] for i in scored(case)]
    return Errors(
        flows=tuple(abs(a / b - 1) for _, a, b in matched(case, predicted, system)),
        mean=abs(sum(predicted) / sum(reference) - 1),
        makespan=abs(makespan(case, predicted) / makespan(case, reference) - 1),
    )


def interchangeable(case: Case) -> list[list[int]]:
    """Return the indices of the flows scored, in classes of the same size, start and path shape."""
    classes: dict[tuple[Any, ...], list[int]] = {}
    for i in scored(case):
        classes.setdefault(_shape(case, case["flows"][i]), []).append(i)
    return list(classes.values())


def _shape(case: Case, flow: Case) -> tuple[Any, ...]:
    links = {link["id"]: link for link in case["topology"]["links"]}
    hops = []
    for id in flow["route"]:
        link = links[id.rstrip("~")]
        rates = (link["bandwidth"], link["bandwidth_rev"])
        hops.append((*(rates[::-1] if id.endswith("~") else rates), link["latency"], link["loss"]))
    return flow["bytes"], flow["start"], tuple(hops)


def makespan(case: Case, seconds: Sequence[float]) -> float:
    """Return the seconds from the first start to the last end of the flows scored."""
    starts = [case["flows"][i]["start"] for i in scored(case)]
    return float(max(start + span for start, span in zip(starts, seconds, strict=True)) - min(starts))

"""List network cases of round numbers: the textbook settings that people try a simulator with first.

    python tools/linux_reference/grid.py -o grid.json [--without ../shared/network/cases.json]

Rates of 10, 50, 100 and 1000 Mbit/s, latencies of 1 to 50 ms, queues of 50 ms and 64 packets at least,
1 to 100 MB. The cases have no reference yet; ``measure.py`` adds it.
"""

import argparse
import itertools
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shapes import GOODPUT, LAN, UNITS, case, dumbbell, flow, link, through

LONGEST_S = 26.0
M = 1e6

Case = dict[str, Any]


def lone(id: str, rate: float, latency: float, nbytes: float, **more: Any) -> Case:
    """One flow over one link of so many Mbit/s, milliseconds and MB."""
    id = f"{id}_{rate:g}M_{latency:g}ms_{nbytes:g}MB"
    kept = {key: more.pop(key) for key in ("cc", "wmax", "events") if key in more}
    return case(
        id, [link("a", "b", rate * M, latency / 1e3, **more)], [flow(["a-b"], int(nbytes * M))], **kept
    )


def singles() -> Iterator[Case]:
    """Every rate with every latency and size that is done in time."""
    for rate, latency, nbytes in itertools.product((10, 50, 100), (5, 10, 20, 50), (1, 10, 100)):
        if nbytes * 1e6 / (rate * 1e6 * GOODPUT) < LONGEST_S:
            yield lone("single", rate, latency, nbytes)
    for latency, nbytes in itertools.product((1, 5, 20, 50), (10, 100)):
        yield lone("single", 1000, latency, nbytes)


def windows() -> Iterator[Case]:
    """Windows below, at and above the bandwidth-delay product."""
    for kib, (rate, latency, nbytes) in itertools.product(
        (64, 256, 1024), ((50, 20, 20), (100, 50, 20), (100, 10, 50))
    ):
        if nbytes * 1e6 / (kib * 1024 / (2e-3 * latency)) < LONGEST_S:
            yield lone(f"window_{kib}K", rate, latency, nbytes, wmax=kib * 1024)


def buffers() -> Iterator[Case]:
    """Queues from 64 packets to two bandwidth-delay products."""
    for queue, (rate, latency) in itertools.product((10, 20, 40, 80), ((100, 20), (50, 20))):
        yield lone(f"buffer_{queue}ms", rate, latency, 100, buffer_s=queue / 1e3)


def controls() -> Iterator[Case]:
    """Reno and BBR without loss."""
    for name, (rate, latency, nbytes) in itertools.product(
        ("reno", "bbr"), ((100, 10, 100), (100, 50, 100), (10, 20, 10), (50, 20, 50))
    ):
        yield lone(f"cc_{name}", rate, latency, nbytes, cc=name)


def losses() -> Iterator[Case]:
    """Loss of 0.01, 0.1, 1 and 2 %."""
    for percent, latency, name in itertools.product((0.01, 0.1, 1, 2), (10, 50), ("cubic", "reno", "bbr")):
        bound = math.sqrt(1.5 / (percent / 100)) * 1448 / (2e-3 * latency)  # Mathis et al., CCR 27(3), 1997
        rate = 12e6 if name == "bbr" else min(12e6, bound)
        nbytes = max(size for size in (1, 2, 5, 10, 20, 50, 100) if size * 1e6 < max(rate * 14, 1.1e6))
        yield lone(f"loss_{percent}pct_{name}", 100, latency, nbytes, loss=percent / 100, cc=name)


def crowds() -> Iterator[Case]:
    """Equal flows over a bottleneck of 100 Mbit/s, and flows of two and four round-trip times."""
    for count, name in itertools.product((2, 4, 8, 16), ("cubic", "reno")):
        nbytes = {2: 80, 4: 40, 8: 20, 16: 10}[count]
        flows = [flow(through(i), nbytes * 10**6) for i in range(count)]
        links = dumbbell(100 * M, 0.01, [0.001] * count)
        yield case(f"shared_{count}x{nbytes}MB_100M_{name}", links, flows, cc=name)
    for far, name in itertools.product(((2, 45), (2, 15, 25, 45)), ("cubic", "bbr")):
        flows = [flow(through(i), (60 if len(far) == 2 else 30) * 10**6) for i in range(len(far))]
        links = dumbbell(100 * M, 0.005, [latency / 1e3 for latency in far])
        yield case(f"rtt_{len(far)}flows_100M_{name}", links, flows, cc=name)
    for rates in ((10, 100), (20, 20, 100, 100), (5, 10, 20, 50, 100)):
        flows = [flow(through(i), 15 * 10**6) for i in range(len(rates))]
        links = dumbbell(100 * M, 0.01, [0.001] * len(rates), [rate * M for rate in rates])
        yield case(f"access_{'_'.join(map(str, rates))}", links, flows)


def arrivals() -> Iterator[Case]:
    """Poisson arrivals, near and mixed, and a flow that meets two long ones."""
    for rate, far in itertools.product((40, 100), ((2,), (2, 20, 40))):
        draw, time, flows = random.Random(f"{rate} {far}"), 0.0, []
        for i in range(12):
            time += draw.expovariate(0.6)
            nbytes = int(max(draw.lognormvariate(0.6, 1.0), 0.3) * rate / 40 * 1e6)
            flows.append(flow(through(i), nbytes, start=round(time, 3)))
        links = dumbbell(rate * M, 0.005, [far[i % len(far)] / 1e3 for i in range(12)])
        yield case(f"stagger_12_{rate}M_{len(far)}rtts", links, flows)
    for udp in (20, 40, 80):
        noise = flow(through(1), 2 * 10**9) | {"kind": "udp", "rate": udp * M, "background": True}
        yield case(
            f"cross_udp{udp}_100M",
            dumbbell(100 * M, 0.01, [0.001] * 2),
            [flow(through(0), (100 - udp) * 10**6), noise],
        )


def stars() -> Iterator[Case]:
    """Uploads to a server and downloads from it, equal and unlike access; gossip among such sites."""
    rates = (10, 20, 20, 50, 50, 100, 100, 100)
    for server, way in itertools.product((50, 100), ("up", "down")):
        for name, sites in (("5x100M", (100,) * 5), ("8het", rates)):
            links = [link("srv", "core", server * M, 0.002)]
            links += [link(f"h{i}", "core", r * M, 0.005 + 0.004 * i) for i, r in enumerate(sites)]
            routes = [[f"h{i}-core", "srv-core~"] for i in range(len(sites))]
            if way == "down":
                routes = [["srv-core", f"h{i}-core~"] for i in range(len(sites))]
            id = f"star_{way}_{name}_srv{server}M"
            yield case(id, links, [flow(route, 10**7) for route in routes])
    for count, steps in ((8, (1,)), (8, (1, 3)), (5, (1, 2))):
        links = [link(f"h{i}", "core", r * M, 0.004 + 0.003 * i) for i, r in enumerate(rates[:count])]
        pairs = [(i, (i + step) % count) for step in steps for i in range(count)]
        flows = [flow([f"h{i}-core", f"h{j}-core~"], 8 * 10**6) for i, j in pairs]
        yield case(f"gossip_{count}_{len(pairs)}flows", links, flows)
    for down, up in ((100, 20), (50, 5), (20, 1)):
        links = [link("h", "isp", up * M, 0.008, back=down * M), link("isp", "srv", LAN, 0.01)]
        both = [flow(["isp-srv~", "h-isp~"], down * 10**6), flow(["h-isp", "isp-srv"], up * 10**6)]
        yield case(f"asym_down_{down}_{up}", links, both[:1])
        yield case(f"asym_both_{down}_{up}", links, both)
    for number in (2, 3, 6):
        links = [
            link(f"n{i}", f"n{i + 1}", r * M, 0.005)
            for i, r in enumerate((100, 30, 1000, 50, 100, 30)[:number])
        ]
        yield case(f"multihop_{number}links", links, [flow([one["id"] for one in links], 25 * 10**6)])


def changes() -> Iterator[Case]:
    """Outages, steps of the rate, a wandering latency."""
    for lasts in (0.2, 1, 2, 5, 10):
        events = [
            {"t": 2.0 + late, "link": "a-b", "kind": kind} for late, kind in ((0, "down"), (lasts, "up"))
        ]
        yield lone(f"fail_{lasts:g}s", 100, 20, 50, events=events)
        yield lone(f"fail_{lasts:g}s", 20, 10, 12, events=events)
    steps = {
        "100_10_100": ((3, 10), (9, 100)),
        "50_100": ((4, 100),),
        "100_50": ((3, 50),),
        "10_80": ((6, 80),),
    }
    for name, moves in steps.items():
        events = [
            {"t": t, "link": "a-b", "kind": "bw", "bandwidth": r * M, "bandwidth_rev": r * M}
            for t, r in moves
        ]
        yield lone(f"trace_{name}", float(name.split("_")[0]), 20, 70, events=events)
    for low, high, every in ((10, 14, 0.25), (15, 35, 0.5), (5, 60, 0.5), (20, 60, 1.0)):
        draw = random.Random(f"{low} {high}")
        times = [round(every * (i + 1), 3) for i in range(int(20 / every))]
        events = [
            {"t": t, "link": "a-b", "kind": "delay", "latency": round(draw.uniform(low, high) / 1e3, 5)}
            for t in times
        ]
        yield lone(f"jitter_{low}_{high}", 50, (low + high) / 2, 40, events=events)


def everything() -> Iterator[Case]:
    """Yield all cases, each with its group: the first word of its id."""
    for kind in (singles, windows, buffers, controls, losses, crowds, arrivals, stars, changes):
        for one in kind():
            yield {"group": one["id"].split("_")[0], **one}


def main() -> None:
    """Write the cases that the other file does not have."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without", type=Path, help="leave out cases with the ids of this file")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    known = json.loads(options.without.read_text(encoding="utf-8"))["cases"] if options.without else []
    ids = {one["id"] for one in known}
    cases = [one for one in everything() if one["id"] not in ids]
    options.output.write_text(json.dumps({"meta": {"units": UNITS}, "cases": cases}), encoding="utf-8")


if __name__ == "__main__":
    main()

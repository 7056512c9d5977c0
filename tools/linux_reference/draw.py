"""Draw network cases of the kinds that the model is judged on, with hospital-like numbers.

    python tools/linux_reference/draw.py --seed 1 --each 4 -o drawn.json [--group star ...]

The cases have no reference yet; ``measure.py`` adds it. The same seed draws the same cases, whichever
groups are asked for. Sizes follow from a wanted duration, so that a repetition takes about 25 s at most.
"""

import argparse
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shapes import LAN, UNITS, case, dumbbell, flow, label, link, pair, size, spread, through

Case = dict[str, Any]
Draw = random.Random


def single(draw: Draw) -> Case:
    """One flow, from a DSL line to 1 Gbit/s."""
    if draw.random() < 0.2:
        return pair(draw, "single", rates=(3e8, 1e9), latencies=(0.001, 0.02), seconds=(0.2, 1))
    return pair(draw, "single", rates=(2e6, 2e8))


def window(draw: Draw) -> Case:
    """A receiver that advertises less than the bandwidth-delay product, or about as much."""
    wmax = draw.choice([64, 128, 192, 256, 512, 768]) * 1024
    return pair(
        draw,
        f"window_{wmax // 1024}K",
        rates=(2e7, 3e8),
        latencies=(0.008, 0.08),
        wmax=wmax,
        rate_of=lambda latency: wmax * 8 / (2 * latency),
    )


def buffer(draw: Draw) -> Case:
    """A queue of 5 to 50 ms."""
    buffer_s = spread(draw, 0.005, 0.05)
    name = f"buffer_{buffer_s * 1e3:g}ms"
    return pair(
        draw, name, rates=(1e7, 1.5e8), latencies=(0.005, 0.05), buffer_s=buffer_s, least=16, seconds=(4, 12)
    )


def cc(draw: Draw) -> Case:
    """Reno or BBR instead of CUBIC."""
    name = draw.choice(["reno", "bbr"])
    return pair(draw, f"cc_{name}", cc=name, buffer_s=draw.choice([0.02, 0.05, 0.1]), seconds=(2, 12))


def loss(draw: Draw) -> Case:
    """Random loss of 0.01 to 3 %."""
    share, name = spread(draw, 1e-4, 0.03), draw.choice(["cubic", "cubic", "cubic", "reno", "bbr"])
    bound = 1.0 if name == "bbr" else math.sqrt(1.5 / share) * 1448 * 8  # Mathis et al., CCR 27(3), 1997
    return pair(
        draw,
        f"loss_{share * 100:g}pct_{name}",
        rates=(5e6, 1e8),
        latencies=(0.003, 0.06),
        loss=share,
        cc=name,
        rate_of=lambda latency: math.inf if name == "bbr" else bound / (2 * latency),
        seconds=(3, 10),
    )


def trace(draw: Draw) -> Case:
    """A bandwidth that steps, or wanders every second."""
    rate, events, time = spread(draw, 1e7, 1e8), [], 0.0
    while time < 40:
        time += draw.choice([1.0, 1.0, 2.0, 4.0])
        new = float(f"{rate * math.exp(draw.gauss(0, 0.6)):.2g}")
        event = {"t": time, "link": "a-b", "kind": "bw"}
        events.append(event | {"bandwidth": min(new, 1.5e8), "bandwidth_rev": min(new, 1.5e8)})
    chosen = events if draw.random() < 0.5 else events[:2]
    return pair(draw, "trace", rate=rate, latencies=(0.004, 0.05), events=chosen, seconds=(6, 15))


def jitter(draw: Draw) -> Case:
    """A latency that is drawn anew several times a second."""
    low, wide, every = spread(draw, 0.004, 0.03), spread(draw, 1.3, 6), draw.choice([0.1, 0.25, 0.5, 1.0])
    steps = [round(every * (i + 1), 3) for i in range(int(24 / every))]
    delays = [round(draw.uniform(low, low * wide), 5) for _ in steps]
    events = [
        {"t": t, "link": "a-b", "kind": "delay", "latency": d} for t, d in zip(steps, delays, strict=True)
    ]
    latencies = (low, low * wide)
    return pair(
        draw, f"jitter_{every:g}s", rates=(1e7, 1e8), latencies=latencies, events=events, seconds=(3, 12)
    )


def fail(draw: Draw) -> Case:
    """An outage in mid-transfer: of the only link, or of one site's of a star."""
    begin, lasts = round(draw.uniform(0.3, 4), 2), spread(draw, 0.15, 8)
    if draw.random() < 0.6:
        times = [(begin, "down"), (round(begin + lasts, 3), "up")]
        events = [{"t": t, "link": "a-b", "kind": kind} for t, kind in times]
        return pair(draw, f"fail_{lasts:g}s", rates=(1e7, 1e8), events=events, seconds=(5, 12))
    drawn = star(draw)
    first = drawn["flows"][0]
    down = [one["id"] for one in drawn["topology"]["links"] if first["src"] in (one["src"], one["dst"])][-1]
    events = [
        {"t": begin, "link": down, "kind": "down"},
        {"t": round(begin + lasts, 3), "link": down, "kind": "up"},
    ]
    return drawn | {"id": f"fail_{lasts:g}s_{drawn['id']}", "events": events}


def shared(draw: Draw) -> Case:
    """Equal flows over one bottleneck."""
    rate, latency, count = (
        spread(draw, 1e7, 1.5e8),
        spread(draw, 0.004, 0.04),
        draw.choice([2, 3, 4, 6, 10, 16]),
    )
    name, nbytes = draw.choice(["cubic", "cubic", "cubic", "reno"]), size(draw, rate / count, 6, 18)
    flows = [flow(through(i), nbytes) for i in range(count)]
    id = f"shared_{count}x{nbytes / 1e6:g}MB_{label(rate, latency)}_{name}"
    return case(id, dumbbell(rate, latency, [0.001] * count), flows, cc=name)


def rtt(draw: Draw) -> Case:
    """Flows of unlike round-trip times over one bottleneck."""
    rate, count, name = (
        spread(draw, 2e7, 1e8),
        draw.choice([2, 3, 4]),
        draw.choice(["cubic", "cubic", "reno"]),
    )
    far = [spread(draw, 0.001, 0.06) for _ in range(count)]
    nbytes = size(draw, rate / count, 6, 12)
    flows = [flow(through(i), nbytes) for i in range(count)]
    return case(
        f"rtt_{count}x{nbytes / 1e6:g}MB_{rate / 1e6:g}M_{name}", dumbbell(rate, 0.004, far), flows, cc=name
    )


def stagger(draw: Draw) -> Case:
    """Flows that arrive at random, of unlike size and distance."""
    rate, count = spread(draw, 2e7, 1e8), draw.randint(5, 14)
    far, time, flows = [draw.choice([0.002, 0.01, 0.03]) for _ in range(count)], 0.0, []
    for i in range(count):
        flows.append(flow(through(i), size(draw, rate, 0.3, 4), start=round(time, 3)))
        time += draw.expovariate(0.7)
    return case(f"stagger_{count}_{rate / 1e6:g}M", dumbbell(rate, 0.005, far), flows)


def access(draw: Draw) -> Case:
    """Slow and fast access links into one bottleneck."""
    rate, count = spread(draw, 4e7, 1.2e8), draw.choice([3, 4, 6])
    near = [spread(draw, rate / 12, rate) for _ in range(count)]
    nbytes = size(draw, min(rate / count, *near), 5, 12)
    flows = [flow(through(i), nbytes) for i in range(count)]
    return case(f"access_{count}_{rate / 1e6:g}M", dumbbell(rate, 0.01, [0.002] * count, near), flows)


def cross(draw: Draw) -> Case:
    """Transfers beside constant-rate UDP."""
    rate, latency, count = spread(draw, 2e7, 1e8), spread(draw, 0.004, 0.04), draw.choice([1, 1, 2, 3])
    udp = round(rate * draw.uniform(0.15, 0.7), -5)
    nbytes = size(draw, (rate - udp) / count, 4, 12)
    flows = [flow(through(i), nbytes) for i in range(count)]
    noise = flow(through(count), 2_000_000_000) | {"kind": "udp", "rate": udp, "background": True}
    id = f"cross_{count}x{nbytes / 1e6:g}MB_udp{udp / 1e6:g}of{label(rate, latency)}"
    return case(id, dumbbell(rate, latency, [0.001] * (count + 1)), [*flows, noise])


def asym(draw: Draw) -> Case:
    """A home line: download, upload, or both at a time."""
    down, part = spread(draw, 2e7, 1.2e8), draw.choice([3, 5, 10, 20])
    up, latency, both = down / part, spread(draw, 0.004, 0.03), draw.random() < 0.6
    links = [link("h", "isp", up, latency, back=down), link("isp", "srv", LAN, 0.01)]
    flows = [flow(["isp-srv~", "h-isp~"], size(draw, down, 3, 8))]
    if both:
        flows.append(flow(["h-isp", "isp-srv"], size(draw, up, 5, 14)))
    return case(
        f"asym_{'both' if both else 'down'}_{down / 1e6:g}_{up / 1e6:.3g}_{latency * 1e3:g}ms", links, flows
    )


def multihop(draw: Draw) -> Case:
    """Several links in a row, and sometimes a second flow over a part of them."""
    count = draw.randint(3, 7)
    rates = [draw.choice([LAN, spread(draw, 1e7, 1e8)]) for _ in range(count)]
    rates[draw.randrange(count)] = slow = spread(draw, 1e7, 5e7)
    links = [link(f"n{i}", f"n{i + 1}", rate, spread(draw, 0.001, 0.015)) for i, rate in enumerate(rates)]
    route = [one["id"] for one in links]
    flows = [flow(route, size(draw, min(rates), 5, 12))]
    if draw.random() < 0.6:
        first = draw.randrange(count - 1)
        part = route[first : draw.randint(first + 1, count)]
        flows.append(flow(part, size(draw, slow / 2, 3, 8), start=draw.choice([0.0, 1.0, 2.0])))
    return case(f"multihop_{count}links_{len(flows)}_{min(rates) / 1e6:g}M", links, flows)


def star(draw: Draw) -> Case:
    """Sites send to a server, or fetch from it."""
    count, server = draw.choice([3, 5, 8, 12]), spread(draw, 3e7, 1.5e8)
    alike = draw.random() < 0.4
    rate, delay = spread(draw, 1e7, 1e8), spread(draw, 0.002, 0.03)
    links = [link("srv", "core", server, 0.002)]
    for i in range(count):
        mine = (rate, delay) if alike else (spread(draw, 5e6, 1e8), spread(draw, 0.002, 0.04))
        links.append(link(f"h{i}", "core", *mine))
    slowest = min(one["bandwidth"] for one in links[1:])
    nbytes = size(draw, min(server / count, slowest), 4, 12)
    up = draw.random() < 0.6
    routes = [[f"h{i}-core", "srv-core~"] if up else ["srv-core", f"h{i}-core~"] for i in range(count)]
    id = f"star_{'up' if up else 'down'}_{count}{'' if alike else 'het'}_{server / 1e6:g}M_{nbytes / 1e6:g}MB"
    return case(id, links, [flow(route, nbytes) for route in routes])


def gossip(draw: Draw) -> Case:
    """Sites send to peers: around a ring both ways, or to random ones."""
    count, latency = draw.choice([4, 6, 8]), draw.choice([0.003, 0.008, 0.015])
    rates = [draw.choice([1e7, 2e7, 3e7, 5e7]) for _ in range(count)]
    links = [link(f"h{i}", "core", rate, round(latency + 0.002 * i, 4)) for i, rate in enumerate(rates)]
    ring = draw.random() < 0.5
    ways = [(i, (i + step) % count) for step in (1, count - 1) for i in range(count)]
    if not ring:
        ways = [(i, draw.choice([j for j in range(count) if j != i])) for i in range(count)]
    nbytes = size(draw, min(rates) / 2, 3, 10)
    flows = [flow([f"h{i}-core", f"h{j}-core~"], nbytes) for i, j in ways]
    return case(
        f"gossip_{'ring' if ring else 'random'}{count}_{nbytes / 1e6:g}MB_{latency * 1e3:g}ms", links, flows
    )


MANY = (star, shared, rtt, stagger, access, cross, asym, multihop, gossip)
ALONE = (single, window, buffer, cc, loss, trace, jitter, fail)
KINDS: dict[str, Callable[[Draw], Case]] = {kind.__name__: kind for kind in (*ALONE, *MANY)}


def main() -> None:
    """Draw the cases asked for and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=4, help="cases of each group")
    parser.add_argument("--group", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    cases = [
        {"group": group, **KINDS[group](random.Random(f"{options.seed} {group} {number}"))}
        for number in range(options.each)
        for group in options.group
    ]
    options.output.write_text(json.dumps({"meta": {"units": UNITS}, "cases": cases}), encoding="utf-8")


if __name__ == "__main__":
    main()

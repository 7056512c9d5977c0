"""The parts that cases are made of: links, flows, a single link, a shared bottleneck."""

import math
import random
from typing import Any

PACKET = 1502  # bytes of a full packet on the wire
GOODPUT = 1448 / PACKET / 8  # application bytes per bit of bandwidth
LAN = 1e9
MIB = 2**20
UNITS = {
    "bandwidth": "bit/s per direction (bandwidth: src->dst, bandwidth_rev: dst->src)",
    "latency": "s one way",
    "queue": "drop-tail bytes",
    "loss": "probability per packet and direction",
    "bytes": "application bytes",
}

Case = dict[str, Any]
Draw = random.Random


def spread(draw: Draw, low: float, high: float) -> float:
    """Draw log-uniformly, two significant digits."""
    value = math.exp(draw.uniform(math.log(low), math.log(high)))
    return float(f"{value:.2g}")


def size(draw: Draw, rate: float, low_s: float = 1.0, high_s: float = 12.0) -> int:
    """Draw the bytes that ``rate`` bit/s carry in a wanted time: 0.5 to 100 MB."""
    nbytes = rate * GOODPUT * spread(draw, low_s, high_s)
    return int(float(f"{min(max(nbytes, 0.5e6), 1e8):.2g}"))


def link(src: str, dst: str, rate: float, latency: float, **more: float) -> dict[str, Any]:
    """Return a link: ``back`` is its rate from ``dst``, ``buffer_s`` its queue in seconds, which holds
    ``least`` packets at least.
    """
    back, buffer_s = more.get("back", rate), more.get("buffer_s", 0.05)
    least = int(more.get("least", 64)) * PACKET
    return {
        "id": f"{src}-{dst}",
        "src": src,
        "dst": dst,
        "bandwidth": rate,
        "bandwidth_rev": back,
        "latency": latency,
        "loss": more.get("loss", 0.0),
        "queue": max(least, int(rate / 8 * buffer_s)),
        "queue_rev": max(least, int(back / 8 * buffer_s)),
    }


def flow(route: list[str], nbytes: int, *, start: float = 0.0) -> dict[str, Any]:
    """Return a TCP flow; its ends follow from its route."""
    ends = [id.rstrip("~").split("-")[:: -1 if id.endswith("~") else 1] for id in route]
    return {
        "src": ends[0][0],
        "dst": ends[-1][1],
        "bytes": nbytes,
        "start": start,
        "kind": "tcp",
        "route": route,
    }


def case(id: str, links: list[Case], flows: list[Case], **more: Any) -> Case:
    """Return a case; ``cc``, ``wmax`` and ``events`` may be given."""
    nodes = list(dict.fromkeys(end for one in links for end in (one["src"], one["dst"])))
    tcp = {"cc": more.get("cc", "cubic"), "mss": 1448, "iw": 10, "wmax": more.get("wmax", 4 * MIB)}
    return {
        "id": id,
        "note": "",
        "topology": {"nodes": nodes, "links": links},
        "flows": flows,
        "events": more.get("events", []),
        "tcp": tcp | {"min_rto": 0.2, "delack": 0.04, "wire_overhead_bytes": 54},
        "start_jitter": 0.005 if len(flows) > 1 else 0.0,
        "reference": {},
    }


def label(rate: float, latency: float) -> str:
    """Return both as the ids of cases show them."""
    return f"{rate / 1e6:g}M_{latency * 1e3:g}ms"


def pair(draw: Draw, name: str, *, rates: tuple[float, float] = (5e6, 2e8), **more: Any) -> Case:
    """One flow over one link."""
    rate, latency = more.get("rate", spread(draw, *rates)), spread(draw, *more.get("latencies", (0.001, 0.1)))
    wanted = more.get("rate_of", lambda _latency: math.inf)(latency)
    nbytes = size(draw, min(rate, wanted), *more.get("seconds", (0.5, 12)))
    shape = {key: more[key] for key in ("loss", "buffer_s", "least") if key in more}
    id = f"{name}_{label(rate, latency)}_{nbytes / 1e6:g}MB"
    kept = {key: more[key] for key in ("cc", "wmax", "events") if key in more}
    return case(id, [link("a", "b", rate, latency, **shape)], [flow(["a-b"], nbytes)], **kept)


def dumbbell(rate: float, latency: float, far: list[float], near: list[float] | None = None) -> list[Case]:
    """Return the links of a shared bottleneck; ``far`` are latencies, ``near`` rates of the sources."""
    links = [link("L", "R", rate, latency)]
    for i, (delay, access) in enumerate(zip(far, near or [LAN] * len(far), strict=True)):
        links += [link(f"s{i}", "L", access, delay), link("R", f"d{i}", LAN, 0.001)]
    return links


def through(i: int) -> list[str]:
    """Return the route of source i over the bottleneck."""
    return [f"s{i}-L", "L-R", f"R-d{i}"]

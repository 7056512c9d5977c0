"""How many flow events (starts and ends of bulk transfers) a second of processor time the share tier
of the network takes, and how many plain timeouts SimPy does beside it.

Random pairs among sites on a star of access links, tcp-cubic, 1 to 20 MB each; as many transfers as
are in flight start within a second, then every end starts another. Counted once all have started.
Pairs and sizes are drawn before: that is no work of the network's.
*naive*: every flow is solved anew at every event. Nothing is trained.
"""

import argparse
import gc
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import cycle
from time import process_time
from unittest.mock import patch

import numpy as np
import simpy

from simulator.network import compiled, shares
from simulator.network.shares import Shares
from simulator.network.topology import Link, Topology
from simulator.network.transport import Network
from simulator.record.ledger import Ledger
from simulator.record.manifest import hardware
from simulator.rng import stream
from simulator.scenario.transmission import TransportSpec

RAMP_S = 1.0
NUM_DRAWN = 50_000  # pairs and sizes; then the same again
FEW, PATIENCE = 50, 10  # events below which a number is measured longer, and how many times longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A case: ``up`` and ``down`` in bytes/s; ``server``: all send to one node of that speed."""

    name: str
    num_sites: int
    in_flight: int
    up: float = 2.5e6
    down: float = 12.5e6
    server: float = 0.0


LOADS = (
    Load(name="pairs, 20/100 Mbit/s", num_sites=100, in_flight=100),
    Load(name="pairs, 100/100 Mbit/s", num_sites=100, in_flight=100, up=12.5e6),
    Load(name="one server, 1 Gbit/s", num_sites=100, in_flight=100, server=125e6),
    Load(name="pairs, 20/100 Mbit/s", num_sites=100, in_flight=1000),
    Load(name="pairs, 100/100 Mbit/s", num_sites=100, in_flight=1000, up=12.5e6),
    Load(name="pairs, 20/100 Mbit/s", num_sites=1000, in_flight=1000),
    Load(name="pairs, 100/100 Mbit/s", num_sites=1000, in_flight=1000, up=12.5e6),
    Load(name="pairs, 20/100 Mbit/s", num_sites=1000, in_flight=10_000),
    Load(name="pairs, 100/100 Mbit/s", num_sites=1000, in_flight=10_000, up=12.5e6),
)


def topology(load: Load) -> Topology:
    """Access links of 8 ms around a core without limits."""
    speeds = {f"s{i}": (load.up, load.down) for i in range(load.num_sites)}
    if load.server:
        speeds["server"] = (load.server, load.server)
    links = []
    for name, (up, down) in speeds.items():
        for id, src, dst, speed in (
            (f"{name}.up", name, "core", up),
            (f"{name}.down", "core", name, down),
        ):
            links.append(Link(id=id, src=src, dst=dst, bytes_per_s=speed, latency_s=0.008))
    routes = {(a, b): (f"{a}.up", f"{b}.down") for a in speeds for b in speeds if a != b}
    return Topology(nodes=[*speeds, "core"], links=links, routes=routes)


def drawn(load: Load) -> list[tuple[str, str, int]]:
    """Return who sends how many bytes to whom."""
    rng, num = np.random.default_rng(1), load.num_sites
    src = rng.integers(num, size=NUM_DRAWN)
    dst = (src + rng.integers(1, num, size=NUM_DRAWN)) % num
    sizes = rng.integers(1_000_000, 20_000_000, size=NUM_DRAWN)
    return [
        (f"s{a}", "server" if load.server else f"s{b}", nbytes)
        for a, b, nbytes in zip(src.tolist(), dst.tolist(), sizes.tolist(), strict=True)
    ]


class Traffic:
    """Keeps a number of transfers in flight."""

    def __init__(self, load: Load, places: Topology) -> None:
        self.env, self._wanted = simpy.Environment(), cycle(drawn(load))
        spec = TransportSpec.model_validate({"preset": "tcp-cubic"})
        self.network = Network(self.env, places, spec, stream=lambda name: stream(1, name), ledger=Ledger())
        self.events = 0
        for at_s in np.linspace(0, RAMP_S, load.in_flight).tolist():
            self.env.timeout(at_s).callbacks.append(self._start)

    def _start(self, _: simpy.Event) -> None:
        src, dst, nbytes = next(self._wanted)
        transfer = self.network.transfer(src, dst, nbytes, kind="x", round=None, control=False)
        transfer.event.callbacks.append(self._end)
        self.events += 1

    def _end(self, event: simpy.Event) -> None:
        self.events += 1
        self._start(event)


def events_per_s(load: Load, places: Topology, seconds: float, settle: Callable[..., float]) -> float:
    """Flow events per second of processor time, over so many seconds of it, if shares settle like this."""
    original, traffic = Shares.settle, Traffic(load, places)
    traffic.env.run(RAMP_S + 0.001)
    Shares.settle = settle
    gc.collect()  # what was imported and drawn is no work of the network's either
    before, start, spent = traffic.events, process_time(), 0.0
    while spent < seconds or (traffic.events - before < FEW and spent < PATIENCE * seconds):
        for _ in range(50):
            traffic.env.step()
        spent = process_time() - start
    Shares.settle = original
    return (traffic.events - before) / spent


def solving_everything(settle: Callable[..., float]) -> Callable[..., float]:
    """Have all flows that send take part in every solution."""

    def everything(self: Shares, settler, now, others):
        for flow in self._owner.values():
            if flow.rate > 0:
                self.touch(flow)
        return settle(self, settler, now, lambda: now)

    return everything


def timeouts_per_s() -> float:
    """Plain SimPy timeouts, one process that sleeps."""
    env = simpy.Environment()

    def sleep():
        while True:
            yield env.timeout(1.0)

    env.process(sleep())
    times = []
    for _ in range(5):
        start = process_time()
        for _ in range(100_000):
            env.step()
        times.append(process_time() - start)
    return 100_000 / min(times)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="processor time per number")
    seconds = parser.parse_args().seconds
    about = hardware()
    print(f"{date.today()}  {about['processor']}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"SimPy alone: {timeouts_per_s():,.0f} timeouts/s\n")
    print(f"{'':22} {'sites':>6} {'flows':>7} {'compiled':>9} {'interpreted':>12} {'naive, compiled':>16}")
    original = Shares.settle
    for load in LOADS:
        places, rates = topology(load), []
        for from_work, settle in (
            (0, original),
            (10**18, original),
            (0, solving_everything(original)),
        ):
            shares.COMPILED_FROM = from_work
            # a process that has the compiled functions would use them from the start
            with patch.object(compiled, "is_loaded", return_value=from_work == 0):
                rates.append(events_per_s(load, places, seconds, settle))
        fast, plain, naive = rates
        print(
            f"{load.name:22} {load.num_sites:6} {load.in_flight:7} {fast:9,.0f} {plain:12,.0f} {naive:16,.0f}"
        )


if __name__ == "__main__":
    main()

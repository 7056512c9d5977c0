"""How fast the engine is: plans of growing size, and messages per second where links do not contend.

Prints wall seconds of this machine; run it on a quiet one. Nothing is trained.
"""

import argparse
import platform
from datetime import date
from time import perf_counter

from simulator.record.manifest import hardware
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.executors import PlanExecutor

SCENARIO = "gcml-brats8"


def plan(algorithm: str, num_sites: int, rounds: int) -> tuple[float, int]:
    """Wall seconds of one plan, and the transfers it moved."""
    site = (
        "{device: rtx-3090, link: {up: 20 Mbit/s, down: 100 Mbit/s, latency: 8 ms}, "
        f"data: {{train: 20, val: 3, test: 5}}, name: hospital, generate: {num_sites}}}"
    )
    overrides = [
        f"algorithm={{name: {algorithm}, rounds: {rounds}}}",
        f"sites=[{site}]",
    ]
    point = load_study(SCENARIO, overrides).points[0]
    start = perf_counter()
    run = simulate(point.label, point.scenario, PlanExecutor(), "plan")
    return perf_counter() - start, len(run.ledger.rows("transfers"))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    about = hardware()
    print(
        f"{date.today()}  {about['processor']}, {about['cores']} cores, Python {platform.python_version()}\n"
    )
    print(f"{'algorithm':18} {'sites':>5} {'rounds':>6} {'transfers':>9} {'best s':>8} {'transfers/s':>11}")
    cases = [("gcml", 8, 100), ("fedavg", 8, 100), ("gcml", 100, 100), ("fedavg", 100, 100)]
    for algorithm, num_sites, rounds in cases:
        seconds, transfers = min(plan(algorithm, num_sites, rounds) for _ in range(repeat))
        rate = transfers / seconds
        print(f"{algorithm:18} {num_sites:5} {rounds:6} {transfers:9} {seconds:8.3f} {rate:11.0f}")


if __name__ == "__main__":
    main()

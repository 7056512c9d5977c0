"""How fast many plans are: time only, 8 sites, one after another in each of two processes.

Prints wall seconds of this machine, starting the processes included; run it on a quiet one. Every plan
has a network seed of its own. Nothing is trained.
"""

import argparse
import os
import platform
from datetime import date
from time import perf_counter

from simulator.plans import plan
from simulator.record.manifest import hardware
from simulator.scenario import load_study
from simulator.scenario.load import Study

SCENARIO = "gcml-brats8"
METHODS = ("gcml", "gossip-averaging", "fedavg")


def study_of(method: str, rounds: int, num_plans: int) -> Study:
    """As many points that differ by network seed; a file's sweep may have no more than 1,000."""
    algorithm = f"algorithm={{name: {method}, rounds: {rounds}}}"
    base = load_study(SCENARIO, ["algorithm.name=gcml", algorithm])
    point = base.points[0]
    points = []
    for number in range(num_plans):
        seed = point.scenario.seed.model_copy(update={"network": number + 1})
        scenario = point.scenario.model_copy(update={"seed": seed})
        points.append(type(point)(label=f"seed{number}", swept={}, scenario=scenario, tree=point.tree))
    return type(base)(name=base.name, description="", source=base.source, overrides=(), points=tuple(points))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    asked = parser.parse_args()
    about = hardware()
    print(
        f"{date.today()}  {about['processor']}, {about['cores']} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}; {asked.plans} plans, {asked.rounds} rounds, {asked.jobs} processes\n"
    )
    print(f"{'algorithm':18} {'models sent':>11} {'wall s':>8} {'plans/s':>8}")
    for method in asked.methods:
        study = study_of(method, asked.rounds, asked.plans)
        start = perf_counter()
        rows = plan(study, asked.jobs)
        seconds = perf_counter() - start
        sent = sum(row.transmissions for row in rows)
        print(f"{method:18} {sent:11,} {seconds:8.1f} {len(rows) / seconds:8.1f}")


if __name__ == "__main__":
    main()

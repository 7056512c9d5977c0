"""Hours and wasted bytes of methods against failures, by plans over network seeds: table and figure.

Run from the repository's root: ``python -m benchmarks.resilience docs/figures/resilience.png``.
"""

import sys
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt

from simulator.scenario import load_study
from simulator.simulation import Simulated, simulate
from simulator.statistics.intervals import interval
from simulator.work.executors import PlanExecutor

SEEDS = range(1, 6)
STANDBY = "server.standby=north"
CUT = "{{every: exp({mean}), for: exp(1 min), disconnect: 'tag:all'}}"
AXES = {
    "crashes per site and hour": {
        "0": "",
        "2": "{every: exp(30 min), for: exp(2 min), crash: 'tag:all'}",
        "6": "{every: exp(10 min), for: exp(2 min), crash: 'tag:all'}",
    },
    "server dies at (min)": {
        "1": "{at: 1 min, crash: server}",
        "4": "{at: 4 min, crash: server}",
        "never": "",
    },
    "availability of lines (%)": {
        "80": CUT.format(mean="4 min"),
        "95": CUT.format(mean="19 min"),
        "100": "",
    },
}
"""What is varied: the fault of each level."""


@cache
def plans(fault: str, seed: int) -> dict[str, Simulated]:
    """Plan every method under one fault, and FedAvg with a standby beside them, by name."""
    runs = measure(fault, seed)
    runs["fedavg, standby"] = measure(fault, seed, STANDBY)["fedavg"]
    return runs


def measure(fault: str, seed: int, *more: str) -> dict[str, Simulated]:
    """Plan every method under one fault, by name."""
    study = load_study("scenarios/resilience.yaml", [f"faults=[{fault}]", f"seed.network={seed}", *more])
    return {
        point.label: simulate(point.label, point.scenario, PlanExecutor(), "plan", lambda _: None)
        for point in study.points
    }


def rounds_of(run: Simulated) -> int:
    """Rounds that sites came through, summed over sites."""
    return len({(seen.site, seen.round) for seen in run.world.trace.observations})


def outcomes(fault: str, seed: int) -> dict[str, tuple[float, float, float]]:
    """Minutes, wasted megabytes, and the share of the rounds without any fault that sites came through."""
    found, whole = {}, plans("", seed)
    runs = plans(fault, seed)
    for name, run in runs.items():
        rows = run.ledger.rows("transfers")
        wasted = sum(row[8] for row in rows if row[11] != "delivered")
        found[name] = (run.virtual_time_s / 60, wasted / 1e6, 100 * rounds_of(run) / rounds_of(whole[name]))
    return found


def main() -> None:
    """Print the table and draw the figure."""
    quantities = ("virtual time (min)", "wasted (MB)", "rounds done (%)")
    figure, panels = plt.subplots(len(quantities), len(AXES), figsize=(9, 7), layout="constrained")
    print("| varied | level | method | " + " | ".join(quantities) + " |\n|---|---|---|---|---|---|")
    for column, (axis, levels) in enumerate(AXES.items()):
        found = {level: [outcomes(fault, seed) for seed in SEEDS] for level, fault in levels.items()}
        for name in found[next(iter(levels))][0]:
            spans = {
                level: [interval([one[name][row] for one in many]) for row in range(len(quantities))]
                for level, many in found.items()
            }
            for level, cells in spans.items():
                shown = " | ".join(f"{c.mean:.1f} ({c.low:.1f}–{c.high:.1f})" for c in cells)
                print(f"| {axis} | {level} | {name} | {shown} |")
            for row, axes in enumerate(panels[:, column]):
                mean = [cells[row].mean for cells in spans.values()]
                low = [m - cells[row].low for m, cells in zip(mean, spans.values(), strict=True)]
                high = [cells[row].high - m for m, cells in zip(mean, spans.values(), strict=True)]
                axes.errorbar(list(spans), mean, [low, high], label=name, marker="o", ms=3, capsize=2)
                axes.set_xlabel(axis)
                axes.set_ylabel(quantities[row])
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=7, fontsize=7)
    figure.savefig(Path(sys.argv[1]), dpi=90)


if __name__ == "__main__":
    main()

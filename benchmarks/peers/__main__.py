"""The same federated training in medgossip, in a bare loop and in other frameworks, side by side.

``python -m benchmarks.peers [--only NAME ...] [--repeat N] [--envs FOLDER] [--json FILE]`` runs both
workloads of each: 10 rounds of 20 steps and 25 rounds of 1 step, 8 sites. Another framework gets an
environment of its own in FOLDER, on top of this one's packages; one that cannot be installed or fails is left
out, with the reason. Repetitions are interleaved: all drivers once, then all again. Times and memory are
those of all processes that a driver starts.
"""

import argparse
import json
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.peers import workload
from benchmarks.peers.cost import Cost, adopt_orphans, measure
from benchmarks.peers.environments import PEERS, environment
from simulator.record.manifest import hardware

WORKLOADS = {"full": (20, 10), "one step": (1, 25)}  # steps per exchange, rounds
Costs = Mapping[str, Mapping[str, Sequence[Cost]]]
"""By driver and workload, one per repetition."""


def table(costs: Costs) -> list[str]:
    """Markdown, ratios to the bare loop of the same repetition; processor time from the first step on."""
    lines = [
        "| | full: wall × plain | full: CPU × plain | 1 step: CPU × plain | ms per exchange beside training "
        "| start to first step, s | CPU until there, s | peak MB | 1 step: loss | full: loss |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    exchanges = WORKLOADS["one step"][1] * workload.SITES
    for name in costs:

        def ratio(kind: str, read: Callable[[Cost], float], name: str = name) -> float:
            pairs = zip(costs[name][kind], costs["plain"][kind], strict=False)
            return median(read(one) / read(plain) for one, plain in pairs)

        one_step, full = costs[name]["one step"], costs[name]["full"]
        beside_s = median(
            one.cpu_from_there_s - plain.cpu_from_there_s
            for one, plain in zip(one_step, costs["plain"]["one step"], strict=False)
        )
        cells = (
            f"{ratio('full', lambda c: c.wall_s):.2f}",
            f"{ratio('full', lambda c: c.cpu_from_there_s):.2f}",
            f"{ratio('one step', lambda c: c.cpu_from_there_s):.2f}",
            f"{beside_s / exchanges * 1e3:.1f}",
            f"{median(c.first_step_s for c in [*full, *one_step]):.1f}",
            f"{median(c.cpu_s - c.cpu_from_there_s for c in [*full, *one_step]):.1f}",
            f"{median(c.peak_nbytes for c in full) / 1e6:.0f}",
            f"{workload.loss_after(one_step[-1].weights):.6f}",
            f"{workload.loss_after(full[-1].weights):.6f}",
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def as_json(costs: Costs) -> dict[str, Any]:
    """All that was measured, with the circumstances."""
    return {
        "date": str(date.today()),
        "hardware": hardware(),
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
        "workloads": WORKLOADS,
        "costs": {
            name: {
                kind: [
                    {field: getattr(one, field) for field in Cost.__slots__ if field != "weights"}
                    | {"loss": workload.loss_after(one.weights)}
                    for one in several
                ]
                for kind, several in kinds.items()
            }
            for name, kinds in costs.items()
        },
    }


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--envs", type=Path, default=Path(".peers"), help="folder of their environments")
    parser.add_argument("--rounds", type=int, default=10, help="of the full workload")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    options = parser.parse_args()
    WORKLOADS["full"] = (20, options.rounds)
    adopt_orphans()
    costs: dict[str, dict[str, list[Cost]]] = {
        name: {kind: [] for kind in WORKLOADS} for name in dict.fromkeys(["plain", *options.only])
    }
    for _ in range(options.repeat):
        for name in list(costs):
            try:
                python = environment(PEERS[name], options.envs.resolve())
                for kind, (steps, rounds) in WORKLOADS.items():
                    costs[name][kind].append(measure(python, PEERS[name], steps, rounds))
            except subprocess.CalledProcessError as error:
                del costs[name]
                print(f"{name}: left out: {(error.stderr or str(error)).strip()[-2000:]}", flush=True)
        print("\n".join(table(costs)), flush=True)
        if options.json:
            options.json.write_text(json.dumps(as_json(costs), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Measure network cases on this machine's Linux TCP and write their ``linux`` column.

    python tools/linux_reference/measure.py cases.json -o measured.json [--only ID ...]

Needs root (namespaces, TUN devices, real-time priority) and gcc. A case is run until ``--repeat``
repetitions are good, ``--repeat-random`` if chance decides (loss, small buffers), each with another seed
for losses and start offsets, and further until the relative standard error of its mean completion time
is within ``--error``; never more than ``--most`` times. A repetition is good if the emulator delivered
99 % of its packets within ``--max-lateness`` seconds of their due time. A case without enough good
repetitions is left out and named.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from simulator.network.cases import against, interchangeable, read, scored

HERE = Path(__file__).parent
SETTLE_S = 5  # what a repetition may take beyond its limit: set-up and the links' last packets
SETTINGS = (
    "real Linux {release} TCP stacks in one network namespace per host, TUN devices, user-space link emulator"
    " (tools/linux_reference); means by rank over {repeat} repetitions, {repeat_random} where chance decides,"
    " up to {most} until the standard error of the mean is within {error};"
    " a repetition counts only if the emulator's p99 lateness is within {max_lateness} s"
)
EVENTS = {"bw": "rate", "delay": "latency", "down": "down", "up": "up"}

Case = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """Seconds per flow, -1 where it is not scored, and the 99th percentile of the emulator's lateness."""

    seconds: tuple[float, ...]
    lateness_s: float


def build(folder: Path) -> Path:
    """Compile the emulator into ``folder`` and return its path."""
    sources = sorted(str(path) for path in HERE.glob("*.c"))
    program = folder / "emulator"
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    subprocess.run(["gcc", *flags, "-o", str(program), *sources], check=True)
    return program


def describe(case: Case, *, seed: int, limit_s: float) -> Iterator[str]:
    """Yield the lines that the emulator reads (its format is told in main.c)."""
    chance, tcp = random.Random(f"{case['id']} {seed}"), case["tcp"]
    hosts = {node: i for i, node in enumerate(case["topology"]["nodes"])}
    yield f"hosts {len(hosts)}"
    yield f"cc {tcp['cc']}"
    yield f"window {tcp['wmax']}"
    yield f"seed {chance.getrandbits(63)}"
    yield f"limit {limit_s}"
    ways: dict[str, int] = {}
    for link in case["topology"]["links"]:
        for id, suffix in ((link["id"], ""), (f"{link['id']}~", "_rev")):
            ways[id] = len(ways)
            rate, queue = link[f"bandwidth{suffix}"] / 8, link[f"queue{suffix}"]
            yield f"link {rate} {link['latency']} {link['loss']} {queue}"
    for flow in case["flows"]:
        amount = flow["bytes"] if flow["kind"] == "tcp" else flow["rate"] / 8
        start = flow["start"] + chance.uniform(0, case["start_jitter"])
        there = [ways[id] for id in flow["route"]]
        back = [ways[against(id)] for id in reversed(flow["route"])]
        routes = " ".join(str(number) for route in (there, back) for number in (len(route), *route))
        yield f"{flow['kind']} {hosts[flow['src']]} {hosts[flow['dst']]} {amount} {start:.6f} {routes}"
    for event in case["events"]:
        for id, suffix in ((event["link"], ""), (f"{event['link']}~", "_rev")):
            value = (
                event.get(f"bandwidth{suffix}", 0) / 8 if event["kind"] == "bw" else event.get("latency", 0)
            )
            yield f"event {event['t']} {ways[id]} {EVENTS[event['kind']]} {value}"


def repeat(program: Path, case: Case, *, seed: int, limit_s: float) -> Repetition:
    """Run a case once.

    Raises:
        RuntimeError: the emulator failed, or a flow was not done within the limit.
    """
    text = "".join(f"{line}\n" for line in describe(case, seed=seed, limit_s=limit_s))
    done = subprocess.run(
        [program], input=text, capture_output=True, text=True, timeout=limit_s + SETTLE_S, check=False
    )
    if done.returncode:
        raise RuntimeError(f"case {case['id']}: {done.stderr.strip()}")
    *flows, late = (line.split() for line in done.stdout.splitlines())
    seconds = tuple(float(line[1]) for line in flows)
    for flow, span in zip(case["flows"], seconds, strict=True):
        if flow["kind"] == "tcp" and span < 0:
            raise RuntimeError(f"case {case['id']}: a flow was not done within {limit_s} s")
    return Repetition(seconds=seconds, lateness_s=float(late[2]))


def rank_means(case: Case, runs: list[Repetition]) -> tuple[list[float], list[float]]:
    """Return seconds per flow and their relative standard deviation over runs.

    Flows that are interchangeable are ranked in each run, and ranks are averaged; the ranks go to the
    flows in the order of their own means.
    """
    seconds, spread = [-1.0] * len(case["flows"]), [0.0] * len(case["flows"])
    for flows in interchangeable(case):
        ranked = [sorted(run.seconds[i] for i in flows) for run in runs]
        order = sorted(flows, key=lambda i: fmean(run.seconds[i] for run in runs))
        for i, values in zip(order, zip(*ranked, strict=True), strict=True):
            seconds[i] = round(fmean(values), 6)
            spread[i] = round(pstdev(values) / fmean(values), 4)
    return seconds, spread


def standard_error(case: Case, runs: list[Repetition]) -> float:
    """Return the relative standard error of a case's mean completion time over runs."""
    means = [fmean(run.seconds[i] for i in scored(case)) for run in runs]
    return pstdev(means) / fmean(means) / math.sqrt(len(means))


def attempt(program: Path, case: Case, options: argparse.Namespace) -> Case | None:
    """Measure a case; None, and the reason on standard error, if it could not be."""
    try:
        return measure(program, case, options)
    except RuntimeError as error:
        print(error, file=sys.stderr, flush=True)
        return None


def measure(program: Path, case: Case, options: argparse.Namespace) -> Case:
    """Return the case with its ``linux`` column.

    Raises:
        RuntimeError: a repetition failed, or too few were good.
    """
    chance = case["group"] == "buffer" or any(link["loss"] for link in case["topology"]["links"])
    wanted = options.repeat_random if chance else options.repeat
    good: list[Repetition] = []
    worst, tried = 0.0, 0
    while tried < options.most and (len(good) < wanted or standard_error(case, good) > options.error):
        tried += 1
        run = repeat(program, case, seed=tried, limit_s=options.limit)
        worst = max(worst, run.lateness_s)
        good += [run] if run.lateness_s <= options.max_lateness else []
    print(f"{case['id']}: {len(good)} of {tried} good, worst lateness {worst * 1e3:.2f} ms", flush=True)
    if len(good) < wanted:
        raise RuntimeError(f"case {case['id']}: the emulator was too late too often")
    seconds, spread = rank_means(case, good)
    return case | {"reference": {"linux": seconds}, "spread_rel_std": {"linux": spread}}


def write(path: Path, meta: Case, cases: list[Case]) -> None:
    """Write a file of cases, one a line, so that a change of one is a change of a line."""
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    path.write_text(f'{{"meta":{json.dumps(meta, indent=1)},\n"cases":[\n{lines}\n]}}\n', encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", metavar="ID", help="measure these cases only")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--repeat-random", type=int, default=5)
    parser.add_argument("--most", type=int, default=12, help="repetitions of a case at most")
    parser.add_argument("--error", type=float, default=0.03, help="relative standard error that is settled")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds that a repetition may take")
    parser.add_argument("--max-lateness", type=float, default=0.001, help="seconds, 99th percentile")
    return parser.parse_args()


def main() -> None:
    """Measure the cases asked for and write those that are good."""
    options = arguments()
    cases = [dict(case) for case in read(options.cases) if not options.only or case["id"] in options.only]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        program = build(Path(folder))
        measured = list(pool.map(lambda case: attempt(program, case, options), cases))
    dropped = [case["id"] for case, result in zip(cases, measured, strict=True) if result is None]
    meta = json.loads(options.cases.read_text(encoding="utf-8")).get("meta", {})
    settings = {"linux": SETTINGS.format(release=os.uname().release.split("-")[0], **vars(options))}
    write(options.output, meta | {"settings": settings}, [case for case in measured if case])
    if dropped:
        sys.exit(f"left out: {', '.join(dropped)}")


if __name__ == "__main__":
    main()

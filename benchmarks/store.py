"""The store against plain files of the same bytes, a finished study run again, and one method under
many network conditions.

A model of 100 MB is put and got; beside it, in turn, the bytes that lie on the disk then are written
with fsync (file and folder) and read back. A study of declared size is run twice.
"""

import argparse
import io
import json
import os
import tempfile
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from simulator.api import Bundle
from simulator.progress import PlainProgress
from simulator.record.manifest import hardware
from simulator.run import execute
from simulator.scenario import load_study
from simulator.work.store import Store

KEY = "ab" + "0" * 38
STUDY = """
name: warm
task:
  dataset: {name: brainsim, dims: 2, size: 16, slices: 1, split: {val: 0.2, test: 0.2}}
  network: {name: unet, channels: [2, 4], num_res_units: 0}
  optimizer: {name: sgd, lr: 5.0e-3}
  batch_size: 4
sites:
  - {name: a, seconds_per_item: 1 s, link: {up: 1 Mbit/s, down: 4 Mbit/s, latency: 5 ms}, data: {cases: 5}}
  - {name: b, seconds_per_item: 1 s, link: {up: 1 Mbit/s, down: 4 Mbit/s, latency: 5 ms}, data: {cases: 5}}
server: {speed: 1 TFLOP/s, link: {up: 8 Mbit/s, down: 8 Mbit/s, latency: 5 ms}}
algorithm: {name: fedavg, rounds: 2}
sweep: {seed.network: RUNS seeds}
"""


def model() -> Bundle:
    """25 million weights, spread as those of a trained network are."""
    weights = np.random.default_rng(0).normal(scale=0.05, size=25_000_000)
    return Bundle(arrays={"model": weights.astype(np.float32)}, meta={"loss": [0.5]})


def plain_write(path: Path, data: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def against_files(folder: Path, repeat: int) -> dict[str, float]:
    """Medians of alternating turns, wall seconds."""
    store, bundle = Store(folder / "store"), model()
    store.put(KEY, bundle)
    data, plain = store.path(KEY).read_bytes(), folder / "plain"
    turns: dict[str, list[float]] = {"put": [], "write": [], "get": [], "read": []}
    work = {
        "write": lambda: plain_write(plain, data),
        "put": lambda: store.put(KEY, bundle),
        "read": plain.read_bytes,
        "get": lambda: store.get(KEY),
    }
    for _ in range(repeat):
        for name, do in work.items():
            start = perf_counter()
            do()
            turns[name].append(perf_counter() - start)
    return {name: median(times) for name, times in turns.items()} | {"nbytes": len(data)}


def warm(folder: Path, num_runs: int) -> tuple[float, float]:
    """Wall seconds of the first and of the second run of a study, without start-up."""
    path = folder / "warm.yaml"
    path.write_text(STUDY.replace("RUNS", str(num_runs)), encoding="utf-8")
    study, times = load_study(str(path)), []
    for _ in range(2):
        start = perf_counter()
        execute(
            study,
            out=folder / "runs",
            jobs=1,
            device="cpu",
            store=folder / "store",
            progress=PlainProgress(io.StringIO()),
        )
        times.append(perf_counter() - start)
    return times[0], times[1]


def conditions(folder: Path, num: int) -> tuple[float, float, int]:
    """Wall seconds of FedAvg under one network condition and under ``num``, each with a new store, and by
    how many tasks the second executed more.
    """
    speeds = ", ".join(f"{speed} Mbit/s" for speed in range(1, num + 1))
    fixed = STUDY.partition("sweep:")[0].replace("rounds: 2", "rounds: 30").replace("size: 16", "size: 64")
    fixed = fixed.replace("slices: 1", "slices: 8").replace("cases: 5", "cases: 20")
    times, executed = [], []
    for name, sweep in (("one", ""), ("many", f"sweep: {{sites.*.link.up: [{speeds}]}}")):
        path = folder / f"{name}.yaml"
        path.write_text(fixed.replace("channels: [2, 4]", "channels: [16, 32, 64]") + sweep, encoding="utf-8")
        study, start = load_study(str(path)), perf_counter()
        result = execute(
            study,
            out=folder / name,
            jobs=1,
            device="cpu",
            store=folder / f"store of {name}",
            progress=PlainProgress(io.StringIO()),
        )
        times.append(perf_counter() - start)
        manifests = [
            json.loads(path.read_text(encoding="utf-8")) for path in result.folder.glob("*/manifest.json")
        ]
        executed.append(sum(manifest["tasks"]["executed"] for manifest in manifests))
    return times[0], times[1], executed[1] - executed[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--conditions", type=int, default=20)
    options = parser.parse_args()
    about = hardware()
    print(f"{date.today()}  {about['processor']}, {about['cores']} cores")
    with tempfile.TemporaryDirectory(dir=".") as name:
        found = against_files(Path(name), options.repeat)
        put, get = found["put"] / found["write"], found["get"] / found["read"]
        both = (found["put"] + found["get"]) / (found["write"] + found["read"])
        print(f"{found['nbytes']:,.0f} bytes on disk of 100,000,000")
        print(f"put {found['put']:.3f} s, write with fsync {found['write']:.3f} s: {put:.2f} x")
        print(f"get {found['get']:.3f} s, read {found['read']:.3f} s: {get:.2f} x")
        print(f"both {both:.2f} x")
        cold, again = warm(Path(name), options.runs)
        print(f"{options.runs} runs: first {cold:.1f} s, again {again:.2f} s")
        one, many, more = conditions(Path(name), options.conditions)
        print(
            f"FedAvg under one network condition {one:.1f} s, under {options.conditions} {many:.1f} s: "
            f"{many / one:.2f} x, {more} more tasks executed"
        )


if __name__ == "__main__":
    main()

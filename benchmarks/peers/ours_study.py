"""FedAvg in medgossip: simulated over access links, every result kept in a store; no evaluation and no
report, as with the others.
"""

import tempfile
import time
from pathlib import Path

import torch

from benchmarks.peers.workload import (
    BATCH,
    CHANNELS,
    EDGE,
    LR,
    MARK,
    ROUNDS,
    SITES,
    STEPS,
    STRUCTURES,
    arrays,
    leave,
)
from simulator.api import Bundle
from simulator.learning.numerics import numeric_mode, setup_process
from simulator.run import make_executor
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.store import Store

SCENARIO = f"""
name: peers
task:
  dataset:
    name: declared
    channels: [{", ".join(f"c{number}" for number in range(CHANNELS))}]
    structures: [{", ".join(f"s{number}" for number in range(STRUCTURES))}]
    spatial_dims: 2
    item_shape: [{EDGE}, {EDGE}]
    items_per_case: {STEPS * BATCH}
  network: {{name: unet, channels: [16, 32, 64, 128], num_res_units: 2}}
  optimizer: {{name: sgd, lr: {LR}}}
  batch_size: {BATCH}
  augment: []
sites:
  - generate: {SITES}
    name: site
    seconds_per_item: 10 ms
    link: {{up: 20 Mbit/s, down: 100 Mbit/s, latency: 10 ms}}
    data: {{train: 1}}
server: {{speed: 1 TFLOP/s, link: {{up: 1 Gbit/s, down: 1 Gbit/s, latency: 1 ms}}}}
algorithm: {{name: fedavg, rounds: {ROUNDS}}}
"""


def prepared(site: int) -> Bundle:
    """A site's items as the task that prepares cases would return them."""
    images, labels = arrays(site)
    about = {"case": "0", "patient": "0", "split": "train", "num_items": len(images)}
    about |= {"spacing_mm": [1.0, 1.0, 1.0], "shape": [len(images), EDGE, EDGE]}
    return Bundle(
        arrays={"image.0": images.swapaxes(0, 1), "label.0": labels.swapaxes(0, 1)},
        meta={"cases": [about], "skipped": []},
    )


def train(jobs: int) -> None:
    """Run the workload in ``jobs`` processes, and leave the weights at its end."""
    with tempfile.TemporaryDirectory(dir=".") as name:
        path = Path(name, "peers.yaml")
        path.write_text(SCENARIO, encoding="utf-8")
        (point,) = load_study(str(path)).points
        if jobs == 1:  # else this process trains nothing
            setup_process()
        executor = make_executor(Store(Path(name, "store")), jobs, "cpu")
        run = simulate(point.label, point.scenario, executor, numeric_mode("fp32", "cpu"))
        for site, key in enumerate(run.namer.prepared.values()):
            executor.store.put(key, prepared(site))
        last = max(run.world.trace.observations, key=lambda seen: seen.round)

        def note(task: str, *_: int) -> None:
            if task == "train" and not Path(MARK).exists():
                Path(MARK).write_text(f"{time.time() - executor.tally.seconds['train']} {jobs}")

        errors = executor.finish([last.model.key.partition("#")[0]], note)
        assert not errors, errors
        final = executor.store.get(last.model.key.partition("#")[0])
        executor.close()
        leave({"model": torch.from_numpy(final.arrays["model"])})
        assert executor.tally.executed["train"] == SITES * ROUNDS, executor.tally.executed

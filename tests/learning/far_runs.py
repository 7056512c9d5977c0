"""Runs scenarios on the CPU and on the stand-in for a GPU, in a process of its own, since torch does not give
up a device: ``python -m tests.learning.far_runs FOLDER NAME...`` prints what came of each as JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from simulator import observations
from simulator.learning import cases, context, evaluation
from simulator.learning.numerics import setup_process
from simulator.registry import registry
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.executors import PoolExecutor
from simulator.work.pools import InlinePool
from simulator.work.store import Store
from tests.learning import far

SCENARIO = """
name: {name}
task:
  dataset: {{name: brainsim, dims: {dims}, size: {size}, slices: 2, split: {{val: 0.25, test: 0.25}}}}
  network: {network}
  optimizer: {optimizer}
  batch_size: {batch_size}
  {more}
evaluation: {{overlays: 1, distances: false}}
sites:
  - {{name: a, seconds_per_item: 1 s, link: {link}, data: {{cases: {cases}}}}}
  - {{name: b, seconds_per_item: 2 s, link: {link}, data: {{cases: 4}}}}
server: {{speed: 1 TFLOP/s, link: {link}}}
algorithm: {algorithm}
"""
USUAL = {
    "dims": 2,
    "size": 16,
    "network": "{name: unet, channels: [4, 8], norm: batch, num_res_units: 0, dropout: 0.1}",
    "optimizer": "{name: adamw, lr: 5.0e-3, clip_norm: 1.0}",
    "batch_size": 2,
    "more": "augment: [flip, rotate90, gamma, noise]",
    "cases": 4,
    "link": "{up: 1 Mbit/s, down: 4 Mbit/s, latency: 5 ms}",
    "algorithm": "{name: fedavg, rounds: 1}",
}
SGD = "{name: sgd, lr: 0.05, momentum: 0.9}"
MORE = {
    "fedgs": ", local_epochs: 1",
    "fedprox": ", mu: 0.01",
    "fedrep": ", local_epochs: 2, finetune_epochs: 1",
    "fedsm": ", selector: small_cnn",
    "gcml": ", region: dilated_label",
    "scaffold": ", any_optimizer: true",
}
NETWORKS = {
    "unet": "{name: unet, channels: [4, 8], num_res_units: 1}",
    "dynunet": "{name: dynunet, channels: [4, 4, 8], residual: true, dropout: 0.1}",
    "segresnet": "{name: segresnet, blocks_down: [1, 1], dropout: 0.1}",
    "sanet": "{name: sanet, width: 4, blocks: [1, 1]}",
}
LOSSES = {"unet-2": "dice", "unet-3": "dice_ce", "sanet-2": "jaccard_focal", "sanet-3": "jaccard_focal"}


def scenarios():
    """The parts of a scenario by name."""
    found = {
        name: {"algorithm": f"{{name: {name}, rounds: 2{MORE.get(name, '')}}}"}
        for name in registry("algorithms")
    }
    for name, network in NETWORKS.items():
        for dims in (2, 3):
            loss = LOSSES.get(f"{name}-{dims}", "dice_ce")
            found[f"{name}-{dims}"] = {
                "dims": dims, "network": network, "optimizer": SGD, "more": f"loss: {loss}",
            }  # fmt: skip
    found["windows"] = {"dims": 3, "more": "patch_size: [8, 8, 8]"}
    found["no room"] = {"algorithm": "{name: gcml, rounds: 2}"}
    found["sd-utnet"] = {"network": "{name: sd-utnet}", "size": 128, "optimizer": SGD, "more": ""}
    found["many steps"] = {"batch_size": 1, "more": ""}
    found["few steps"] = {"batch_size": 4, "more": ""}
    return found


def run(folder, text, device):
    """Train and evaluate on a device; all results by key, and errors."""
    path = folder / "one.yaml"
    path.write_text(text, encoding="utf-8")
    point = load_study(str(path)).points[0]
    store = Store(folder / device)
    executor = PoolExecutor(store, InlinePool(store, device))
    simulated = simulate(point.label, point.scenario, executor, "far")
    done = observations.rounds(simulated, executor)
    errors = executor.finish([one.key for one in done], lambda *_: None)
    if not errors:
        tests = observations.selected(simulated, executor, done)
        errors = executor.finish([one.key for one in tests], lambda *_: None)
    found = {key: store.get(key) for key in sorted(executor.executed)}
    executor.close()
    return found, sorted({str(error) for error in errors.values()})


def compare(folder, name):
    """What came of a scenario: errors, how many results there are, the largest difference, operations."""
    folder.mkdir(parents=True)
    text = SCENARIO.format(**USUAL | {"name": "far"} | scenarios()[name])
    cases.CACHE = cases.CaseCache(lambda device: 0 if name == "no room" and device == far.NAME else 1 << 30)
    context.CACHE = cases.CACHE
    evaluation._WHOLE_VOXELS = dict.fromkeys(("cpu", "cuda"), 1000 if name == "windows" else 1 << 22)
    here, errors = run(folder, text, "cpu")
    with far.device() as seen:
        there, more = run(folder, text, far.NAME)
    same = here.keys() == there.keys()
    pairs = [(here[key].arrays, there[key].arrays) for key in here if key in there]
    arrays = [(one[kind], other[kind]) for one, other in pairs for kind in one]
    return {
        "errors": [*errors, *more] if same or errors or more else ["other results"],
        "num_results": len(there),
        "largest_difference": max(_difference(*pair) for pair in arrays),
        "operations": dict(seen),
    }


def _difference(one, other):
    if np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
        return 0.0
    return float(np.nanmax(np.abs(one.astype(float) - other.astype(float))))


def refused_by_a_gpu():
    """Operations of which one is known not to be reproducible there."""
    with far.device() as seen:
        functional.max_pool3d(torch.ones(1, 1, 4, 4, 4).to(far.NAME).requires_grad_(), 2).sum().backward()
    return dict(seen)


if __name__ == "__main__":
    setup_process()
    far.install()
    torch.set_deterministic_debug_mode("error")
    results = {name: compare(Path(sys.argv[1]) / name, name) for name in sys.argv[2:]}
    print(json.dumps(results | {"refused": {"operations": refused_by_a_gpu()}}))

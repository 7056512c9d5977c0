"""Whole runs whose models are short vectors, so that what a protocol does to values is seen at once.

Initial weights are drawn by the task's key, a local epoch adds a vector that depends on site and epoch
(or nothing), and all else is the algorithms' own task functions.
"""

import zlib

import numpy as np

from simulator.api import OPTIMIZER, Bundle
from simulator.registry import resolve
from simulator.simulation import simulate
from simulator.work.executors import PlanExecutor
from simulator.work.jobs import MODEL
from tests.algorithms.math.toy_problem import point
from tests.support import study

SIZE = 5


class VectorExecutor(PlanExecutor):
    """Does every task at once."""

    def __init__(self, step):
        super().__init__()
        self.values = {}
        self._step = step

    def submit(self, job):
        if job.key not in self.values and job.task not in {"prepare", "evaluate"}:
            self.values[job.key] = self._outcome(job)

    def value(self, key):
        return self.values[key.removesuffix(MODEL)]

    def _outcome(self, job):
        inputs = [self._input(key) for key in job.inputs]
        if job.task == "init":
            return point(drawn(job.key))
        if job.task in {"train", "train_prox"}:  # with mu 0, where there is one
            epochs = range(job.params["first_epoch"], job.params["first_epoch"] + job.params["epochs"])
            x = inputs[0].arrays["model"] + sum(self._step * drawn(f"{job.site} {epoch}") for epoch in epochs)
            return point(x, **{OPTIMIZER + "steps": np.array([1])})
        return resolve(job.function)(None, *inputs, **job.params)

    def _input(self, key):
        value = self.value(key)
        if not key.endswith(MODEL):
            return value
        return Bundle(arrays={n: array for n, array in value.arrays.items() if not n.startswith(OPTIMIZER)})


def drawn(name):
    return np.random.default_rng(zlib.crc32(name.encode())).normal(size=SIZE)


def run_vectors(tmp_path, text, *overrides, step=0.0, **kwargs):
    """Run a scenario; return it, and the last model of every site."""
    point_ = study(
        tmp_path, text, "task.init=independent" if step == 0 else "task.init=shared", *overrides, **kwargs
    )
    first = point_.points[0]
    executor = VectorExecutor(step)
    result = simulate(first.label, first.scenario, executor, "test")
    last = {
        seen.site: executor.value(seen.model.key).arrays["model"] for seen in result.world.trace.observations
    }
    return result, last, executor

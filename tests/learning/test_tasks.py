import importlib
import inspect

import pytest

import algorithms.tasks
from simulator.api import Task
from simulator.learning.tasks import EVALUATE, PREPARE, learner

OWN = learner("shared")
TASKS = [EVALUATE, PREPARE, OWN.init, OWN.train, OWN.train_pooled] + [
    task for task in vars(algorithms.tasks).values() if isinstance(task, Task)
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_names_a_function_that_takes_a_context_first(task):
    module, _, name = task.function.partition(":")
    parameters = list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
    assert parameters[0] == "ctx"

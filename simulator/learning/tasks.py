"""The tasks that every site can do on its own, named with their cost; free of torch."""

from collections.abc import Mapping
from typing import Any, Literal

from simulator.api import Cost, Learner, ModelSize, SiteData, Task


def _nothing(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """Takes no virtual time: drawing initial weights, and all that is observation."""
    return Cost()


def _epochs(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    return Cost(train_items=data.train_items * params["epochs"])


def learner(init: Literal["shared", "independent"]) -> Learner:
    """What :attr:`simulator.api.Node.learner` offers. Shared initial weights are one task for all
    sites and the server, so that methods that begin alike share their first rounds.
    """
    module = "simulator.learning.training"
    return Learner(
        init=Task(
            name="init",
            function=f"{module}:initial",
            version=1,
            cost=_nothing,
            seeded="run" if init == "shared" else "site",
        ),
        train=Task(
            name="train", function=f"{module}:train", version=1, cost=_epochs, data="own", seeded="site"
        ),
        train_pooled=Task(
            name="train_pooled",
            function=f"{module}:train_pooled",
            version=1,
            cost=_epochs,
            data="all",
            seeded="site",
        ),
    )


EVALUATE = Task(
    name="evaluate",
    function="simulator.learning.evaluation:evaluate",
    version=2,
    cost=_nothing,
    data="own",
)
"""Metrics of a model on one split of a site's cases; observation, so it costs no virtual time."""

READ = Task(name="read", function="simulator.learning.prepare:read", version=1, cost=_nothing)
"""One case read, resampled and checked once."""

PREPARE = Task(
    name="prepare", function="simulator.learning.prepare:prepare", version=2, cost=_nothing, seeded="site"
)
"""A site's cases put together and normalized once."""

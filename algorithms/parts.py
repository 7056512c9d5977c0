"""Parts of a model on the wire: what travels when the rest of a network never leaves its site."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from algorithms.mixing import merge
from algorithms.tasks import free
from simulator.api import Bundle, Cost, ModelSize, SiteData, Task, TaskContext

ARRAYS = ("model", "buffers", "counters")


def extract(ctx: TaskContext, model: Bundle, *, part: str) -> Bundle:
    """The entries of a part, in their order (a task function)."""
    mask = ctx.mask(part)
    return Bundle(arrays={name: model.arrays[name][mask[name]] for name in ARRAYS})


def graft(ctx: TaskContext, received: Bundle, own: Bundle, *, part: str) -> Bundle:
    """The site's own model with a part replaced by the one received (a task function)."""
    mask = ctx.mask(part)
    arrays = {name: own.arrays[name].copy() for name in ARRAYS}
    for name in ARRAYS:
        arrays[name][mask[name]] = received.arrays[name]
    return Bundle(arrays=arrays)


def mean_part(ctx: TaskContext, *models: Bundle, weights: Sequence[float], part: str) -> Bundle:
    """Weighted mean of the same part of several models (a task function)."""
    return Bundle(arrays=merge(models, weights), meta={"weights": list(weights)})


def payload(model: ModelSize, params: Mapping[str, Any]) -> tuple[int, ...]:
    """Values of a part, or of all but a part (``"-head"``)."""
    part = str(params["part"])
    parameters, buffers = model.parts[part.removeprefix("-")]
    if part.startswith("-"):
        return model.num_buffers - buffers, model.num_parameters - parameters
    return buffers, parameters


def _mean(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """One multiply-add per value and model."""
    return Cost(flop=2.0 * num_inputs * sum(payload(model, params)))


EXTRACT = Task(
    name="extract",
    function="algorithms.parts:extract",
    version=1,
    cost=free,
    stateful=False,
    payload=payload,
)
"""A part of a model: ``(model), part``."""

GRAFT = Task(name="graft", function="algorithms.parts:graft", version=1, cost=free, stateful=False)
"""A site's model with a part received: ``(received part, own model), part``."""

MEAN_PART = Task(
    name="average_part",
    function="algorithms.parts:mean_part",
    version=1,
    cost=_mean,
    stateful=False,
    payload=payload,
)
"""Weighted mean of parts: ``(*parts), weights, part``."""


def absent(model: ModelSize, part: str) -> str:
    """Why a network's part cannot be told apart, or an empty text."""
    name = part.removeprefix("-")
    if sum(model.parts.get(name, (0, 0))):
        return ""
    known = ", ".join(sorted(model.parts)) or "none"
    remedy = "write norm: batch (unet), " if name == "batch_norm" else ""
    return (
        f"task.network: has no part {name} (known parts: {known}); {remedy}choose another network or method"
    )


def is_finite(model: Bundle, values: str = "model") -> bool:
    """Whether all parameters (the array ``values``) and float buffers are finite."""
    return all(bool(np.isfinite(model.arrays[name]).all()) for name in (values, "buffers"))

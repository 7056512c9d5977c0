"""Defenses against false models, as settings of the methods that average; their mathematics is in
:mod:`algorithms.robust_means`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from algorithms.common import Count, Positive, Steps
from algorithms.parts import payload
from simulator.api import Cost, ModelSize, Node, Ref, Settings, SiteData, Task, refuse_idle


class Finite(Settings):
    """The usual mean of those models whose values are all finite."""

    rule: Literal["finite"] = "finite"

    @property
    def least(self) -> int:
        """Models without which nothing new is made."""
        return 1


class Clip(Finite):
    """The mean of models drawn back to within ``norm`` of the model before (2-norm of all values), or
    within the median distance of those that came.
    """

    rule: Literal["clip"] = "clip"  # type: ignore[assignment]
    norm: Positive | Literal["median"] = "median"


class Trimmed(Finite):
    """The mean of every single value without the share ``trim`` of the smallest and of the largest."""

    rule: Literal["trimmed-mean"] = "trimmed-mean"  # type: ignore[assignment]
    trim: Annotated[float, Field(gt=0, lt=0.5)] = 0.2


class Median(Finite):
    """The median of every single value."""

    rule: Literal["median"] = "median"  # type: ignore[assignment]


class Krum(Finite):
    """The model nearest to its neighbors, or the mean of the ``keep`` nearest (Multi-Krum), where up to
    ``byzantine`` may be false. It needs 2·byzantine + 3 models.
    """

    rule: Literal["krum"] = "krum"  # type: ignore[assignment]
    byzantine: Count = 1
    keep: Count = 1

    @property
    def least(self) -> int:
        """Models without which nothing new is made."""
        return max(2 * self.byzantine + 3, self.keep + self.byzantine)


Defense = Annotated[Finite | Clip | Trimmed | Median | Krum, Field(discriminator="rule")]


class ClipTo(Finite):
    """An incoming model is drawn back to within ``norm`` of the own one (2-norm of all values)."""

    rule: Literal["clip"] = "clip"  # type: ignore[assignment]
    norm: Positive


PairDefense = Annotated[Finite | ClipTo, Field(discriminator="rule")]
"""What one can do about a single incoming model."""


class Defended(Settings):
    """What every method that averages models may be told: how it guards against false ones."""

    defense: Defense | None = None

    @model_validator(mode="after")
    def _weighs(self) -> "Defended":
        if isinstance(self.defense, Trimmed | Median | Krum) and "sender_weights" in type(self).model_fields:
            why = f"defense {self.defense.rule} knows no weights, as a false model could claim any; remove it"
            refuse_idle(self, ["sender_weights"], why)
        return self


def _cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """A multiply-add per value and model; for Krum per pair of models."""
    times = num_inputs**2 if params["rule"] == "krum" else num_inputs
    return Cost(flop=2.0 * times * (model.num_parameters + model.num_buffers))


ROBUST = Task(
    name="average_robustly",
    function="algorithms.robust_means:robust_mean",
    version=1,
    cost=_cost,
    reported=True,
    stateful=False,
)
"""Models put together under a defense: ``(model before, *models), senders, weights, rule, …``."""

ROBUST_PART = replace(ROBUST, name="average_part_robustly", payload=payload)
"""The same with parts of models."""


def robustly(
    node: Node,
    defense: Finite,
    before: Ref,
    models: Sequence[Ref],
    weights: Sequence[float],
    senders: Sequence[str],
    round_: int,
    part: str = "",
) -> Steps:
    """Put models together; with too few of them for the defense the model before stays."""
    if len(models) < defense.least:
        node.record("too_few_to_defend", round=round_, num_models=len(models), needed=defense.least)
        return before
    params = defense.model_dump() | {"senders": list(senders), "weights": list(weights)}
    if part:
        return (yield node.compute(ROBUST_PART, before, *models, part=part, round=round_, **params))
    return (yield node.compute(ROBUST, before, *models, round=round_, **params))


def too_few(defense: Finite | None, num_models: int) -> str:
    """Why a defense can never work with so many models, or an empty text."""
    if defense is None or num_models >= defense.least:
        return ""
    return (
        f"algorithm.defense: {defense.rule} needs {defense.least} models, there are at most {num_models}; "
        "choose median or trimmed-mean, or allow for fewer false ones"
    )

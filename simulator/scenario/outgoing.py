"""What sites may do to the models that leave them: harm the others, or hide what their cases taught."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.registry import Settings
from simulator.scenario.fields import Positive
from simulator.units import Seconds

FACTORS = {"scale": 10.0, "sign-flip": 1.0, "noise": 1.0}
"""Kinds of harm that have a factor, and what it is unless given."""


class Rogue(Settings):
    """How a site harms the others, by mistake or on purpose.

    ``label-flip``: it learns, for the whole run, from cases whose outlined voxels are called background
    and the others foreground; its test cases stay true. The other kinds change what it sends between
    ``from`` and ``to``, never what it keeps: an update (what it sends, less the last model that it
    received, or the initial one) ``factor`` times as long (``scale``, 10) or in the opposite direction
    (``sign-flip``, 1), Gaussian noise added whose deviation is ``factor`` (1) times the root mean
    square of the update (``noise``), the first model it ever sent, over and over (``replay``), or
    values that are no numbers (``nan``, ``infinity``). Running statistics stay true: a false variance
    would be seen at once.
    """

    kind: Literal["label-flip", "scale", "sign-flip", "noise", "replay", "nan", "infinity"]
    factor: Positive | None = None
    from_: Seconds = Field(default=0.0, alias="from")
    to: Seconds | None = None

    @model_validator(mode="after")
    def _fits_kind(self) -> "Rogue":
        if self.factor is not None and self.kind not in FACTORS:
            raise ValueError(f"factor: {self.kind} has none; remove it (it belongs to {', '.join(FACTORS)})")
        if self.kind == "label-flip" and (self.from_ > 0 or self.to is not None):
            raise ValueError("from, to: label-flip is for the whole run; remove them")
        if self.to is not None and self.to <= self.from_:
            raise ValueError(f"to: {self.to:g} s is not after from, {self.from_:g} s; write a later time")
        return self

    @property
    def strength(self) -> float:
        """The factor, as given or by default; 0 for kinds without one."""
        return FACTORS.get(self.kind, 0.0) if self.factor is None else self.factor

    def acts_at(self, now_s: float) -> bool:
        """Whether what is sent now is falsified."""
        return self.kind != "label-flip" and self.from_ <= now_s and (self.to is None or now_s < self.to)


class Privacy(Settings):
    """Every site clips the update that it sends to the length ``clip`` (2-norm over all values) and adds
    Gaussian noise of deviation ``noise`` times ``clip`` to each of them. The privacy loss is stated at
    ``delta``.
    """

    clip: Positive
    noise: Positive
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5

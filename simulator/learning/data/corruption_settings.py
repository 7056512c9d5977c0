"""What can be wrong with a site's cases: another scanner, a missing modality, wrong outlines."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from simulator.registry import Settings
from simulator.units import Millimeters

Share = Annotated[float, Field(ge=0, le=1)]


class ScannerShift(Settings):
    """Another scanner. All of it acts on intensities within each channel's own range (1st to 99th
    percentile of its nonzero voxels, called 0 to 1); zero voxels are background and stay 0.

    Attributes:
        contrast: factor on the distance from middle gray.
        gamma: exponent of the brightness.
        bias_field: deviation of the logarithm of a slowly varying brightness error.
        blur: deviation of the point spread, in the plane of the slices.
        noise: deviation of added Gaussian noise.
        gain: factor on everything.
    """

    contrast: Annotated[float, Field(gt=0, le=3)] = 1.0
    gamma: Annotated[float, Field(ge=0.3, le=3)] = 1.0
    bias_field: Annotated[float, Field(ge=0, le=1)] = 0.0
    blur: Annotated[Millimeters, Field(le=20)] = 0.0
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    gain: Annotated[float, Field(gt=0)] = 1.0


class Missing(Settings):
    """A modality that a site did not take.

    Attributes:
        channel: its name.
        share: of the cases that lack it.
        replace_by: the channel that stands in; None: zeros.
    """

    channel: str
    share: Share = 1.0
    replace_by: str | None = None

    @model_validator(mode="after")
    def _by_another(self) -> "Missing":
        if self.replace_by == self.channel:
            raise ValueError(f"{self.channel} cannot stand in for itself; write another channel, or none")
        return self


class LabelNoise(Settings):
    """Outlines that are wrong, in training and validation cases; tests keep the true ones.

    Attributes:
        wider: how far all outlines are drawn outside the true ones.
        tighter: how far inside.
        wobble: deviation of a smooth random shift of the outlines.
        omit: share of the cases whose labels are empty: lesions not marked.
    """

    wider: Annotated[Millimeters, Field(le=50)] = 0.0
    tighter: Annotated[Millimeters, Field(le=50)] = 0.0
    wobble: Annotated[Millimeters, Field(le=50)] = 0.0
    omit: Share = 0.0

    @model_validator(mode="after")
    def _one_way(self) -> "LabelNoise":
        if self.wider and self.tighter:
            raise ValueError("wider and tighter undo each other; write one of them, or wobble")
        return self


class Corruptions(Settings):
    """What is wrong at a site; made when its cases are prepared, by the learning seed.

    Attributes:
        shift: another scanner.
        missing: modalities that were not taken, one or several.
        label_noise: wrong outlines.
    """

    shift: ScannerShift | None = None
    missing: Missing | tuple[Missing, ...] = ()
    label_noise: LabelNoise | None = None

    @property
    def all_missing(self) -> tuple[Missing, ...]:
        """The missing modalities as a tuple."""
        return (self.missing,) if isinstance(self.missing, Missing) else self.missing

    def damage(self) -> dict[str, Any]:
        """What is wrong as JSON; empty if nothing is."""
        found: dict[str, Any] = self.model_dump(mode="json", include=set(Corruptions.model_fields))
        return {name: value for name, value in found.items() if value}

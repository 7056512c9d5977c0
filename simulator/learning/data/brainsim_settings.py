"""What a scenario can say of the simulated brain tumors: the set, and each hospital's habits."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from simulator import units
from simulator.learning.data.splits import SplitSettings
from simulator.registry import Settings
from simulator.units import Millimeters

Modality = Literal["t1", "t1ce", "t2", "flair"]
Share = Annotated[float, Field(ge=0, le=1)]


def _signed(value: object) -> float:
    text = str(value).strip()
    return -units.parse(text[1:], "length") if text.startswith("-") else units.parse(value, "length")


SignedMillimeters = Annotated[
    float,
    BeforeValidator(_signed),
    PlainSerializer(lambda value: f"{value!r} mm", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "description": 'a length with its unit, "-1.5 mm" or "2 mm"'}),
]
"""A length in millimeters that may be negative, written ``"-1.5 mm"``."""


class BrainSim(Settings):
    """What all sites share.

    Attributes:
        dims: 2: stacks of axial slices; 3: volumes.
        size: pixels per row and column; in 3-D also planes. Default 96 in 2-D, 48 in 3-D.
        field_of_view: edge of the square (cube) that is imaged.
        slices: per case, 2-D only; the stack is centered near the tumor.
        slice_spacing: from slice to slice, 2-D only.
        modalities: sequences, in channel order.
        split: shares of each site's patients.
    """

    name: Literal["brainsim"]
    dims: Literal[2, 3] = 2
    size: Annotated[int, Field(ge=16, le=256)] = 96
    field_of_view: Annotated[Millimeters, Field(ge=64, le=256)] = 192.0
    slices: Annotated[int, Field(ge=1, le=32)] = 6
    slice_spacing: Annotated[Millimeters, Field(ge=1, le=24)] = 8.0
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)] = ("t1", "t1ce", "t2", "flair")
    split: SplitSettings = SplitSettings()

    @model_validator(mode="before")
    @classmethod
    def _size_by_dims(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("dims") == 3:
            return {"size": 48, **values}
        return values

    @model_validator(mode="after")
    def _distinct(self) -> "BrainSim":
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"modalities: {', '.join(self.modalities)} has one twice")
        return self


PROFILES: dict[str, dict[str, Any]] = {
    "a": {"noise": 0.015, "bias_field": 0.05, "tumor_diameter": ["36 mm", "76 mm"]},
    "b": {
        "contrast": 0.65, "noise": 0.045, "blur": "1.5 mm", "slice_thickness": "5 mm",
        "tumor_diameter": ["22 mm", "46 mm"], "hyperintensities": 3.0,
    },
    "c": {
        "gamma": 1.25, "bias_field": 0.3, "gain": 3.0, "noise": 0.03, "annotator": "1.5 mm",
        "tumor_diameter": ["32 mm", "72 mm"],
    },
    "d": {
        "contrast": 0.8, "noise": 0.09, "blur": "1.2 mm", "bias_field": 0.15, "slice_thickness": "6 mm",
        "tumor_diameter": ["30 mm", "70 mm"], "annotator": "-1 mm", "hyperintensities": 1.0,
    },
}  # fmt: skip
"""Four hospitals: a clean 3 T scanner; 1.5 T with low contrast, noise, blur and small tumors; a
strong bias field and gain, outlines drawn wide; an old 1 T scanner, very noisy, outlines tight."""


class BrainSimSite(Settings):
    """A simulated hospital: how many patients, and its habits.

    Attributes:
        cases: number of patients, one case each.
        profile: a preset of habits, see :data:`PROFILES`; keys given beside it win.
        contrast: factor on the distance from middle gray.
        gamma: exponent of the brightness.
        bias_field: deviation of the logarithm of a slowly varying brightness error.
        noise: deviation of the Rician noise; white matter in T1 is 0.8.
        blur: deviation of the in-plane point spread.
        gain: factor on everything.
        slice_thickness: over which a slice averages.
        shift: of the field of view (to higher columns, to lower rows).
        tumor_diameter: smallest and largest whole tumor, drawn uniformly.
        satellites: share of cases with one to three further small foci (8 to 14 mm).
        low_grade: share of cases whose core does not enhance, so ET is empty.
        hyperintensities: mean number of harmless bright spots in T2 and FLAIR.
        missing: sequence that is replaced by FLAIR where it was not taken.
        missing_share: share of cases that lack it.
        annotator: outlines drawn wider (above 0) or tighter (below 0), about.
        test_only: all cases test; a hospital that no training sees.
    """

    cases: Annotated[int, Field(ge=1, le=10_000)]
    profile: Literal["a", "b", "c", "d"] | None = None
    contrast: Annotated[float, Field(gt=0, le=2)] = 1.0
    gamma: Annotated[float, Field(ge=0.3, le=3)] = 1.0
    bias_field: Annotated[float, Field(ge=0, le=1)] = 0.0
    noise: Annotated[float, Field(ge=0, le=1)] = 0.02
    blur: Annotated[Millimeters, Field(le=10)] = 0.0
    gain: Annotated[float, Field(gt=0)] = 1.0
    slice_thickness: Annotated[Millimeters, Field(le=12)] = 0.0
    shift: tuple[SignedMillimeters, SignedMillimeters] = (0.0, 0.0)
    tumor_diameter: tuple[Millimeters, Millimeters] = (30.0, 70.0)
    satellites: Share = 0.0
    low_grade: Share = 0.0
    hyperintensities: Annotated[float, Field(ge=0, le=50)] = 0.0
    missing: Literal["t1", "t1ce", "t2"] | None = None
    missing_share: Share = 1.0
    annotator: Annotated[SignedMillimeters, Field(ge=-4, le=6)] = 0.0
    test_only: bool = False

    @model_validator(mode="before")
    @classmethod
    def _apply_profile(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("profile"), str):
            return {**PROFILES.get(values["profile"], {}), **values}
        return values

    @model_validator(mode="after")
    def _sizes_in_order(self) -> "BrainSimSite":
        small, large = self.tumor_diameter
        if not 6 <= small <= large <= 100:
            raise ValueError(f"tumor_diameter: {small:g} to {large:g} mm; write two sizes from 6 to 100 mm")
        return self

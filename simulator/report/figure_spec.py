"""What a figure shows, declared: one :class:`FigureSpec` per figure, for reports and for papers alike."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from simulator.record.measures_estimates import BY_SITE, Over
from simulator.record.measures_frames import NUMBERS
from simulator.registry import Settings, suggest

Kind = Literal["curve", "front", "reach", "line", "sites", "heat"]
COSTS = ("time_s", "carried_nbytes", "busiest_nbytes", "round")
SCORES = ("dice_mean", "dice_worst")
SITE_SCORES = ("dice", "over_local", "over_pooled")


def _listed(value: Any) -> Any:
    found = value if isinstance(value, list | tuple) else [value]
    return [
        f"{one:g}" if isinstance(one, int | float) and not isinstance(one, bool) else one for one in found
    ]


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Names or values, one or several; a number is its text, as the report writes it."""


def _tuple(given: tuple[str, ...] | str | None) -> tuple[str, ...]:
    return given if isinstance(given, tuple) else (given,) if given else ()


class FigureSpec(Settings):
    """A figure: panels in columns and rows, in each panel one line, mark or tile per value of ``hue``.

    ``kind`` says what is drawn and what ``x`` and ``y`` may be:

    ``curve``: test Dice (``dice_mean, dice_worst``) against what was spent until then (``time_s,
    carried_nbytes, busiest_nbytes, round``). ``front``: two numbers of whole runs against each other, with
    the Pareto front. ``reach``: the share of runs that have the target, against a cost. ``line``: a number
    of runs over a swept condition. ``sites``: ``dice, over_local`` or ``over_pooled`` site by site (no x).
    ``heat``: a number of runs (``color``) over two conditions.

    Several names of ``x`` or ``y``, or the values of the conditions ``columns`` and ``rows``, make several
    panels. ``where`` keeps runs with these values of conditions, ``method`` or ``algorithm``. What varies and
    is not shown is averaged, and the caption says so. Intervals are over seeds, or, where a number is a mean
    of sites or cases, over these (``over``). Without ``width`` a figure with several columns is as wide as a
    page.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    kind: Kind
    x: Names = ()
    y: Names = ()
    color: str | None = None
    hue: str = "method"
    columns: str | None = None
    rows: str | None = None
    where: dict[str, Names] = Field(default_factory=dict)
    over: Over = "seeds"
    width: Literal["column", "page"] | None = None
    title: str = ""
    faults: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "FigureSpec":
        wanted = _WANTED[self.kind]
        for axis, (known, needed) in wanted.items():
            names = (self.color,) if axis == "color" and self.color else getattr(self, axis) or ()
            if needed and not names:
                some = f", such as {next(iter(known))}" if known else ", the name of a swept condition"
                raise ValueError(f"{axis} is missing; a figure of kind {self.kind} needs it{some}")
            for name in names:
                if known and name not in known:
                    raise ValueError(
                        f'{axis}: a figure of kind {self.kind} has no "{name}"{suggest(name, list(known))}'
                    )
        for axis in {"x", "y", "color"} - wanted.keys():
            if getattr(self, axis):
                raise ValueError(f"{axis}: a figure of kind {self.kind} has none; remove it")
        self._check_panels()
        return self

    def _check_panels(self) -> None:
        for along, axis in (("columns", "x"), ("rows", "y")):
            if getattr(self, along) and len(getattr(self, axis)) > 1:
                raise ValueError(f"{along}: the panels are those of several {axis} already; give one {axis}")
        shown = [
            (name, axis) for axis in ("x", "y", "columns", "rows") for name in _tuple(getattr(self, axis))
        ]
        shown += [(self.hue, "hue")] if self.kind == "line" else []
        for place, (name, axis) in enumerate(shown):
            before = next((other for same, other in shown[:place] if same == name), None)
            if before is not None:
                raise ValueError(f'{axis}: "{name}" is {before} already; choose another, or remove one')
        if self.kind == "heat" and (len(self.x) > 1 or len(self.y) > 1 or self.rows):
            raise ValueError("a heat map has one x, one y, and columns only")
        if self.faults and (self.kind != "curve" or self.x != ("time_s",)):
            raise ValueError("faults: they are marked on curves over time_s only; remove it")
        numbers = {self.color} if self.kind == "heat" else {*self.x, *self.y} & {*NUMBERS}
        if self.over == "seeds":
            return
        if self.kind not in {"front", "line"} or not numbers & set(BY_SITE):
            raise ValueError(f"over: intervals over {self.over} exist for {', '.join(BY_SITE)} of runs only")
        if self.over == "cases" and "dice_mean" not in numbers:
            raise ValueError("over: intervals over cases exist for dice_mean only")


_WANTED: dict[Kind, dict[str, tuple[tuple[str, ...], bool]]] = {
    "curve": {"x": (COSTS, True), "y": (SCORES, True)},
    "front": {"x": (NUMBERS, True), "y": (NUMBERS, True)},
    "reach": {"x": (COSTS, True)},
    "line": {"x": ((), True), "y": (NUMBERS, True)},
    "sites": {"y": (SITE_SCORES, True)},
    "heat": {"x": ((), True), "y": ((), True), "color": (NUMBERS, True)},
}

"""What is said of a figure: its title, and a caption of what was drawn, averaged and repeated."""

from simulator.report.figure_spec import FigureSpec
from simulator.report.panels import Part
from simulator.report.quantities import words_of
from simulator.report.text import listing
from simulator.statistics.intervals import MIN_RESAMPLED

_WHAT = {
    "curve": "Test Dice of the models that sites had, against what was spent until then. A curve begins "
    "where every run has a model at every site, ends with the last run; one that ended before keeps its "
    "last model. A broken level line: costs nothing of this kind.",
    "front": "A mark per method and condition; dotted: the Pareto front, beyond which no method is both "
    "cheaper and better.",
    "reach": "Share of runs whose mean validation Dice has reached {target:g}; a run that ends without it (a "
    "bar) keeps its last model and counts on as one without.",
    "line": "Means; marks of methods are moved aside so that none hides another.",
    "sites": "Each site's selected model on its own test cases (their number in parentheses).",
    "heat": "Means over runs; the scale is the same in all panels.",
}


def caption(spec: FigureSpec, part: Part, target: float | None, remark: str) -> str:
    """Return what a figure shows, a remark on it, what was averaged, and what its intervals are."""
    what = _WHAT[spec.kind].format(target=target) if spec.kind == "reach" else _WHAT[spec.kind]
    said = [what, remark, _averaged(spec, part), intervals_in_words(part, part.whole.unit)]
    return " ".join(text for text in said if text)


def title_of(spec: FigureSpec) -> str:
    """Return the title of a figure that was given none."""
    if spec.kind == "reach":
        return f"Runs with the target by {words_of(spec.x[0]).lower()}"
    if spec.kind == "sites":
        return f"{words_of(spec.y[0])} by site"
    if spec.kind == "heat":
        return f"{words_of(str(spec.color))} over {spec.x[0]} and {spec.y[0]}"
    against = " and ".join(words_of(name).lower() for name in spec.x)
    return f"{words_of(spec.y[0])} against {against}"


def _averaged(spec: FigureSpec, part: Part) -> str:
    shown = {spec.columns, spec.rows, spec.hue, *part.apart}
    shown |= {*spec.x, *spec.y} if spec.kind in {"line", "heat"} else set()
    table = part.whole.runs
    hidden = [
        part.titles.get(one.name, one.name)
        for one in part.whole.conditions
        if one.name not in shown and table[one.name].n_unique() > 1
    ]
    return f"Averaged over {listing(hidden)}." if hidden else ""


def intervals_in_words(part: Part, unit: str) -> str:
    """Say what bands and whiskers are, over what, and how they were found."""
    if not part.notes:
        seeds = part.whole.runs["unit"].n_unique()
        return "One run per method: differences may be chance." if seeds == 1 else ""
    sizes = sorted({count for _, count in part.notes})
    span = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    what = f"{unit}s" if part.over == "seeds" else part.over
    kinds = {kind for kind, _ in part.notes}
    how = {
        frozenset({"bootstrap"}): "BCa bootstrap",
        frozenset({"student"}): "Student's t",
    }.get(frozenset(kinds), f"BCa bootstrap, Student's t below {MIN_RESAMPLED}")
    return f"Bands and whiskers: 95 % intervals of the mean over {span} {what} ({how})."

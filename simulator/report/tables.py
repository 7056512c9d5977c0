"""The tables of a report: what was reached, at which cost, as text ready to print."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simulator.record.measures import Summary
from simulator.record.measures_curves import Cost, Reach, largest, reaches, survival
from simulator.record.measures_dice import structure_table, unseen_table
from simulator.record.measures_run import Run, by_unit
from simulator.record.measures_sites import SiteTable
from simulator.report.text import (
    MISSING,
    count,
    duration,
    natural,
    number,
    percent,
    signed,
    size,
    spread,
)
from simulator.statistics.intervals import AMOUNT, SHARE, interval

_MOST_COLUMNS = 12

Groups = Mapping[str, Sequence[Run]]
Summaries = Mapping[str, Sequence[Summary]]
Show = Callable[[float | None], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Head and rows of text; the first column names the row. ``note`` stands below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


_REACHED: tuple[tuple[str, Callable[[Summary], float | None], Show], ...] = (
    ("Dice, mean over sites", lambda s: s.quality.dice_mean, number),
    ("weighted by cases", lambda s: s.quality.dice_weighted, number),
    ("worst site", lambda s: s.quality.dice_worst, number),
    ("HD95 (mm)", lambda s: s.quality.hd95_mm, lambda v: number(v, 2)),
    ("ASSD (mm)", lambda s: s.quality.assd_mm, lambda v: number(v, 2)),
    ("missed", lambda s: s.quality.missed, count),
    ("false alarms", lambda s: s.quality.false_alarms, count),
)
_COST: tuple[tuple[str, Callable[[Summary], float | None], Show], ...] = (
    ("transmissions", lambda s: s.traffic.transmissions, count),
    ("sent", lambda s: s.traffic.carried_nbytes, size),
    ("delivered", lambda s: s.traffic.delivered_nbytes, size),
    ("wasted", lambda s: s.traffic.wasted_nbytes, size),
    ("busiest link", lambda s: s.traffic.busiest_nbytes, size),
    ("control", lambda s: s.traffic.control_nbytes, size),
    ("local epochs", lambda s: s.effort.local_epochs, count),
    ("virtual time", lambda s: s.effort.virtual_time_s, duration),
    ("extra compute", lambda s: s.effort.extra_share, percent),
    ("lost work", lambda s: s.effort.lost_s, duration),
    ("accepted", lambda s: s.effort.accepted, count),
    ("rejected", lambda s: s.effort.rejected, count),
)


def reached(summaries: Summaries) -> Table | None:
    """Scores by label; None where nothing was evaluated."""
    scored = {label: many for label, many in summaries.items() if any(s.quality.num_sites for s in many)}
    if not scored:
        return None
    rows = []
    for label, many in scored.items():
        worst = sorted({s.quality.worst_site or MISSING for s in many}, key=natural)
        cells = _cells(many, _REACHED)
        rows.append((label, str(len(many)), *cells[:3], ", ".join(worst), *cells[3:]))
    head = [name for name, _, _ in _REACHED]
    return Table(
        title="What was reached",
        head=("method", "runs", *head[:3], "which", *head[3:]),
        rows=tuple(rows),
        note="Selected models on test cases. In parentheses: 95 % confidence interval of the mean over runs "
        "(BCa bootstrap, Student's t below 6 values). Missed structures and false alarms count Dice 0.",
    )


def cost(summaries: Summaries) -> Table:
    """Traffic and work by label, without the columns that nobody has."""
    everyone = [s for many in summaries.values() for s in many]
    columns = [column for column in _COST if any(column[1](s) is not None for s in everyone)]
    return Table(
        title="What it cost",
        head=("method", *(name for name, _, _ in columns)),
        rows=tuple((label, *_cells(many, columns, short=True)) for label, many in summaries.items()),
        note="Means over runs. Sent, delivered and wasted count model bytes; sent = delivered + wasted + in "
        "flight at the end. Control messages are counted apart.",
    )


def _cells(
    many: Sequence[Summary],
    columns: Sequence[tuple[str, Callable[[Summary], float | None], Show]],
    *,
    short: bool = False,
) -> list[str]:
    cells = []
    for _, read, show in columns:
        values = by_unit((s.run, float(v)) for s in many if (v := read(s)) is not None)
        found = interval(values, SHARE if show is number else AMOUNT)
        alone = short or show is count
        cells.append(show(None if found is None else found.mean) if alone else spread(found, show))
    return cells


def by_site(table: SiteTable) -> list[Table]:
    """Dice by site and label, and the differences to local and pooled training where there are any."""
    if not table.sites:
        return []
    names = sorted(table.sites, key=natural)
    head = ("site", "test cases", *table.labels)

    def rows(read: Callable[..., str]) -> tuple[tuple[str, ...], ...]:
        body = [
            (name, count(table.num_cases[name]), *(read(table.cells[name, label]) for label in table.labels))
            for name in names
        ]
        foot = [("mean over sites", "", *(read(table.mean[label]) for label in table.labels))]
        foot.append(("worst site", "", *(read(table.worst[label]) for label in table.labels)))
        return tuple(body + foot)

    made = [Table(title="Dice by site", head=head, rows=rows(lambda cell: spread(cell.dice)))]
    cells = [*table.cells.values(), *table.mean.values()]
    if any(cell.over_local for cell in cells):
        note = (
            "Each method minus local training with the same seeds; above 0: taking part pays for this site."
        )
        over = rows(lambda cell: spread(cell.over_local, signed))
        made.append(Table(title="Gain over local training", head=head, rows=over, note=note))
    if any(cell.over_pooled for cell in cells):
        note = "Each method minus training on all sites' cases together; below 0: what not pooling costs."
        over = rows(lambda cell: spread(cell.over_pooled, signed))
        made.append(Table(title="Against pooled training", head=head, rows=over, note=note))
    return [lengthwise(one) for one in made]


def lengthwise(table: Table) -> Table:
    """The same with rows and columns exchanged, where too many methods would stand side by side."""
    if len(table.head) <= max(_MOST_COLUMNS, len(table.rows)):
        return table
    columns = zip(table.head, *table.rows, strict=True)
    head = next(columns)
    return Table(title=table.title, head=("method", *head[1:]), rows=tuple(columns), note=table.note)


def by_structure(groups: Groups) -> Table | None:
    """Dice by structure over all test cases; None for fewer than two structures."""
    columns: dict[str, dict[str, str]] = {}
    names: dict[str, None] = {}
    for label, runs in groups.items():
        found: dict[str, list[tuple[Run, float]]] = {}
        for run in runs:
            for structure, dice in structure_table(run).select("structure", "dice").iter_rows():
                found.setdefault(structure, []).extend([] if dice is None else [(run, dice)])
        if found:
            columns[label] = {
                structure: spread(interval(by_unit(values), SHARE)) for structure, values in found.items()
            }
            names |= dict.fromkeys(found)
    if len(names) < 2:
        return None
    rows = tuple((name, *(columns[label].get(name, MISSING) for label in columns)) for name in names)
    head, note = ("structure", *columns), "Mean over all test cases."
    return lengthwise(Table(title="Dice by structure", head=head, rows=rows, note=note))


def unseen(groups: Groups) -> Table | None:
    """Dice at hospitals that took no part in training; None if all did."""
    rows: dict[str, list[str]] = {}
    for place, runs in enumerate(groups.values()):
        found: dict[str, list[tuple[Run, float, float, int]]] = {}
        for run in runs:
            for site, dice, lowest, num_cases in unseen_table(run).iter_rows():
                found.setdefault(site, []).append((run, dice, lowest, num_cases))
        for site, values in found.items():
            cells = rows.setdefault(site, [str(values[0][3]), *[MISSING] * len(groups)])
            mean = spread(interval(by_unit((run, dice) for run, dice, _, _ in values), SHARE))
            cells[1 + place] = f"{mean} ({number(min(lowest for _, _, lowest, _ in values))})"
    if not rows:
        return None
    table = Table(
        title="Dice at hospitals that took no part",
        head=("site", "test cases", *groups),
        rows=tuple((site, *cells) for site, cells in sorted(rows.items())),
        note="Mean over the selected models of all sites that trained; in parentheses the lowest of them.",
    )
    return lengthwise(table)


def to_target(groups: Groups, target: float | None) -> Table | None:
    """Time and bytes until the mean validation Dice; None without target or validation scores."""
    if target is None:
        return None
    shows: dict[Cost, Show] = {"time_s": duration, "carried_nbytes": size, "busiest_nbytes": size}
    ways = {
        label: [(run, found) for run in runs if (found := reaches(run, target))]
        for label, runs in groups.items()
    }
    every = [found["time_s"] for several in ways.values() for _, found in several]
    if not every:
        return None
    horizon = largest(every)
    rows = []
    for label, several in ways.items():
        if not several:
            rows.append((label, *[MISSING] * 5))
            continue
        reached = sum(found["time_s"].at is not None for _, found in several)
        medians = [_median([found[cost] for _, found in several], show) for cost, show in shows.items()]
        within = by_unit((run, _at_most(found["time_s"], horizon)) for run, found in several)
        rows.append(
            (
                label,
                f"{reached} of {len(several)}",
                *medians,
                spread(interval(within, (0.0, horizon)), duration),
            )
        )
    head = ("method", "runs that reached it", "virtual time", "model bytes", "on busiest link")
    return Table(
        title=f"Until first mean validation Dice {target:g}",
        head=(*head, f"mean time within {duration(horizon)}"),
        rows=tuple(rows),
        note="Medians over runs by Kaplan and Meier: a run that ends without the target is not left out, but "
        "keeps its last model and is censored at the end of the longest. “>”: half of the runs or more "
        "ended without it; the number is where the first of these ended. The mean, with its 95 % interval "
        "over seeds (BCa bootstrap, Student's t below 6), counts a run without the target as the whole span.",
    )


def _at_most(one: Reach, horizon: float) -> float:
    return horizon if one.at is None else one.at


def _median(found: Sequence[Reach], show: Show) -> str:
    median = survival(found).median
    if median is not None:
        return show(median)
    return f"> {show(min(one.until for one in found if one.at is None))}"

"""Sites and methods side by side: means over seeds, and what each site gains by taking part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.record.measures_dice import selected_table
from simulator.record.measures_run import Run, by_unit
from simulator.statistics.intervals import SHARE, Interval, interval

Scores = Mapping[str, float]  # Dice of the selected model by site


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A site under one label: its Dice, and the paired difference to the reference runs.

    ``over_local`` is above 0 where taking part paid; ``over_pooled`` is below 0 where pooling all
    cases would have been better. None: there is no such run, or not with the same learning seed.
    """

    dice: Interval | None
    over_local: Interval | None
    over_pooled: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteTable:
    """Dice by site (rows, sorted by name) and label (columns, in order of the runs).

    ``mean`` and ``worst`` hold the mean over sites and the worst site of each run, then over runs.
    """

    labels: tuple[str, ...]
    sites: tuple[str, ...]
    num_cases: Mapping[str, int]
    cells: Mapping[tuple[str, str], Cell]  # (site, label)
    mean: Mapping[str, Cell]
    worst: Mapping[str, Cell]


def site_table(groups: Mapping[str, Sequence[Run]]) -> SiteTable:
    """Compare the selected models of all groups (runs by label) on the sites' test cases."""
    tables = {run.folder: selected_table(run) for runs in groups.values() for run in runs}
    scores: dict[str, list[tuple[Run, Scores]]] = {
        label: [
            (run, dict(tables[run.folder].select("site", "dice").iter_rows()))
            for run in runs
            if not tables[run.folder].is_empty()
        ]
        for label, runs in groups.items()
    }
    scores = {label: found for label, found in scores.items() if found}
    local, pooled = _reference(scores, "local"), _reference(scores, "pooled")
    num_cases: dict[str, int] = {}
    for table in tables.values():
        num_cases |= dict(table.select("site", "num_cases").iter_rows())
    sites = tuple(sorted(num_cases))

    def cell(label: str, of: str | None, kind: str = "") -> Cell:
        mine = scores[label]
        return Cell(
            dice=interval(
                by_unit((run, v) for run, s in mine if (v := _value(s, of, kind)) is not None), SHARE
            ),
            over_local=interval(by_unit(_differences(mine, local, of, kind))),
            over_pooled=interval(by_unit(_differences(mine, pooled, of, kind))),
        )

    return SiteTable(
        labels=tuple(scores),
        sites=sites,
        num_cases=num_cases,
        cells={(site, label): cell(label, site) for site in sites for label in scores},
        mean={label: cell(label, None, "mean") for label in scores},
        worst={label: cell(label, None, "worst") for label in scores},
    )


def _value(scores: Scores, site: str | None, kind: str) -> float | None:
    if site is not None:
        return scores.get(site)
    return sum(scores.values()) / len(scores) if kind == "mean" else min(scores.values())


def _reference(
    scores: Mapping[str, Sequence[tuple[Run, Scores]]], algorithm: str
) -> Sequence[tuple[Run, Scores]]:
    """The runs of the one label with this algorithm; none if several labels compete for it."""
    found = [runs for runs in scores.values() if runs[0][0].algorithm == algorithm]
    return found[0] if len(found) == 1 else ()


def _differences(
    mine: Sequence[tuple[Run, Scores]], reference: Sequence[tuple[Run, Scores]], site: str | None, kind: str
) -> list[tuple[Run, float]]:
    """Differences between runs of the same seeds, or at least of the same learning seed."""
    differences = []
    for run, scores in mine:
        partner = next((s for r, s in reference if r.seeds == run.seeds), None) or next(
            (s for r, s in reference if r.seeds[0] == run.seeds[0]), None
        )
        if partner is None or partner is scores:
            continue
        own, other = _value(scores, site, kind), _value(partner, site, kind)
        if own is not None and other is not None:
            differences.append((run, own - other))
    return differences


def paired_difference(
    groups: Mapping[str, Sequence[Run]], label: str, other: str, *, worst: bool
) -> Interval | None:
    """Return ``label`` minus ``other`` in mean (or worst-site) Dice over runs with the same seeds."""
    scored = {}
    for name in (label, other):
        tables = [(run, selected_table(run)) for run in groups[name]]
        scored[name] = [
            (run, dict(t.select("site", "dice").iter_rows())) for run, t in tables if not t.is_empty()
        ]
    return interval(by_unit(_differences(scored[label], scored[other], None, "worst" if worst else "mean")))

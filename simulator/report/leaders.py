"""Who is ahead in a study, in sentences: among methods, over conditions, beside local training."""

from collections.abc import Mapping, Sequence

from simulator.record.measures_epochs import with_stop
from simulator.record.measures_run import Run
from simulator.record.measures_sites import Cell, SiteTable, paired_difference
from simulator.record.measures_standing import Standings
from simulator.report.text import number, plural, signed, spread

Groups = Mapping[str, Sequence[Run]]
"""Runs that ended, by label."""


def leaders(groups: Groups, sites: SiteTable, standing: Standings | None) -> list[str]:
    """Who is ahead among the methods that leave cases where they are; pooled training is a reference.

    Args:
        groups: runs that ended, by label.
        sites: theirs.
        standing: methods over conditions that were swept beside them; None where none were.

    """
    pooled = sorted(label for label in sites.labels if groups[label][0].algorithm == "pooled")
    measures = ((False, "mean Dice over sites", sites.mean), (True, "Dice at the worst site", sites.worst))
    said = [] if standing is None else _over_conditions(groups, standing)
    for worst, what, cells in measures:
        if standing is None:
            means = {
                label: cell.dice.mean for label, cell in cells.items() if cell.dice and label not in pooled
            }
            ranked = sorted(((mean, label) for label, mean in means.items()), key=lambda m: (-m[0], m[1]))
            said += _first(groups, ranked, what, cells, worst=worst)
        said += [
            f"Training on all cases together ({with_stop(label, groups[label])}) reaches a {what} of "
            f"{spread(cells[label].dice)}."
            for label in pooled
        ]
    return said


def _first(
    groups: Groups,
    ranked: Sequence[tuple[float, str]],
    what: str,
    cells: Mapping[str, Cell],
    *,
    worst: bool,
) -> list[str]:
    """The first two labels, or the only one."""
    if len(ranked) == 1:
        only = ranked[0][1]
        return [f"{with_stop(only, groups[only])} reaches a {what} of {spread(cells[only].dice)}."]
    return [_first_two(groups, ranked, what, worst=worst)] if ranked else []


def _over_conditions(groups: Groups, standing: Standings) -> list[str]:
    """The first two methods over all conditions that they share, by both measures."""
    said = []
    for metric, what in (("dice_mean", "mean Dice over sites"), ("dice_worst", "Dice at the worst site")):
        found = {one.method: one.over_seeds[metric] for one in standing.methods}
        scored = {name: over for name, over in found.items() if over and not _is_pooled(groups, name)}
        ranked = sorted(scored, key=lambda name: (-scored[name].mean, name))
        if not ranked:
            continue
        first, *others = ranked
        text = f"Over {standing.num_conditions} conditions {_told(groups, first)} has the highest {what}, "
        text += spread(scored[first])
        if others:
            text += f"; next is {_told(groups, others[0])} with {spread(scored[others[0]])}"
            text += _difference(standing, first, others[0]) if metric == "dice_mean" else ""
        said.append(text + ".")
    return said


def _of_method(groups: Groups, method: str) -> list[Run]:
    """Runs of a method under whatever conditions; a label is the method, then its conditions."""
    return [
        run
        for label, runs in groups.items()
        if label == method or label.startswith(f"{method}, ")
        for run in runs
    ]


def _told(groups: Groups, method: str) -> str:
    return with_stop(method, _of_method(groups, method))


def _is_pooled(groups: Groups, method: str) -> bool:
    return any(run.algorithm == "pooled" for run in _of_method(groups, method))


def _difference(standing: Standings, first: str, second: str) -> str:
    """The paired difference of two methods, where seeds are enough for an interval."""
    for pair in standing.verdict.pairs if standing.verdict is not None else ():
        gap = pair.comparison.difference
        if {pair.first, pair.second} != {first, second} or gap.low is None or gap.high is None:
            continue
        sign = 1 if pair.first == first else -1
        low, high = sorted((sign * gap.low, sign * gap.high))
        chance = ", so the order may be chance" if low <= 0 else ""
        told = f"{signed(sign * gap.mean)} ({signed(low)} to {signed(high)})"
        return f" (difference {told}, 95 % CI over {plural(gap.count, standing.unit)}, paired{chance})"
    return ""


def _first_two(groups: Groups, ranked: Sequence[tuple[float, str]], what: str, *, worst: bool) -> str:
    (best, label), (next_best, second) = ranked[:2]
    first, other = with_stop(label, groups[label]), with_stop(second, groups[second])
    text = f"{first} has the highest {what}, {number(best)}; next is {other} with {number(next_best)}"
    gap = paired_difference(groups, label, second, worst=worst)
    if gap is not None and gap.low is not None:
        chance = ", so the order may be chance" if gap.low <= 0 else ""
        text += f" (difference {spread(gap, signed)}, 95 % CI over {gap.count} paired runs{chance})"
    return text + "."


def gain_over_local(groups: Groups, sites: SiteTable) -> list[str]:
    """At how many sites each method does better than local training, who gains and who loses most."""
    local = next(
        (with_stop("local training", runs) for runs in groups.values() if runs[0].algorithm == "local"),
        "local training",
    )
    said = []
    for label in sites.labels:
        gains = {
            site: cell.over_local.mean
            for site in sites.sites
            if (cell := sites.cells[site, label]).over_local is not None
        }
        if not gains or groups[label][0].algorithm == "pooled":
            continue
        better = sum(gain > 0 for gain in gains.values())
        most, least = max(gains, key=lambda s: gains[s]), min(gains, key=lambda s: gains[s])
        text = f"With {with_stop(label, groups[label])}, {better} of {plural(len(gains), 'site')} do better "
        text += f"than with {local}"
        text += f"; {most} gains most ({signed(gains[most])})" if gains[most] > 0 else ""
        text += f"; {least} loses most ({signed(gains[least])})" if gains[least] < 0 else ""
        said.append(text + ".")
    return said


def gains_in_short(groups: Groups, sites: SiteTable) -> list[str]:
    """Who gains most and least over local training, and how many gain at all."""
    gains = {
        label: sum(found) / len(found)
        for label in sites.labels
        if groups[label][0].algorithm != "pooled"
        and (found := [gain.mean for site in sites.sites if (gain := sites.cells[site, label].over_local)])
    }
    if not gains:
        return []
    better = sum(gain > 0 for gain in gains.values())
    most, least = max(gains, key=lambda label: gains[label]), min(gains, key=lambda label: gains[label])
    return [
        f"{better} of {len(gains)} do better than local training, mean over sites: from {most} "
        f"({signed(gains[most])}) down to {least} ({signed(gains[least])}); the table Gain over local "
        "training has all."
    ]

"""The headline findings: sentences computed from the runs, and what to be careful about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from simulator.record.measures import Summary
from simulator.record.measures_curves import curve, interval, reach, summarize_reach
from simulator.record.measures_run import Run
from simulator.record.measures_sites import SiteTable, paired_difference
from simulator.report.text import duration, listing, number, percent, plural, signed, size, spread

Groups = Mapping[str, Sequence[Run]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Sentences for the top of a report."""

    sentences: tuple[str, ...]
    cautions: tuple[str, ...]


def findings(
    groups: Groups, summaries: Mapping[str, Sequence[Summary]], sites: SiteTable, target: float | None
) -> Findings:
    """Say what the runs show. ``groups``: runs that ended, by label; ``summaries``: theirs."""
    sentences = [
        *_best(groups, sites),
        *_gain_over_local(sites),
        *_traffic(groups, summaries),
        *_server_faults(groups),
        *_target(groups, target),
        *_missed(summaries),
    ]
    return Findings(sentences=tuple(sentences), cautions=tuple(_cautions(groups, sites)))


def _best(groups: Groups, sites: SiteTable) -> list[str]:
    said = []
    for worst, what, cells in (
        (False, "mean Dice over sites", sites.mean),
        (True, "Dice at its worst site", sites.worst),
    ):
        ranked = sorted(
            ((cell.dice.mean, label) for label, cell in cells.items() if cell.dice is not None),
            key=lambda pair: (-pair[0], pair[1]),
        )
        if len(ranked) < 2:
            said += [f"{label} reaches a {what} of {spread(cells[label].dice)}." for _, label in ranked]
            continue
        (best, label), (_, second) = ranked[0], ranked[1]
        gap = paired_difference(groups, label, second, worst=worst)
        text = f"{label} has the highest {what}, {number(best)}; next is {second} with {number(ranked[1][0])}"
        if gap is not None and gap.low is not None and gap.high is not None:
            clear = "" if gap.low > 0 else ", so the order may be chance"
            text += f" (difference over {gap.count} paired runs {spread(gap, signed)}, 95 % CI{clear})"
        said.append(text + ".")
    return said


def _gain_over_local(sites: SiteTable) -> list[str]:
    said = []
    for label in sites.labels:
        gains = {
            site: cell.over_local.mean
            for site in sites.sites
            if (cell := sites.cells[site, label]).over_local is not None
        }
        if not gains:
            continue
        better = [site for site, gain in gains.items() if gain > 0]
        most, least = max(gains, key=lambda s: gains[s]), min(gains, key=lambda s: gains[s])
        text = (
            f"With {label}, {len(better)} of {plural(len(gains), 'site')} do better than with local training"
        )
        text += f"; most of all {most} ({signed(gains[most])})"
        if gains[least] < 0:
            text += f", while {least} loses ({signed(gains[least])})"
        said.append(text + ".")
    return said


def _traffic(groups: Groups, summaries: Mapping[str, Sequence[Summary]]) -> list[str]:
    reference = next((label for label, runs in groups.items() if runs[0].algorithm == "fedavg"), None)
    if reference is None:
        return []
    base, base_rate = _mean_nbytes(summaries[reference]), _per_round(groups[reference])
    if not base or not base_rate:
        return []
    said = []
    for label in groups:
        nbytes, rate = _mean_nbytes(summaries[label]), _per_round(groups[label])
        if label == reference or not nbytes or not rate:
            continue
        said.append(
            f"{label} sent {size(nbytes)} of models in all, {percent(nbytes / base)} of {reference}'s "
            f"{size(base)}; "
            f"per round {rate:.1f} models against {base_rate:.1f} ({percent(rate / base_rate)})."
        )
    return said


def _mean_nbytes(summaries: Sequence[Summary]) -> float | None:
    found = interval([s.traffic.carried_nbytes for s in summaries if s.traffic.carried_nbytes is not None])
    return None if found is None else found.mean


def _per_round(runs: Sequence[Run]) -> float | None:
    """Model transfers per round in which any was sent."""
    rates = []
    for run in runs:
        models = run.tables["transfers"].filter(~pl.col("control") & pl.col("round").is_not_null())
        if not models.is_empty():
            rates.append(models["transfer"].n_unique() / models["round"].n_unique())
    return sum(rates) / len(rates) if rates else None


def _server_faults(groups: Groups) -> list[str]:
    """What became of the methods with and without a server when it went down."""
    said = []
    for label, runs in groups.items():
        run = runs[0]
        struck = run.tables["faults"].filter(
            (pl.col("node") == "server")
            & (pl.col("status") == "fired")
            & pl.col("verb").is_in(["crash", "leave"])
        )
        if struck.is_empty():
            continue
        at = float(struck["time_s"].sort()[0])
        text = f"{label}: the server goes down at {duration(at)}"
        said.append(text + _dice_since(run, at) + ".")
        others = [
            f"{name} {_from_to(other[0], at)}"
            for name, other in groups.items()
            if other[0]
            .tables["faults"]
            .filter((pl.col("node") == "server") & (pl.col("status") == "fired"))
            .is_empty()
            and _from_to(other[0], at)
        ]
        if others:
            said.append(f"Mean test Dice of the others from that instant to their end: {listing(others, 8)}.")
        break
    return said


def _dice_since(run: Run, at: float) -> str:
    points = curve(run)
    before = points.filter(pl.col("time_s") <= at)
    if before.is_empty():
        return "" if points.is_empty() else ", before all sites had a model"
    stood, ends = float(before["dice_mean"][-1]), float(points["dice_mean"][-1])
    if points.filter(pl.col("time_s") > at).is_empty():
        return f"; mean test Dice stays at {number(stood)}, no site has a newer model after that"
    return f"; mean test Dice is {number(stood)} then and {number(ends)} at the end"


def _from_to(run: Run, at: float) -> str:
    points = curve(run)
    before = points.filter(pl.col("time_s") <= at)
    if before.is_empty():
        return ""
    return f"{number(float(before['dice_mean'][-1]))} → {number(float(points['dice_mean'][-1]))}"


def _target(groups: Groups, target: float | None) -> list[str]:
    if target is None:
        return []
    got, missed = [], []
    for label, runs in groups.items():
        times = [r for run in runs if (r := reach(run, target, cost="time_s")) is not None]
        spent = [r for run in runs if (r := reach(run, target, cost="carried_nbytes")) is not None]
        if not times:
            continue
        when, cost = summarize_reach(times), summarize_reach(spent)
        if when.censored:
            some = f" ({when.reached} of {when.count} runs did)" if when.reached else ""
            missed.append(label + some)
        else:
            got.append(f"{label} after {duration(when.median)} and {size(cost.median)}")
    said = [f"Mean validation Dice of {target:g} is reached by {listing(got, 8)}."] if got else []
    return said + ([f"Not reached (censored) by {listing(missed, 8)}."] if missed else [])


def _missed(summaries: Mapping[str, Sequence[Summary]]) -> list[str]:
    found = {label: sum(s.quality.missed or 0 for s in many) for label, many in summaries.items()}
    worst = [f"{label} {total}" for label, total in found.items() if total]
    return [f"Structures that were there and not found at all: {listing(worst, 8)}."] if worst else []


def _cautions(groups: Groups, sites: SiteTable) -> list[str]:
    said = []
    scored = [runs for label, runs in groups.items() if label in sites.labels]
    if scored and all(len(runs) == 1 for runs in scored):
        said.append(
            "One run per method: differences may be chance. Sweep seed.learning and seed.network for more."
        )
    elif any(len(runs) == 1 for runs in scored):
        said.append("Some methods have a single run; their differences to the others may be chance.")
    few = [site for site in sites.sites if sites.num_cases[site] < 5]
    if few:
        said.append(f"Fewer than 5 test cases at {listing(few)}: their Dice is a rough estimate.")
    if any(run.manifest.get("simulated_data") for runs in groups.values() for run in runs):
        said.append("The images are simulated: draw conclusions about methods from real data only.")
    return said

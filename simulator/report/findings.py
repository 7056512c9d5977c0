"""The headline findings: sentences computed from the runs, and what to be careful about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from simulator.record.measures import Summary
from simulator.record.measures_curves import curve, reach, survival
from simulator.record.measures_epochs import stopped, with_stop
from simulator.record.measures_run import Run
from simulator.record.measures_sites import SiteTable
from simulator.record.measures_standing import Standings
from simulator.record.participation import remarks
from simulator.report.leaders import Groups, gain_over_local, gains_in_short, leaders
from simulator.report.outgoing import privacy_words, rogue_words
from simulator.report.text import duration, listing, number, percent, size

_MANY = 10
"""With more labels the tables tell of each, and the findings of the first and the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Sentences for the top of a report."""

    sentences: tuple[str, ...]
    cautions: tuple[str, ...]


def findings(
    groups: Groups,
    summaries: Mapping[str, Sequence[Summary]],
    sites: SiteTable,
    target: float | None,
    standing: Standings | None = None,
) -> Findings:
    """Say what the runs show.

    Args:
        groups: runs that ended, by label.
        summaries: theirs.
        sites: theirs.
        target: see :func:`simulator.record.measures_curves.reach`.
        standing: methods over conditions that were swept beside them; None where none were.

    """
    many = len(groups) > _MANY
    like_with_like = standing is not None
    sentences = [
        *leaders(groups, sites, standing),
        *(gains_in_short(groups, sites) if many else gain_over_local(groups, sites)),
        *(
            _traffic_in_short(summaries)
            if many
            else _traffic(groups, summaries, like_with_like=like_with_like)
        ),
        *_server_faults(groups),
        *([] if many else _participation(groups)),
        *_target(groups, target),
        *_missed(summaries),
    ]
    return Findings(sentences=tuple(sentences), cautions=tuple(_cautions(groups, sites)))


def _traffic_in_short(summaries: Mapping[str, Sequence[Summary]]) -> list[str]:
    """Who sent least and most."""
    sent = {label: nbytes for label, many in summaries.items() if (nbytes := _mean_nbytes(many))}
    if len(sent) < 2:
        return []
    least, most = min(sent, key=lambda label: sent[label]), max(sent, key=lambda label: sent[label])
    return [
        f"Of those that send models, {least} sent least, {size(sent[least])}, and {most} most, "
        f"{size(sent[most])}; the table What it cost has all."
    ]


def _traffic(
    groups: Groups, summaries: Mapping[str, Sequence[Summary]], *, like_with_like: bool
) -> list[str]:
    """Bytes beside FedAvg's; ``like_with_like``: under the same conditions, which end the labels."""
    averaged = [label for label, runs in groups.items() if runs[0].algorithm == "fedavg"]
    said = []
    for label in groups:
        alike = [one for one in averaged if one.partition(", ")[2] == label.partition(", ")[2]]
        reference = next(iter(alike if like_with_like else averaged), None)
        if reference is None or label == reference:
            continue
        base, base_rate = _mean_nbytes(summaries[reference]), _per_round(groups[reference])
        nbytes, rate = _mean_nbytes(summaries[label]), _per_round(groups[label])
        if not base or not base_rate or not nbytes or not rate:
            continue
        if any(stopped(run) for run in (*groups[label], *groups[reference])):
            said.append(_stopped_traffic(groups, summaries, label, reference))
            continue
        if abs(nbytes / base - 1) < 0.005 and abs(rate / base_rate - 1) < 0.005:
            said.append(f"{label} sent as much as {reference}, {size(nbytes)} of models.")
            continue
        in_all = f"{size(nbytes)} of models in all, {percent(nbytes / base)} of {reference}'s {size(base)}"
        per_round = f"{rate:.1f} against {base_rate:.1f} ({percent(rate / base_rate)})"
        said.append(f"{label} sent {in_all}; models per round {per_round}.")
    return said


def _stopped_traffic(
    groups: Groups, summaries: Mapping[str, Sequence[Summary]], label: str, reference: str
) -> str:
    """Compare bytes per round: the totals of runs of different length say nothing."""
    rates = []
    for name in (label, reference):
        rounds = _rounds(groups[name])
        rates.append((_mean_nbytes(summaries[name]) or 0.0) / rounds if rounds else 0.0)
    return (
        f"{with_stop(label, groups[label])} sent {size(rates[0])} of models per round, "
        f"{percent(rates[0] / rates[1])} of the {size(rates[1])} of "
        f"{with_stop(reference, groups[reference])}."
    )


def _rounds(runs: Sequence[Run]) -> float:
    """Rounds in which a model was sent, mean over runs."""
    sent = [
        run.tables["transfers"].filter(~pl.col("control"))["round"].drop_nulls().n_unique() for run in runs
    ]
    return sum(sent) / len(sent)


def _mean_nbytes(summaries: Sequence[Summary]) -> float | None:
    found = [s.traffic.carried_nbytes for s in summaries if s.traffic.carried_nbytes is not None]
    return sum(found) / len(found) if found else None


def _per_round(runs: Sequence[Run]) -> float | None:
    """Model transfers per round in which any was sent."""
    rates = []
    for run in runs:
        models = run.tables["transfers"].filter(~pl.col("control") & pl.col("round").is_not_null())
        if not models.is_empty():
            rates.append(models["transfer"].n_unique() / models["round"].n_unique())
    return sum(rates) / len(rates) if rates else None


def _server_faults(groups: Groups) -> list[str]:
    """What became of the methods with and without a server when it went down, by their first runs."""
    firsts = {label: runs[0] for label, runs in groups.items()}
    struck = {label: at for label, run in firsts.items() if (at := _server_down(run)) is not None}
    said = []
    for label, at in struck.items():
        run = firsts[label]
        which = f" (seeds {run.seeds[0]}, {run.seeds[1]})" if len(groups[label]) > 1 else ""
        said.append(f"{label}{which}: the server goes down at {duration(at)}{_dice_since(run, at)}.")
    if struck:
        at = min(struck.values())
        paths = {label: _from_to(run, at) for label, run in firsts.items() if label not in struck}
        others = [f"{label} {path}" for label, path in paths.items() if path]
        if others:
            said.append(
                f"Mean test Dice of the others from {duration(at)} to their end: {listing(others, 8)}."
            )
    return said


def _participation(groups: Groups) -> list[str]:
    """Rounds that went on without the data of some sites, by the first run of each method."""
    said = []
    for label, runs in groups.items():
        sites = runs[0].tables["sites"].filter(pl.col("role") == "site")["site"].to_list()
        said += [f"{label}: {text}." for text in remarks(runs[0].tables["events"].rows(), sites)]
    return said


def _server_down(run: Run) -> float | None:
    """When the run's server first crashed or left; None if it never did."""
    rows = run.tables["faults"].filter(
        (pl.col("node") == "server")
        & (pl.col("status") == "fired")
        & pl.col("verb").is_in(["crash", "leave"])
    )
    return None if rows.is_empty() else float(rows["time_s"].sort()[0])


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
        when, cost = survival(times), survival(spent)
        if when.median is None or cost.median is None:
            some = f" ({when.reached} of {when.count} runs did)" if when.reached else ""
            missed.append(label + some)
        else:
            got.append(
                f"{label} after {duration(when.median)} and {size(cost.median)}{_not_held(runs, target)}"
            )
    said = [f"Mean validation Dice of {target:g} is first reached by {listing(got, 8)}."] if got else []
    return said + ([f"Not reached (censored) by {listing(missed, 8)}."] if missed else [])


def _not_held(runs: Sequence[Run], target: float) -> str:
    """A remark where the last validation Dice, mean over runs, lies below the target again."""
    lasts = [
        float(points["dice_mean"][-1]) for run in runs if not (points := curve(run, split="val")).is_empty()
    ]
    last = sum(lasts) / len(lasts)
    return f" (not held: last {number(last)})" if last < target else ""


def _missed(summaries: Mapping[str, Sequence[Summary]]) -> list[str]:
    found = {label: sum(s.quality.missed or 0 for s in many) for label, many in summaries.items()}
    worst = [f"{label} {total}" for label, total in found.items() if total]
    return [f"Structures that were there and not found at all: {listing(worst, 8)}."] if worst else []


def _not_converged(groups: Groups) -> list[str]:
    """Methods whose selected models are from the last evaluated round at most of their sites."""
    found = []
    for label, runs in groups.items():
        late = total = 0
        for run in runs:
            rows = run.tables["metrics"].filter(pl.col("metric") == "dice")
            evaluated = rows.filter((pl.col("selection") == "round") & (pl.col("split") == "val"))
            last = dict(evaluated.group_by("site").agg(pl.col("round").max()).iter_rows())
            chosen = rows.filter(pl.col("selection") == "selected").select("site", "round").unique()
            late += sum(last.get(site) == round_ for site, round_ in chosen.iter_rows())
            total += chosen["site"].n_unique()
        if total and 2 * late > total:
            found.append(label)
    return found


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
    rising = _not_converged(groups)
    if rising:
        said.append(
            f"Not converged: with {listing(rising, 8)}, most sites' selected models are from the last "
            "evaluated round; longer training may change the ranking."
        )
    said += [*rogue_words(groups), *privacy_words(groups)]
    if any(run.manifest.get("simulated_data") for runs in groups.values() for run in runs):
        said.append("The images are simulated: draw conclusions about methods from real data only.")
    return said

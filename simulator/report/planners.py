"""A run for planners, who do not know the code: what happened when, who waited for whom, what it cost."""

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import polars as pl

from simulator.record.measures import summarize
from simulator.record.measures_epochs import rounds_planned, stopped
from simulator.record.measures_run import WORKED_S, Run
from simulator.record.participation import aggregations
from simulator.report.lines import loads
from simulator.report.mishaps import absences, mishaps, spans
from simulator.report.policies import policy
from simulator.report.tables import Table
from simulator.report.text import MISSING, duration, hours, listing, natural, percent, plural, size

_ENDS = ("aggregated", "empty_round", "region_averaged")
"""Events at the end of a round of a server or a leader."""
_LONGER = 1.005
"""A round is told as longer than usual from this factor on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A run in sentences, and where each hospital's time went."""

    label: str
    sentences: tuple[str, ...]
    table: Table
    loads: Table | None


def stories(groups: Mapping[str, Sequence[Run]]) -> tuple[Story, ...]:
    """Tell the first run of each label; ``groups``: runs that ended, by label."""
    firsts = [(label, runs[0]) for label, runs in groups.items()]
    return tuple(_story(label, len(groups[label]), firsts) for label in groups)


def _story(label: str, num_runs: int, firsts: Sequence[tuple[str, Run]]) -> Story:
    run = dict(firsts)[label]
    which = [f"Of {num_runs} runs this is the first, with the seeds {run.seeds[0]} and {run.seeds[1]}."]
    asked = policy(run.scenario.get("algorithm", {}), len(_sites(run)))
    happened = [_length(run), *_rounds(run), *_left_out(run), *mishaps(run), *_last(run), _cost(run)]
    said = [*which[: num_runs > 1], *asked, *happened, *_change(label, run, firsts)]
    return Story(label=label, sentences=tuple(said), table=_where_time_went(run), loads=loads(run))


def _length(run: Run) -> str:
    reason = str(run.manifest.get("end_reason") or "")
    ended = "" if reason == "all protocols ended" else f" It ended because: {reason}."
    text = f"{plural(len(_sites(run)), 'hospital')}; it was over after {duration(run.virtual_time_s)}."
    return f"{text}{_still_at_work(run)}{ended}"


def _still_at_work(run: Run) -> str:
    """What is said where the run went on for longer than a round after the server's last one."""
    times = list(_ends_of_rounds(run).values())
    end_s = run.virtual_time_s or 0.0
    if len(times) < 2 or end_s - times[-1] <= median(_lengths(times)):
        return ""
    return f" The server's last round ended after {duration(times[-1])}; then others were still at work."


def _sites(run: Run) -> list[str]:
    names = run.tables["sites"].filter(pl.col("role") == "site")["site"].to_list()
    return sorted(names, key=natural)


def _ends_of_rounds(run: Run) -> dict[int, float]:
    """When each round of the server ended, by number."""
    rows = run.tables["events"].filter(pl.col("event").is_in(_ENDS)).sort("time_s", "seq")
    ends: dict[int, float] = {}
    for number, time_s in rows.select("round", "time_s").iter_rows():
        ends.setdefault(number, time_s)
    return ends


def _rounds_done(run: Run, ends: Mapping[int, float]) -> str:
    """``7 of 20``, or ``20`` where these are all."""
    wanted = rounds_planned(run)
    return f"{len(ends)} of {wanted}" if wanted is not None and wanted > len(ends) else str(len(ends))


def _rounds(run: Run) -> list[str]:
    """How long rounds of the server took, and which took longer."""
    ends = _ends_of_rounds(run)
    if len(ends) < 2:
        return []
    numbers, times = list(ends), list(ends.values())
    lasted = _lengths(times)
    usual = median(lasted)
    longer = {number: span for number, span in zip(numbers, lasted, strict=True) if span > _LONGER * usual}
    said = [f"{_rounds_done(run, ends)} rounds of the server, in the middle {duration(usual)} each."]
    if longer:
        most = max(longer, key=lambda number: longer[number])
        text = f"Longer than that: {spans([number + 1 for number in longer])}"
        which = f", round {most + 1} the longest with" if len(longer) > 1 else ", with"
        said.append(f"{text}{which} {duration(longer[most])}.")
    empty = run.tables["events"].filter(pl.col("event") == "empty_round").height
    if empty:
        said.append(f"{plural(empty, 'round')} came to nothing: too few hospitals answered.")
    return said


def _lengths(times: Sequence[float]) -> list[float]:
    """How long each round lasted, from when they ended."""
    return [end - begin for begin, end in zip([0.0, *times], times, strict=False)]


def _left_out(run: Run) -> list[str]:
    """Rounds that the server ended without hospitals it had asked, or asked no more."""
    rounds = aggregations(run.tables["events"].rows())
    partial = [one for one in rounds if one.cases_share < 1 and (one.closed_by != "all" or one.pruned)]
    missed = Counter(site for one in partial for site in _sites(run) if site not in one.sites)
    if not missed:
        return []
    told = [
        f"{site} in {count}" for site, count in sorted(missed.items(), key=lambda m: (-m[1], natural(m[0])))
    ]
    return [
        f"{len(partial)} of {len(rounds)} rounds went on without somebody's data: {listing(told, 4)}. In "
        f"those, {percent(fmean(one.cases_share for one in partial))} of all training cases counted."
    ]


def _last(run: Run) -> list[str]:
    """Whose update came last of those in time, and how long the one before had waited by then."""
    updates = _in_time(run)
    last: Counter[str] = Counter()
    gaps_s = 0.0
    rounds = updates.sort("round", "end_s", "src").group_by("round", maintain_order=True)
    for _, rows in rounds:
        if rows.height > 1 and rows["end_s"][-1] > rows["end_s"][-2]:
            last[str(rows["src"][-1])] += 1
            gaps_s += rows["end_s"][-1] - rows["end_s"][-2]
    if not last:
        return []
    site, count = min(last.items(), key=lambda entry: (-entry[1], natural(entry[0])))
    return [
        f"The last to answer in time was {site} in {count} of {updates['round'].n_unique()} rounds; whoever "
        f"was last came {duration(gaps_s / last.total())} after the one before, on average."
    ]


def _in_time(run: Run) -> pl.DataFrame:
    """Updates that arrived before the server ended their rounds."""
    events = run.tables["events"].filter(pl.col("event").is_in(_ENDS))
    ends = events.group_by("round").agg(pl.col("time_s").max().alias("closed_s"))
    updates = run.tables["transfers"].filter((pl.col("kind") == "update") & (pl.col("status") == "delivered"))
    return updates.join(ends, on="round").filter(pl.col("end_s") <= pl.col("closed_s"))


def _cost(run: Run) -> str:
    found = summarize(run)
    text = f"It moved {size(found.traffic.carried_nbytes)}"
    if found.traffic.wasted_nbytes:
        text += f", {size(found.traffic.wasted_nbytes)} of it for nothing"
    return f"{text}, and the hospitals' machines computed for {duration(found.effort.compute_s)} in all."


def _change(label: str, run: Run, firsts: Sequence[tuple[str, Run]]) -> list[str]:
    """The quickest run of the study, if it is quicker; of those that exchange models and do all rounds."""
    whole = [(name, one) for name, one in firsts if _is_whole(one)]
    timed = [(one.virtual_time_s, name) for name, one in whole if one.virtual_time_s is not None]
    best_s, best = min(timed, default=(None, ""))
    if best_s is None or run.virtual_time_s is None or best_s > 0.97 * run.virtual_time_s:
        return [f"For settings that may change this: medgossip advise {_file_of(run)}."]
    rival = dict(firsts)[best]
    return [
        f"Of what was compared here, {best} is quicker: {duration(best_s)} instead of "
        f"{duration(run.virtual_time_s)}.{_price(run, rival)} "
        f"For other settings: medgossip advise {_file_of(run)}."
    ]


def _file_of(run: Run) -> str:
    """The scenario's file as it was given to the command, or else its name."""
    words = shlex.split(str(run.manifest.get("command") or ""))
    return next((word for word in words if word.endswith((".yaml", ".yml"))), str(run.manifest["scenario"]))


def _price(run: Run, rival: Run) -> str:
    """What a quicker run goes without, as far as a plan can tell."""
    here, there = _cases_that_count(run), _cases_that_count(rival)
    if here is not None and there is not None and there < here - 0.001:
        return f" But {percent(there)} of the training cases count there, {percent(here)} here."
    if rival.algorithm != run.algorithm:
        return " It is another method: whether its models are as good, only training can tell."
    return ""


def _is_whole(run: Run) -> bool:
    """Whether it exchanged models to the end, as far as server and sites tell."""
    ends = _ends_of_rounds(run)
    exchanges = not run.tables["transfers"].filter(~pl.col("control")).is_empty()
    return exchanges and not stopped(run) and (not ends or " of " not in _rounds_done(run, ends))


def _where_time_went(run: Run) -> Table:
    """Each hospital's hours: computing, sending or receiving models beside that, and neither."""
    end_s = run.virtual_time_s or 0.0
    moved = run.tables["transfers"].filter(~pl.col("control"))
    found = {}
    for name in _sites(run):
        work = run.tables["work"].filter(pl.col("node") == name)
        lines = moved.filter((pl.col("src") == name) | (pl.col("dst") == name))
        found[name] = _spent(work, lines, absences(run, name), end_s)
    anybody = any(spent[2] for spent in found.values())
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, spent in found.items():
        cells = [
            hours(round(spent_s, 3), end_s) for spent_s in (spent if anybody else (*spent[:2], spent[3]))
        ]
        share = percent(round(spent[3] / end_s, 3)) if end_s else ""
        alike.setdefault((*cells, share), []).append(name)
    rows = [(_each(names, len(found)), *cells) for cells, names in alike.items()]
    columns = ("computes", "only sends or receives", *(["is not there"] if anybody else []), "waits")
    head = ("hospital", *columns, "waits, share")
    return Table(title="Where the hospitals' time went", head=head, rows=tuple(rows))


def _spent(
    work: pl.DataFrame, lines: pl.DataFrame, away: Sequence[tuple[float, float]], end_s: float
) -> tuple[float, float, float, float]:
    """Seconds in which a hospital computed; only sent or received; was not there; and the rest.

    Work that pauses while the machine is not available is not computing meanwhile, and what others try to
    send to a hospital that is away is not receiving.
    """
    paused = pl.col("paused_s").fill_null(0.0)
    worked_s = math.fsum(work.select(WORKED_S).to_series())
    steady = list(work.filter(paused == 0).select("start_s", "end_s").iter_rows())
    resumed = list(work.filter(paused > 0).select("start_s", "end_s").iter_rows())
    moving = list(lines.select("start_s", "end_s").iter_rows())
    at_work_s, or_away_s = _covered(steady), _covered([*steady, *away])
    either_s = _covered([*steady, *away, *resumed])
    moving_s = _covered([*steady, *away, *resumed, *moving]) - either_s
    away_s = or_away_s - at_work_s
    return worked_s, moving_s, away_s, max(0.0, end_s - worked_s - moving_s - away_s)


def _each(names: Sequence[str], num_sites: int) -> str:
    """Hospitals of which the same is true."""
    return f"each of all {num_sites}" if 1 < len(names) == num_sites else listing(names, 8)


def side_by_side(groups: Mapping[str, Sequence[Run]]) -> Table | None:
    """What tells a planner the runs apart, the first of each label in a row; None for a single one."""
    if len(groups) < 2:
        return None
    rows = tuple(_row(label, runs[0]) for label, runs in groups.items())
    head = ("run", "took", "rounds", "cases that count", "moved", "for nothing")
    first = "The first run of each. " if any(len(runs) > 1 for runs in groups.values()) else ""
    note = (
        f"{first}Rounds: those of the server. Cases that count: share of all training cases in a round, on "
        "average. For nothing: part of what was moved, in transfers that broke off."
    )
    return Table(title="Side by side", head=head, rows=rows, note=note)


def _row(label: str, run: Run) -> tuple[str, ...]:
    ends, share = _ends_of_rounds(run), _cases_that_count(run)
    traffic = summarize(run).traffic
    return (
        label,
        duration(run.virtual_time_s),
        _rounds_done(run, ends) if ends else MISSING,
        percent(share),
        size(traffic.carried_nbytes),
        size(traffic.wasted_nbytes),
    )


def _cases_that_count(run: Run) -> float | None:
    """Share of all training cases in a round of the server, on average; a round without answers counts 0."""
    events = run.tables["events"]
    shares = dict.fromkeys(events.filter(pl.col("event") == "empty_round")["round"], 0.0)
    shares |= {one.round: one.cases_share for one in aggregations(events.rows())}
    return fmean(shares.values()) if any(shares.values()) else None


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """Length of the union of spans."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total

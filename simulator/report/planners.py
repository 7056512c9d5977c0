"""A run for planners, who do not know the code: what happened when, who waited for whom, what it cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import polars as pl

from simulator.record.measures import summarize
from simulator.record.measures_faults import fault_costs
from simulator.record.measures_run import Run
from simulator.record.participation import aggregations
from simulator.report.policies import policy
from simulator.report.tables import Table
from simulator.report.text import MISSING, duration, listing, natural, percent, plural, size
from simulator.scenario.topologies import SERVER

_ENDS = ("aggregated", "empty_round", "region_averaged")
"""Events at the end of a round of a server or a leader."""
_PLANNED = {
    "rekey": "tunnels were made anew and nothing passed",
    "maintenance": "lines were out for maintenance",
    "trace": "lines carried nothing",
}
"""Conditions that interrupt lines, in words."""
_FAULTS = {
    "crash": ("{} died", "and did not come back"),
    "leave": ("{} left", "and did not come back"),
    "disconnect": ("{} was cut off", "and did not come back"),
    "straggle": ("{} computed slowly", "to the end"),
    "corrupt": ("messages over {} were damaged", "to the end"),
    "partition": ("the network fell apart into {}", "to the end"),
    "set": ("the line {} was set to other values", "to the end"),
}
"""Harmful faults in words, and what is said of one that nothing undid."""
_MOST = 8
"""So many faults, and so many other outages, are told."""
_LONGER = 1.005
"""A round is told as longer than usual from this factor on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A run in sentences, and where each hospital's time went."""

    label: str
    sentences: tuple[str, ...]
    table: Table


def stories(groups: Mapping[str, Sequence[Run]]) -> tuple[Story, ...]:
    """Tell the first run of each label; ``groups``: runs that ended, by label."""
    firsts = [(label, runs[0]) for label, runs in groups.items()]
    return tuple(_story(label, run, firsts) for label, run in firsts)


def _story(label: str, run: Run, firsts: Sequence[tuple[str, Run]]) -> Story:
    asked = policy(run.scenario.get("algorithm", {}), len(_sites(run)))
    happened = [_length(run), *_rounds(run), *_faults(run), *_last(run), _cost(run)]
    said = [*asked, *happened, *_change(label, run, firsts)]
    return Story(label=label, sentences=tuple(said), table=_where_time_went(run))


def _length(run: Run) -> str:
    reason = str(run.manifest.get("end_reason") or "")
    ended = "" if reason == "all protocols ended" else f" It ended because: {reason}."
    return f"{plural(len(_sites(run)), 'hospital')}; it was over after {duration(run.virtual_time_s)}.{ended}"


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
    wanted = run.scenario.get("algorithm", {}).get("rounds")
    return f"{len(ends)} of {wanted}" if isinstance(wanted, int) and wanted > len(ends) else str(len(ends))


def _rounds(run: Run) -> list[str]:
    """How long rounds of the server took, and which took longer."""
    ends = _ends_of_rounds(run)
    if len(ends) < 2:
        return []
    numbers, times = list(ends), list(ends.values())
    lasted = [end - begin for begin, end in zip([0.0, *times], times, strict=False)]
    usual = median(lasted)
    longer = {number: span for number, span in zip(numbers, lasted, strict=True) if span > _LONGER * usual}
    said = [f"{_rounds_done(run, ends)} rounds of the server, in the middle {duration(usual)} each."]
    if longer:
        most = max(longer, key=lambda number: longer[number])
        names = listing([str(number + 1) for number in longer])
        said.append(
            f"Longer than that: round {names}; the longest, round {most + 1}, took {duration(longer[most])}."
        )
    empty = run.tables["events"].filter(pl.col("event") == "empty_round").height
    if empty:
        said.append(f"{plural(empty, 'round')} came to nothing: too few hospitals answered.")
    return said


def _faults(run: Run) -> list[str]:
    said = []
    for one in fault_costs(run)[:_MOST]:
        happened, for_good = _FAULTS[one.verb]
        who = "the server" if one.node == SERVER else one.node
        lasting = f" for {duration(one.lasted_s)}" if one.undone else f", {for_good}"
        text = f"After {duration(one.time_s)} {happened.format(who)}{lasting}"
        lost = [f"{plural(one.failed_models, 'model')} broken off"] if one.failed_models else []
        lost += [f"{duration(one.lost_s)} of its work lost"] if one.lost_s else []
        said.append(f"{text}{': ' + ' and '.join(lost) if lost else ''}.")
    return [*said, *_planned(run)]


def _planned(run: Run) -> list[str]:
    """Outages that were no faults: tunnels made anew, maintenance, nights."""
    rows = run.tables["outages"].filter(pl.col("what").is_in(list(_PLANNED))).sort("start_s", "node")
    found: dict[tuple[str, float], list[tuple[str, float]]] = {}
    for node, what, start_s, end_s in rows.iter_rows():
        found.setdefault((what, start_s), []).append((node, end_s - start_s))
    said = []
    for (what, start_s), lines in list(found.items())[:_MOST]:
        who = listing(sorted((node for node, _ in lines), key=natural), 3)
        lasting = duration(max(span for _, span in lines))
        said.append(f"After {duration(start_s)} {_PLANNED[what]} for {lasting}: {who}.")
    return said


def _last(run: Run) -> list[str]:
    """Whose update came last, and how long the one before had waited by then."""
    updates = run.tables["transfers"].filter(
        (pl.col("kind") == "update") & (pl.col("status") == "delivered") & pl.col("round").is_not_null()
    )
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
        f"The last to answer was {site} in {count} of {updates['round'].n_unique()} rounds; whoever was last "
        f"came {duration(gaps_s / last.total())} after the one before, on average."
    ]


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
        return [f"For settings that may change this: medgossip advise {run.manifest['scenario']}."]
    return [
        f"Of what was compared here, {best} is quicker: {duration(best_s)} instead of "
        f"{duration(run.virtual_time_s)}. Look there whose data it goes without. "
        f"For other settings: medgossip advise {run.manifest['scenario']}."
    ]


def _is_whole(run: Run) -> bool:
    ends = _ends_of_rounds(run)
    exchanges = not run.tables["transfers"].filter(~pl.col("control")).is_empty()
    return exchanges and (not ends or " of " not in _rounds_done(run, ends))


def _where_time_went(run: Run) -> Table:
    """Each hospital's hours: computing, sending or receiving models beside that, and neither."""
    end_s = run.virtual_time_s or 0.0
    moved = run.tables["transfers"].filter(~pl.col("control"))
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in _sites(run):
        work = run.tables["work"].filter(pl.col("node") == name)
        lines = moved.filter((pl.col("src") == name) | (pl.col("dst") == name))
        computing = list(work.select("start_s", "end_s").iter_rows())
        moving = list(lines.select("start_s", "end_s").iter_rows())
        busy_s, either_s = _covered(computing), _covered([*computing, *moving])
        idle_s = max(0.0, end_s - either_s)
        cells = [round(span_s, 3) for span_s in (busy_s, either_s - busy_s, idle_s)]
        found = (*map(duration, cells), percent(idle_s / end_s) if end_s else "")
        alike.setdefault(found, []).append(name)
    rows = [(_each(names, len(_sites(run))), *found) for found, names in alike.items()]
    head = ("hospital", "computes", "only sends or receives", "waits", "waits, share")
    return Table(title="Where the hospitals' time went", head=head, rows=tuple(rows))


def _each(names: Sequence[str], num_sites: int) -> str:
    """Hospitals of which the same is true."""
    return f"each of all {num_sites}" if 1 < len(names) == num_sites else listing(names, 8)


def side_by_side(groups: Mapping[str, Sequence[Run]]) -> Table | None:
    """What tells a planner the runs apart, the first of each label in a row; None for a single one."""
    if len(groups) < 2:
        return None
    rows = tuple(_row(label, runs[0]) for label, runs in groups.items())
    head = ("run", "took", "rounds", "cases that count", "moved", "for nothing")
    note = (
        "Rounds: those of the server. Cases that count: share of all training cases in a round, on average. "
        "For nothing: part of what was moved, in transfers that broke off."
    )
    return Table(title="Side by side", head=head, rows=rows, note=note)


def _row(label: str, run: Run) -> tuple[str, ...]:
    ends, used = _ends_of_rounds(run), aggregations(run.tables["events"].rows())
    traffic = summarize(run).traffic
    return (
        label,
        duration(run.virtual_time_s),
        _rounds_done(run, ends) if ends else MISSING,
        percent(fmean(one.cases_share for one in used)) if used else MISSING,
        size(traffic.carried_nbytes),
        size(traffic.wasted_nbytes),
    )


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """Length of the union of spans."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total

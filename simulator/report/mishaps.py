"""What struck a run, who was not there and who waited in vain, in words for planners."""

import math
from collections import Counter
from collections.abc import Sequence

import polars as pl

from simulator.record.measures_faults import FaultCost, fault_costs
from simulator.record.measures_run import Run
from simulator.record.participation import newcomers
from simulator.report.text import duration, listing, natural, plural, size
from simulator.scenario.topologies import SERVER

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
_BEGAN = {
    "server": "the server's model",
    "first-model": "the first model that it was given",
    "own-warm-up": "training of its own",
    "initial": "the initial model",
}
"""What newcomers begin with, in words."""
_GONE = ("crash", "leave", "unavailable")
"""Outages in which a hospital is not there; one whose line is cut waits."""
_MOST = 8
"""So many faults, so many other outages and so many newcomers are told, and so many names."""
_MANY = 4
"""From so many on hospitals are counted."""


def mishaps(run: Run) -> list[str]:
    """Tell faults, planned outages, newcomers and waits in vain, each kind in order of time."""
    return [*_faults(run), *_planned(run), *_newcomers(run), *_in_vain(run)]


def first_outage(run: Run) -> float | None:
    """When tunnels were first made anew, or lines first out as planned; None if never."""
    rows = run.tables["outages"].filter(pl.col("what").is_in(list(_PLANNED)))
    return None if rows.is_empty() else float(rows["start_s"].min())  # type: ignore[arg-type]


def absences(run: Run, site: str) -> list[tuple[float, float]]:
    """Spans in which a hospital was not there: before it joined, down, or not available."""
    gone = run.tables["outages"].filter((pl.col("node") == site) & pl.col("what").is_in(_GONE))
    found = list(gone.select("start_s", "end_s").iter_rows())
    joined = run.tables["faults"].filter(
        (pl.col("node") == site) & (pl.col("verb") == "join") & (pl.col("status") == "fired")
    )
    first_s = min([begin for begin, _ in found], default=float("inf"))
    before = [time_s for time_s in joined["time_s"] if time_s < first_s]
    return [*((0.0, time_s) for time_s in before[:1]), *found]


def _faults(run: Run) -> list[str]:
    """Tell faults; what happened to several at once, for as long, is told once."""
    alike: dict[tuple[object, ...], list[FaultCost]] = {}
    for one in fault_costs(run):
        who = one.node if one.node == SERVER else ""
        alike.setdefault((one.time_s, one.verb, one.lasted_s, one.undone, who), []).append(one)
    return [_told(run, costs) for costs in list(alike.values())[:_MOST]]


def _told(run: Run, costs: Sequence[FaultCost]) -> str:
    one = costs[0]
    happened, for_good = _FAULTS[one.verb]
    if len(costs) > 1:
        happened = happened.replace("was", "were").replace("the line ", "the lines ")
    lasting = f" for {duration(one.lasted_s)}" if one.undone else f", {for_good}"
    text = (
        f"After {duration(one.time_s)} {happened.format(_who(run, [cost.node for cost in costs]))}{lasting}"
    )
    failed = [cost.failed_models for cost in costs if cost.failed_models]
    most = "up to " if len(failed) > 1 else ""  # one between two of them counts for both
    lost = [f"{most}{plural(sum(failed), 'model')} not delivered"] if failed else []
    lost_s = math.fsum(cost.lost_s or 0.0 for cost in costs)
    lost += [f"{duration(lost_s)} of {'their' if len(costs) > 1 else 'its'} work lost"] if lost_s else []
    return f"{text}{': ' + ' and '.join(lost) if lost else ''}."


def _who(run: Run, nodes: Sequence[str]) -> str:
    """Whom a fault struck; many hospitals are counted too."""
    if list(nodes) == [SERVER]:
        return "the server"
    names = listing(sorted(nodes, key=natural), _MOST)
    if len(nodes) < _MANY or not set(nodes) <= set(run.tables["sites"]["site"]):
        return names
    return f"{len(nodes)} hospitals ({names})"


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


def _newcomers(run: Run) -> list[str]:
    tables = run.tables
    return [
        f"After {duration(one.time_s)} {one.site} began, with {_BEGAN.get(one.start, one.start)}"
        f"{f' ({size(one.nbytes)})' if one.nbytes else ''}."
        for one in newcomers(tables["events"].rows(), tables["transfers"].rows())[:_MOST]
    ]


def _in_vain(run: Run) -> list[str]:
    """Hospitals that gave a server up, and waits for models that did not come."""
    events = run.tables["events"]
    lost = events.filter(pl.col("event") == "server_lost").sort("time_s", "node")
    said = []
    if not lost.is_empty():
        who = _who(run, lost["node"].unique().to_list())
        said.append(f"After {duration(lost['time_s'][0])} the server was given up by {who}.")
    waits = events.filter(pl.col("event") == "nothing_received")
    if not waits.is_empty():
        counts = sorted(Counter(waits["node"]).items(), key=lambda count: (-count[1], natural(count[0])))
        told = f" ({listing([f'{node} {times}' for node, times in counts], _MOST)})"
        said.append(f"{_times(waits.height)} a hospital waited in vain for another's model{told}.")
    return said


def _times(number_of: int) -> str:
    return "Once" if number_of == 1 else f"{number_of:,} times"


def spans(numbers: Sequence[int]) -> str:
    """Rising numbers as ``round 2``, ``rounds 1 to 10`` or ``rounds 2, 5 and 7 to 9``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = []
    for part in runs:
        if len(part) > 2:
            parts.append(f"{part[0]} to {part[-1]}")
        else:
            parts += [str(number) for number in part]
    return f"round{'s' if len(numbers) > 1 else ''} {listing(parts, 8)}"

"""What every exporter writes of a run: its settings, its scores over rounds, its numbers at the end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.record.measures import summarize
from simulator.record.measures_curves import curve
from simulator.record.measures_dice import site_scores
from simulator.record.measures_frames import FROM_EFFORT, FROM_QUALITY, FROM_TRAFFIC
from simulator.record.measures_run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number of a run at a round; ``time_s`` is virtual."""

    name: str
    round: int
    time_s: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A run as trackers take it.

    Attributes:
        name: the run's label, unique within its study.
        group: what it has in common with runs that differ by seed.
        settings: the resolved scenario, by dotted key.
        tags: algorithm, seeds, status and versions.
        values: scores over rounds, in order of rounds, then names.
        final: numbers at the end; without those that the run does not have.

    """

    name: str
    group: str
    settings: Mapping[str, str]
    tags: Mapping[str, str]
    values: tuple[Value, ...]
    final: Mapping[str, float]


def content(run: Run) -> Content:
    """Read what trackers take from a run."""
    found = summarize(run)
    parts = ((found.quality, FROM_QUALITY), (found.traffic, FROM_TRAFFIC), (found.effort, FROM_EFFORT))
    final = {name: getattr(part, name) for part, names in parts for name in names}
    learning, network = run.seeds
    versions = {f"version.{name}": str(text) for name, text in (run.manifest.get("versions") or {}).items()}
    tags = {
        "algorithm": run.algorithm,
        "scenario": str(run.manifest["scenario"]),
        "status": str(run.manifest["status"]),
        "seed.learning": str(learning),
        "seed.network": str(network),
    }
    return Content(
        name=str(run.manifest["run_id"]),
        group=run.label,
        settings=dict(_leaves(run.scenario)),
        tags=tags | versions,
        values=tuple(sorted(_values(run), key=lambda one: (one.round, one.name, one.time_s))),
        final={name: float(value) for name, value in final.items() if value is not None},
    )


def _values(run: Run) -> Iterator[Value]:
    """Dice site by site, then mean and worst site with the bytes sent until then, once per round."""
    for split in ("val", "test"):
        for row in site_scores(run, selection="round", split=split).iter_rows(named=True):
            name = f"dice/{split}/{row['site']}"
            yield Value(name=name, round=row["round"], time_s=row["time_s"], value=row["dice"])
        last = {int(row["round"]): row for row in curve(run, split=split).iter_rows(named=True)}
        names = ("dice_mean", "dice_worst", *(("carried_nbytes",) if split == "test" else ()))
        for round_, row in last.items():
            for name in names:
                title = name if name == "carried_nbytes" else f"{name}/{split}"
                yield Value(name=title, round=round_, time_s=row["time_s"], value=float(row[name]))


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{prefix}.{place}")
    else:
        yield prefix, str(value)

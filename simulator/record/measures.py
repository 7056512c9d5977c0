"""What a run cost and what it reached: one :class:`Summary` per run.

The four numbers of communication are those by which gossip learning is compared: transmissions,
bytes sent (with the parts of broken transfers), bytes delivered, and, in
:mod:`simulator.record.measures_curves`, bytes until a target is reached.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from simulator.record.measures_dice import selected_table
from simulator.record.measures_epochs import epochs_done
from simulator.record.measures_run import WORKED_S, Run, load_run, remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes of a run; ``None`` where the run has no table of transfers.

    Attributes:
        transmissions: models sent from one node to another, however often each was tried.
        transmissions_delivered: those of them that arrived.
        carried_nbytes: model bytes that left a sender; delivered + wasted + in flight.
        busiest_nbytes: bytes, control included, that crossed the directed link with most of them.
        control_nbytes: bytes of messages without a model, counted apart.

    """

    transmissions: int | None
    transmissions_delivered: int | None
    carried_nbytes: int | None
    delivered_nbytes: int | None
    wasted_nbytes: int | None
    in_flight_nbytes: int | None
    busiest_link: str | None
    busiest_nbytes: int | None
    control_nbytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Scores of the selected models on test cases; ``None`` where nothing was evaluated.

    Attributes:
        dice_mean: mean over sites, each counting the same.
        dice_weighted: mean over sites, weighted by their test cases.
        dice_worst: the lowest of the sites' means; ``worst_site`` has it.
        missed: structures that are there and were not found at all, over all test cases.
        hd95_mm, assd_mm: mean over sites of their means, each site counting the same.

    """

    dice_mean: float | None
    dice_weighted: float | None
    dice_worst: float | None
    worst_site: str | None
    num_sites: int
    missed: int | None
    false_alarms: int | None
    hd95_mm: float | None
    assd_mm: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Work of a run; ``None`` where the run has no table of work.

    Attributes:
        local_epochs: in rounds that ended, mean over the sites that train.
        extra_share: share of the floating-point operations that a plain local epoch would not have
            had (the incoming model's part of mutual learning).
        lost_s: virtual seconds of work that crashes destroyed.
        events: number of events by name, as protocols recorded them.
        accepted, rejected: exchanges by outcome; None where no task reported one.

    """

    local_epochs: float | None
    virtual_time_s: float | None
    compute_s: float | None
    extra_share: float | None
    lost_s: float | None
    lost_tasks: int | None
    events: Mapping[str, int]
    accepted: int | None
    rejected: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything a line of the overview says about one run."""

    run: Run
    traffic: Traffic
    quality: Quality
    effort: Effort


@remembered
def summarize(run: Run) -> Summary:
    """Measure one run."""
    return Summary(run=run, traffic=traffic(run), quality=quality(run), effort=effort(run))


def summary(folder: Path) -> dict[str, object]:
    """Return a run folder's line for a terminal; None where a number is missing."""
    one = summarize(load_run(folder))
    nbytes = one.traffic.carried_nbytes
    return {
        "label": str(one.run.manifest["label"]),
        "status": str(one.run.manifest["status"]),
        "virtual_time_s": one.effort.virtual_time_s,
        "GB": None if nbytes is None else nbytes / 1e9,
        "dice_mean": one.quality.dice_mean,
        "dice_worst": one.quality.dice_worst,
    }


def traffic(run: Run) -> Traffic:
    """Count what moved over the network."""
    link, on_link = busiest_link(run)
    if "transfers" in run.missing:
        nothing: dict[str, Any] = dict.fromkeys(Traffic.__dataclass_fields__)
        return Traffic(**nothing | {"busiest_link": link, "busiest_nbytes": on_link})
    rows = run.tables["transfers"]
    models = rows.filter(~pl.col("control"))
    delivered = models.filter(pl.col("status") == "delivered")

    def carried(frame: pl.DataFrame) -> int:
        return int(frame["carried_nbytes"].sum())

    return Traffic(
        transmissions=models["transfer"].n_unique(),
        transmissions_delivered=delivered["transfer"].n_unique(),
        carried_nbytes=carried(models),
        delivered_nbytes=carried(delivered),
        wasted_nbytes=carried(models.filter(pl.col("status") == "failed")),
        in_flight_nbytes=carried(models.filter(pl.col("status") == "in_flight")),
        busiest_link=link,
        busiest_nbytes=on_link,
        control_nbytes=carried(rows.filter(pl.col("control"))),
    )


@remembered
def busiest_link(run: Run) -> tuple[str | None, int | None]:
    """Return the directed link that carried most bytes, the first by name among equals, and its bytes.

    A run that moved nothing has no busiest link and 0 bytes on it.
    """
    if "links" in run.missing:
        return None, None
    rows = run.tables["links"].sort(["carried_nbytes", "link"], descending=[True, False], nulls_last=True)
    if rows.is_empty() or not rows["carried_nbytes"][0]:
        return None, 0
    return str(rows["link"][0]), int(rows["carried_nbytes"][0])


def quality(run: Run) -> Quality:
    """Score the selected models of a run's sites."""
    table = selected_table(run)
    if table.is_empty():
        nothing: dict[str, Any] = dict.fromkeys(Quality.__dataclass_fields__)
        return Quality(**nothing | {"num_sites": 0})
    worst = table.sort("dice", "site").row(0, named=True)
    return Quality(
        dice_mean=_float(table["dice"].mean()),
        dice_weighted=weighted_mean(table, "dice"),
        dice_worst=float(worst["dice"]),
        worst_site=str(worst["site"]),
        num_sites=table.height,
        missed=int(table["missed"].sum()),
        false_alarms=int(table["false_alarms"].sum()),
        hd95_mm=_float(table["hd95_mm"].mean()),
        assd_mm=_float(table["assd_mm"].mean()),
    )


def weighted_mean(table: pl.DataFrame, column: str) -> float | None:
    """Return the mean of a column over sites, weighted by ``num_cases``; null rows are left out."""
    rows = table.drop_nulls(column)
    if rows.is_empty():
        return None
    return float((rows[column] * rows["num_cases"]).sum()) / float(rows["num_cases"].sum())


def effort(run: Run) -> Effort:
    """Add up the work of a run and what its protocols recorded."""
    events = dict(run.tables["events"].group_by("event").len().sort("event").iter_rows())
    accepted, rejected = _exchanges(run)
    compute = extra = lost = lost_tasks = None
    if "work" not in run.missing:
        work = run.tables["work"].with_columns(WORKED_S.alias("span_s"))
        gone = work.filter(pl.col("status") == "lost")
        compute, lost, lost_tasks = float(work["span_s"].sum()), float(gone["span_s"].sum()), gone.height
        flop = float(work["flop"].sum())
        extra = float(work["extra_flop"].sum()) / flop if flop > 0 else None
    return Effort(
        local_epochs=epochs_done(run),
        virtual_time_s=run.virtual_time_s,
        compute_s=compute,
        extra_share=extra,
        lost_s=lost,
        lost_tasks=lost_tasks,
        events=events,
        accepted=accepted,
        rejected=rejected,
    )


def _exchanges(run: Run) -> tuple[int | None, int | None]:
    """Merged models that sites accepted and rejected, as their tasks reported."""
    reported = run.tables["events"].filter(pl.col("event").str.ends_with("_outcome"))
    outcomes = [json.loads(detail).get("accepted") for detail in reported["detail"] if detail]
    known = [outcome for outcome in outcomes if isinstance(outcome, bool)]
    return (sum(known), len(known) - sum(known)) if known else (None, None)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None

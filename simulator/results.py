"""The folder of a run: resolved scenario, manifest, tables, pictures, timeline."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from simulator import observations
from simulator.api import Bundle, ModelSize
from simulator.codec import plain_nbytes
from simulator.indexing import model_size, site_networks
from simulator.outcome import Outcome
from simulator.record import manifest
from simulator.record.ledger import Ledger
from simulator.record.participation import unusable
from simulator.record.tables import TABLES
from simulator.registry import registry
from simulator.reuse import Reuse
from simulator.scenario import Study, dump
from simulator.scenario.run_ids import run_id
from simulator.scenario.schema import ScenarioBase
from simulator.scenario.topologies import MACHINES, SERVER, STANDBY
from simulator.simulation import Simulated
from simulator.work.executors import PlanExecutor, PoolExecutor

Row = tuple[Any, ...]


Computed = PoolExecutor | PlanExecutor
"""Who has the values of a run that is written; a plan has none."""


def traffic(ledger: Ledger) -> dict[str, Any]:
    """Sums over a run's transfers of models: the columns of a plan.

    Another attempt is no other transmission, and messages without a model are left out, as in
    :func:`simulator.record.measures.traffic`; the busiest link counts all that crossed it.
    """
    column = {name: place for place, name in enumerate(TABLES["transfers"])}
    models = [row for row in ledger.rows("transfers") if not row[column["control"]]]
    carried = sum(row[column["carried_nbytes"]] for row in models)
    wasted = sum(row[column["carried_nbytes"]] for row in models if row[column["status"]] == "failed")
    place = list(TABLES["links"]).index("carried_nbytes")
    busiest = max(ledger.rows("links"), key=lambda row: row[place], default=None)
    return {
        "transmissions": len({row[column["transfer"]] for row in models}),
        "carried_nbytes": carried,
        "wasted_nbytes": wasted,
        "busiest_link": busiest[0] if busiest else "",
        "busiest_nbytes": busiest[place] if busiest else 0,
    }


def write_run(
    folder: Path,
    outcome: Outcome,
    executor: Computed,
    wall_s: Mapping[str, float],
    count: Callable[[Outcome], Reuse] | None = None,
) -> None:
    """Write one run's folder; ``wall_s`` is the study's, ``count`` says what the run needed and reused."""
    from simulator.record.tables_io import write_table

    folder.mkdir()
    scenario = outcome.point.scenario
    (folder / "scenario.yaml").write_text(dump(scenario), encoding="utf-8")
    skipped = _skipped(outcome, executor)
    keys = sorted(_evaluated(outcome, executor))
    (folder / "keys.txt").write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")
    if outcome.run is not None:
        outcomes = _outcomes(outcome, executor)
        for name, rows in _tables(outcome, executor, outcomes, skipped).items():
            write_table(folder, name, rows)
        pictures = observations.overlays(outcome.selected, outcomes) if outcome.error is None else {}
        if pictures:
            np.savez_compressed(folder / "overlays.npz", **pictures)  # type: ignore[arg-type]
    tasks = asdict(count(outcome)) if count is not None else {}
    about = _manifest(outcome, executor, skipped) | {"wall_s": dict(wall_s), "tasks": tasks}
    (folder / "manifest.json").write_text(json.dumps(about, indent=1, sort_keys=True), encoding="utf-8")


def _outcomes(outcome: Outcome, executor: Computed) -> dict[str, Bundle]:
    if outcome.error is not None:
        return {}
    return {one.key: executor.value(one.key) for one in [*outcome.rounds, *outcome.tests]}


def _tables(
    outcome: Outcome, executor: Computed, outcomes: Mapping[str, Bundle], skipped: list[Row]
) -> dict[str, list[Row]]:
    run = outcome.run
    assert run is not None
    trace = run.world.trace
    metrics: list[Row] = []
    if outcome.error is None:
        for one in outcome.rounds:
            metrics += observations.metric_rows(one, outcomes[one.key], "round")
        for one in outcome.selected:
            metrics += observations.metric_rows(one, outcomes[one.key], "selected")
        for one in outcome.unseen:
            metrics += observations.metric_rows(one, outcomes[one.key], "unseen")
    return {
        "events": [*trace.events, *_reported(outcome, executor)],
        "work": [tuple(row) for row in run.world.work],
        "transfers": run.ledger.rows("transfers"),
        "links": run.ledger.rows("links"),
        "outages": trace.outages,
        "metrics": metrics,
        "sites": _sites(run),
        "faults": trace.faults,
        "conditions": trace.conditions,
        "skipped_cases": skipped,
    }


def _evaluated(outcome: Outcome, executor: Computed) -> set[str]:
    """What went into this run's evaluations: the same keys whatever lies in the store."""
    return executor.ancestors(one.key for one in [*outcome.rounds, *outcome.tests])


def _reported(outcome: Outcome, executor: Computed) -> list[Row]:
    """What tasks said of themselves (accepted, merge weights, …), as events at their end."""
    run = outcome.run
    assert run is not None
    if outcome.error is not None:
        return []
    rows: list[Row] = []
    first = len(run.world.trace.events)
    reported = run.world.reported & _evaluated(outcome, executor)
    executor.finish(sorted(reported), lambda *_: None)  # at once: some may have left the store
    for node, task, key, round_, _, end_s, status, *_ in run.world.work:
        if status == "done" and key in reported:
            detail = json.dumps(executor.value(key).meta, sort_keys=True)
            rows.append((first + len(rows), end_s, node, f"{task}_outcome", round_, None, detail))
    return rows


def _sites(run: Simulated) -> list[Row]:
    scenario = run.scenario
    specs: list[tuple[str, Any]] = [(site.name, site) for site in scenario.sites]
    if run.world.server:
        specs.append((SERVER, scenario.server))
        specs += [(STANDBY, scenario.standby)] if scenario.standby is not None else []
    rows: list[Row] = []
    for name, spec in specs:
        found = run.index.get(name)
        counts = [found.count(split) if found else None for split in ("train", "val", "test")]
        device = spec.device or ("declared speed" if spec.speed else "measured")
        role = name if name in MACHINES else "site" if name in run.world.nodes else "unseen"
        speed = run.world.nodes[name].flop_per_s if name in run.world.nodes else None
        rows.append((name, role, device, speed, spec.link.up, spec.link.down, spec.link.latency, *counts))
    return rows


def _skipped(outcome: Outcome, executor: Computed) -> list[Row]:
    """Cases that could not be used: found at the index, and when they were opened."""
    run = outcome.run
    rows: list[Row] = []
    if run is None:
        return rows
    opened = set(run.namer.prepared.values()) & _evaluated(outcome, executor)
    opened -= executor.finish(sorted(opened), lambda *_: None).keys()
    for site in sorted(run.index):
        found = list(run.index[site].skipped)
        key = run.namer.prepared[site]
        if key in opened:
            found += [(case, reason) for case, reason in executor.value(key).meta["skipped"]]
        rows += [(site, case, reason) for case, reason in found]
    return rows


def _manifest(outcome: Outcome, executor: Computed, skipped: Sequence[Row]) -> dict[str, Any]:
    scenario, run = outcome.point.scenario, outcome.run
    dataset = registry("datasets")[scenario.task.dataset.name]
    meta = dataset.describe(scenario.task.dataset)
    size = model_size(scenario)
    return {
        "run_id": outcome.point.label,
        "label": outcome.point.label,
        "swept": dict(outcome.point.swept),
        "scenario": scenario.name,
        "algorithm": scenario.algorithm.name,
        "seed": {"learning": scenario.seed.learning, "network": scenario.seed.network},
        "status": outcome.status,
        "basis": outcome.basis,
        "error": str(outcome.error) if outcome.error else None,
        "plan": outcome.plan,
        "simulated_data": meta.simulated,
        "virtual_time_s": run.virtual_time_s if run else None,
        "end_reason": run.end_reason if run else None,
        "versions": manifest.versions(),
        "hardware": manifest.hardware(),
        "command": manifest.command(),
        "numeric_mode": run.namer.mode if run else None,
        "warnings": [*run.warnings, *unusable(skipped)] if run else [],
        "model": _model(scenario, size),
        "codec": run.world.payloads.account() if run else None,
        "outgoing": run.world.outgoing.account(run.world.sites) if run else {},
        "dataset": scenario.task.dataset.name,
        "fingerprints": {name: found.fingerprint for name, found in run.index.items()} if run else {},
        "structures": list(meta.structures),
        "target_dice": scenario.evaluation.target_dice,
        "notes": [],
    }


def _model(scenario: ScenarioBase, size: ModelSize) -> dict[str, Any]:
    codec, one_model = scenario.network.codec, (size.num_parameters, size.num_buffers)
    return {
        "network": scenario.task.network.name,
        "num_parameters": size.num_parameters,
        "forward_flop": size.forward_flop,
        "codec": codec.kind,
        "payload_nbytes": plain_nbytes(codec, one_model, size.num_counters, delta=codec.uses_delta),
        "sites": _own_networks(scenario),
    }


def _own_networks(scenario: ScenarioBase) -> dict[str, Any]:
    """The networks of sites that have another one than the task's."""
    found = site_networks(scenario)
    return {
        site: {
            "network": found.settings[name]["name"],
            "num_parameters": found.sizes[name].num_parameters,
            "forward_flop": found.sizes[name].forward_flop,
        }
        for site, name in found.own.items()
    }


def write_study(folder: Path, study: Study, lines: Sequence[Mapping[str, object]]) -> None:
    """Write what a study is made of, a row to print per finished run, and the scenario as given."""
    about = {
        "name": study.name,
        "description": study.description,
        "points": [point.label for point in study.points],
        "ids": {point.label: run_id(place, point.scenario) for place, point in enumerate(study.points, 1)},
        "swept": {point.label: dict(point.swept) for point in study.points},
        "command": manifest.command(),
        "lines": list(lines),
    }
    (folder / "study.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    (folder / "study.yaml").write_text(study.source.read_text(encoding="utf-8"), encoding="utf-8")


def conclude(folders: Sequence[Path]) -> list[dict[str, object]]:
    """Read runs back, all at once: write the timeline of those that have none yet, and return a row for
    the terminal of each: what it cost and reached.
    """
    from simulator.record.measures import summarize
    from simulator.record.measures_run import load_runs
    from simulator.report.timeline import write_trace

    runs = load_runs(folders)
    for run in runs:
        if "events" not in run.missing and not (run.folder / "trace.json").is_file():
            write_trace(run)
    return [
        {
            "label": found.run.manifest["label"],
            "status": found.run.manifest["status"],
            "virtual_time_s": found.effort.virtual_time_s,
            "carried_nbytes": found.traffic.carried_nbytes,
            "busiest_nbytes": found.traffic.busiest_nbytes,
            "dice_mean": found.quality.dice_mean,
            "dice_worst": found.quality.dice_worst,
            "worst_site": found.quality.worst_site,
        }
        for found in map(summarize, runs)
    ]

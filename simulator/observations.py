"""What a run's models are worth: evaluation after the run, outside virtual time.

Each model that a site came to use is evaluated on that site's validation and test cases; the one
with the smallest validation loss (or moving average of it) is the site's selected model, tested once
more in full.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from simulator.api import Bundle, Ref
from simulator.indexing import taking_part
from simulator.learning.tasks import EVALUATE
from simulator.record.trace import Observation
from simulator.simulation import Simulated
from simulator.work.executors import Executor

Row = tuple[Any, ...]
_KEPT = 0.9
"""Of a moving average of validation losses, as in the single-site trainers of the GCML authors."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation to be done: its outcome's key and what it says about whom."""

    key: str
    site: str
    round: int
    time_s: float
    split: str
    model: Ref
    predictor: str = ""
    predictor_params: Mapping[str, Any] = field(default_factory=dict)


def expand(run: Simulated) -> list[Observation]:
    """Observations to evaluate: every n-th round and each site's last, one per site."""
    every = run.scenario.evaluation.every_rounds
    per_site: dict[str, list[Observation]] = {name: [] for name in taking_part(run.index)}
    for seen in run.world.trace.observations:
        for site in [seen.site] if seen.site is not None else sorted(per_site):
            per_site[site].append(replace(seen, site=site))
    chosen = []
    for site in sorted(per_site):
        last = len(per_site[site]) - 1
        chosen += [one for i, one in enumerate(per_site[site]) if i == last or (one.round + 1) % every == 0]
    return chosen


def submit(
    run: Simulated, executor: Executor, seen: Observation | Evaluation, site: str, split: str, **params: Any
) -> Evaluation:
    """Make the evaluation of an observed model at a site known."""
    settings = {"split": split, "distances": False, "overlays": 0, "empty": run.scenario.evaluation.empty}
    if seen.predictor:
        params |= {"predictor": seen.predictor, "predictor_params": dict(seen.predictor_params)}
    if run.scenario.evaluation.small_lesions is not None:
        params["small_lesions"] = run.scenario.evaluation.small_lesions
    job = run.namer.job(EVALUATE, site, (seen.model,), settings | params, _flop(run, seen.model, site, split))
    executor.submit(job)
    how = seen.predictor, seen.predictor_params
    return Evaluation(job.key, site, seen.round, seen.time_s, split, seen.model, *how)


def _flop(run: Simulated, model: Ref, site: str, split: str) -> float:
    """Operations of predicting a split; no virtual time, but wall time."""
    node = run.world.nodes.get(site)  # none: its cases only test
    items = run.index[site].num_items(split) if node is None else getattr(node.data, f"{split}_items")
    return run.world.sizes_of(site, (model,))[0].forward_flop * items


def rounds(run: Simulated, executor: Executor) -> list[Evaluation]:
    """Submit the evaluations of the models that sites had after their rounds."""
    found = []
    for seen in expand(run):
        assert seen.site is not None
        for split in ("val", "test"):
            if run.index[seen.site].count(split):
                found.append(submit(run, executor, seen, seen.site, split))
    return found


def selected(run: Simulated, executor: Executor, done: Iterable[Evaluation]) -> list[Evaluation]:
    """Submit the full test of each site's best model: smallest validation loss or moving average of it,
    the earliest of equals; the last model where a site has no validation case, or none that gives a loss.
    """
    best: dict[str, tuple[float, Evaluation]] = {}
    average: dict[str, float] = {}
    for one in done:
        if one.split == "val":
            loss = float(executor.value(one.key).meta["loss"])
            # not a number: every validation case turned out to be unusable when it was opened
            loss = loss if math.isfinite(loss) else math.inf
            if run.scenario.evaluation.selection == "ema" and loss < math.inf:
                before = average.get(one.site, loss)
                loss = average[one.site] = _KEPT * before + (1 - _KEPT) * loss
            known = best[one.site][0] if one.site in best else math.inf
            if loss < known or known == math.inf:
                best[one.site] = (loss, one)
        elif not run.index[one.site].count("val"):
            best[one.site] = (0.0, one)
    settings = run.scenario.evaluation
    full = {"distances": settings.distances, "overlays": settings.overlays}
    found = []
    for site, (_, one) in sorted(best.items()):
        if run.index[site].count("test"):
            found.append(submit(run, executor, one, site, "test", **full))
    return found


def unseen(run: Simulated, executor: Executor, done: Iterable[Evaluation]) -> list[Evaluation]:
    """Submit the tests of all selected models at the sites that take no part in training but have
    test cases.
    """
    full = {"distances": run.scenario.evaluation.distances}
    found = []
    away = sorted(set(run.index) - set(taking_part(run.index)))
    for site in (name for name in away if run.index[name].count("test")):
        for one in done:
            found.append(submit(run, executor, one, site, "test", **full))
    return found


def metric_rows(one: Evaluation, outcome: Bundle, selection: str) -> list[Row]:
    """Rows of the table "metrics", one per case, structure and metric."""
    cases, structures = outcome.meta["cases"], outcome.meta["structures"]
    names = outcome.meta["status_names"]
    rows: list[Row] = []
    for metric in ("dice", "hd95_mm", "assd_mm"):
        if metric not in outcome.arrays:
            continue
        values = outcome.arrays[metric]
        for i, j in np.ndindex(values.shape):
            status = names[int(outcome.arrays["status"][i, j])]
            rows.append((
                one.site, selection, one.round, one.time_s, one.split, cases[i], structures[j],
                metric, _finite(float(values[i, j])), status, one.model.key,
            ))  # fmt: skip
    for name, value in {"loss": outcome.meta["loss"], **outcome.meta.get("report", {})}.items():
        rows.append((
            one.site, selection, one.round, one.time_s, one.split, None, None,
            name, _finite(value), "ok", one.model.key,
        ))  # fmt: skip
    return rows


def _finite(value: float) -> float | None:
    """A missing number is null in the tables, never NaN or zero."""
    return float(value) if math.isfinite(value) else None


def overlays(done: Iterable[Evaluation], outcomes: Mapping[str, Bundle]) -> dict[str, np.ndarray]:
    """Pictures of selected models by ``site/case/what``."""
    arrays: dict[str, np.ndarray] = {}
    for one in done:
        outcome = outcomes[one.key]
        for name, array in outcome.arrays.items():
            if name.startswith("overlay."):
                _, what, index = name.split(".")
                arrays[f"{one.site}/{outcome.meta['cases'][int(index)]}/{what}"] = array
    return arrays

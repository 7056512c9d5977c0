"""MLflow: a file store that ``mlflow ui`` and ``mlflow migrate-filestore`` read (mlflow.org)."""

import os
from collections.abc import Sequence
from pathlib import Path

from simulator.report.exporters.content import Content

_MAX_TEXT = 6_000  # characters of a parameter, MLflow's limit
_BATCH = 100  # parameters in one call, MLflow's limit
_METRICS = 1_000


def write(runs: Sequence[Content], out: Path, project: str) -> Path:
    """Write an experiment with a run per run into ``<out>/mlruns``, and return that folder.

    Times are virtual, in milliseconds from 0.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # this export stays on this machine
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # no database needed; migrate-filestore reads it
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    store = out / "mlruns"
    client = MlflowClient(tracking_uri=store.resolve().as_uri())
    known = client.get_experiment_by_name(project)
    experiment = client.create_experiment(project) if known is None else known.experiment_id
    for run in runs:
        ends_ms = max([_ms(one.time_s) for one in run.values], default=0)
        last = max([one.round for one in run.values], default=0)
        made = client.create_run(experiment, start_time=0, run_name=run.name).info.run_id
        metrics = [Metric(one.name, one.value, _ms(one.time_s), one.round) for one in run.values]
        metrics += [
            Metric(f"final/{name}", value, ends_ms, last) for name, value in sorted(run.final.items())
        ]
        params = [Param(key, text[:_MAX_TEXT]) for key, text in sorted(run.settings.items())]
        tags = [RunTag(key, text) for key, text in sorted({**run.tags, "group": run.group}.items())]
        client.log_batch(made, tags=tags)
        for start in range(0, len(params), _BATCH):
            client.log_batch(made, params=params[start : start + _BATCH])
        for start in range(0, len(metrics), _METRICS):
            client.log_batch(made, metrics=metrics[start : start + _METRICS])
        client.set_terminated(made, end_time=ends_ms)
    return store


def _ms(seconds: float) -> int:
    return round(1000 * seconds)

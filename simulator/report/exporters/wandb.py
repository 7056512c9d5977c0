"""Weights & Biases: offline runs, which ``wandb sync`` uploads if you decide to (docs.wandb.ai)."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from simulator.report.exporters.content import Content


def write(runs: Sequence[Content], out: Path, project: str) -> Path:
    """Write ``<out>/wandb/offline-run-…``, one per run, and return ``<out>/wandb``."""
    import wandb

    out.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        mode="offline", silent=True, console="off", save_code=False, disable_git=True,
        x_disable_stats=True, x_disable_meta=True,
    )  # fmt: skip
    for run in runs:
        made = wandb.init(
            project=project, name=run.name, group=run.group, dir=str(out), settings=settings,
            config={**run.settings, "tags": dict(run.tags)}, reinit="finish_previous",
        )  # fmt: skip
        for round_, row in _rows(run):
            made.log(row, step=round_)
        made.summary.update({f"final/{name}": value for name, value in sorted(run.final.items())})
        made.finish()
    wandb.teardown()  # its writer is a process of its own, and done only now
    return out / "wandb"


def _rows(run: Content) -> Iterator[tuple[int, dict[str, float]]]:
    """All values of a round together, with the virtual time at which the last of them was had."""
    for round_, found in groupby(run.values, key=attrgetter("round")):
        values = list(found)
        row = {one.name: one.value for one in values}
        yield round_, row | {"round": float(round_), "virtual_time_s": max(one.time_s for one in values)}

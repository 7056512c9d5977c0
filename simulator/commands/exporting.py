"""``medgossip export``: runs in the formats of experiment trackers."""

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.drawing import Runs, check_folders
from simulator.commands.endings import errors_shown
from simulator.commands.options import Verbose, one_of, words
from simulator.errors import ScenarioError
from simulator.registry import resolve


class Tracker(StrEnum):
    """Where runs can be exported to; each needs the extra of that name."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


def export(
    runs: Runs,
    to: Annotated[
        Tracker, typer.Option(parser=one_of(Tracker), metavar=words(Tracker), help="the tracker's format")
    ],
    out: Annotated[Path, typer.Option(help="folder that the export goes to")],
    project: Annotated[str, typer.Option(help="name of the experiment or project there")] = "medgossip",
    verbose: Verbose = False,
) -> None:
    """Write runs for TensorBoard, MLflow or Weights & Biases.

    Nothing leaves this machine.
    """
    with errors_shown(verbose):
        check_folders(runs)
        if find_spec(to.value) is None:
            raise ScenarioError(
                f'--to {to.value}: {to.value} is not installed; pip install "medgossip[{to.value}]"'
            )
        from simulator.record.measures_run import load_study
        from simulator.report.exporters.content import content

        found = [content(run) for run in load_study(runs).runs]
        print(resolve(f"simulator.report.exporters.{to.value}:write")(found, out, project))

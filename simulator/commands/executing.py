"""Running a study from the command line: checks before, progress, results, the exit code."""

import os
import sys
from pathlib import Path

import typer

from simulator.commands.checking import check_out, check_trainable, warnings
from simulator.commands.endings import errors_shown, reader_may_leave
from simulator.commands.interrupts import stopping_politely
from simulator.commands.results import print_forecast, print_result
from simulator.errors import ExitCode, ScenarioError
from simulator.progress import make_progress
from simulator.scenario.load import Study


def execute_study(
    study: Study,
    out: Path,
    jobs: int | None,
    device: str,
    store: Path | None,
    verbose: bool,
    cluster: str | None = None,
) -> None:
    """Run a study, here or on a cluster's workers, and print what came of it.

    Raises:
        typer.Exit: a run failed, or the study could not be run.
    """
    with errors_shown(verbose):
        check_trainable(study)
        check_out(out)
    warn(study, verbose)
    with errors_shown(verbose, study), stopping_politely() as stopping:
        from simulator.run import execute

        progress = make_progress()
        try:
            result = execute(
                study,
                out=out,
                jobs=jobs or (0 if cluster else num_cores()),
                device=device,
                store=store,
                progress=progress,
                stopping=stopping,
                cluster=cluster,
            )
        finally:
            progress.close()
    with errors_shown(verbose), reader_may_leave():
        print_result(result)
    if result.exit_code != ExitCode.OK:
        raise typer.Exit(int(result.exit_code))


def show_forecast(
    study: Study,
    out: Path,
    jobs: int | None,
    device: str,
    store: Path | None,
    verbose: bool,
    cluster: str | None = None,
) -> None:
    """Print what a study will take."""
    with errors_shown(verbose):
        check_trainable(study)
        if cluster and not jobs:
            raise ScenarioError("--plan: how many workers a cluster has is not known; say it with --jobs")
    with errors_shown(verbose, study), reader_may_leave():
        from simulator.forecast import forecast

        def tell(text: str) -> None:
            print(text, file=sys.stderr, flush=True)

        found = forecast(study, out=out, jobs=jobs or num_cores(), device=device, store=store, tell=tell)
        print_forecast(found)


def warn(study: Study, verbose: bool) -> None:
    """Print what is allowed but hardly meant."""
    with errors_shown(verbose, study):
        for text in warnings(study):
            print(f"warning: {text}", file=sys.stderr)


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

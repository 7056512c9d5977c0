"""The command line.

Results go to standard output, progress and errors to standard error. Modules that are slow to
import are imported by the commands that need them.
"""

import json
import sys
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.advising import advise
from simulator.commands.checking import check_data, check_out
from simulator.commands.drawing import compare, report
from simulator.commands.endings import errors_shown, reader_may_leave
from simulator.commands.executing import execute_study, num_cores, show_forecast, warn
from simulator.commands.exporting import export
from simulator.commands.listing import Kind, print_list
from simulator.commands.network import network
from simulator.commands.options import Cluster, Only, Overrides, Scenario, StoreOption, Verbose, one_of, words
from simulator.commands.results import print_plan
from simulator.commands.resuming import check_failed, original_command, surroundings, whole_study
from simulator.commands.tables import print_table
from simulator.commands.upkeep import gc, status
from simulator.errors import ExitCode, ScenarioError
from simulator.record.manifest import recorded_as
from simulator.scenario.load import load_study, reload_study

LABELS_SHOWN = 8  # of a study's runs, where they are only named

app = typer.Typer(
    name="medgossip",
    help="Simulate federated and gossip learning of medical image segmentation under a real network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(network, name="network")
app.command()(advise)
app.command()(report)
app.command()(compare)
app.command()(export)
app.command()(status)
app.command()(gc)


class Device(StrEnum):
    """Where training runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Out = Annotated[Path, typer.Option(help="folder that the results go to")]
Jobs = Annotated[int | None, typer.Option(min=1, help="worker processes; default: one per core")]
DeviceOption = Annotated[
    Device, typer.Option(parser=one_of(Device), metavar=words(Device), help="where training runs")
]
OnlyPlan = Annotated[
    bool, typer.Option("--plan", help="tell what training takes on this machine, run nothing")
]


def main() -> None:
    """Run the command line; the console entry point."""
    try:
        app()
    finally:
        with reader_may_leave():
            sys.stdout.flush()


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"medgossip {version('medgossip')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    scenario: Scenario,
    overrides: Overrides = None,
    only: Only = None,
    out: Out = Path("runs"),
    jobs: Jobs = None,
    device: DeviceOption = Device.AUTO,
    store: StoreOption = None,
    cluster: Cluster = None,
    only_plan: OnlyPlan = False,
    verbose: Verbose = False,
) -> None:
    """Train and simulate; write a report.

    The folder of the results holds tables, figures and report.html.
    """
    with errors_shown(verbose):
        study = load_study(scenario, overrides or ()).only(only or ())
    if only_plan:
        show_forecast(study, out, jobs, device.value, store, verbose, cluster)
        return
    execute_study(study, out, jobs, device.value, store, verbose, cluster)


@app.command()
def sweep(
    scenario: Scenario,
    overrides: Overrides = None,
    only: Only = None,
    out: Out = Path("runs"),
    jobs: Jobs = None,
    device: DeviceOption = Device.AUTO,
    store: StoreOption = None,
    cluster: Cluster = None,
    only_plan: OnlyPlan = False,
    verbose: Verbose = False,
) -> None:
    """Run a scenario with a sweep section.

    What its points have in common is trained once. With --plan, tell what would run, what is known
    already, and what the rest takes by what such work has cost on this machine before; where there was
    none, a few tasks are done for some seconds to find out.
    """
    with errors_shown(verbose):
        study = load_study(scenario, overrides or ())
        if not study.points[0].swept:
            raise ScenarioError(f"{scenario}: sweep: missing; add a grid, or use medgossip run")
        study = study.only(only or ())
    if only_plan:
        show_forecast(study, out, jobs, device.value, store, verbose, cluster)
        return
    execute_study(study, out, jobs, device.value, store, verbose, cluster)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(help="a folder that medgossip run has written")],
    out: Annotated[Path | None, typer.Option(help="default: where the folder lies")] = None,
    jobs: Jobs = None,
    device: DeviceOption = Device.AUTO,
    store: StoreOption = None,
    cluster: Cluster = None,
    verbose: Verbose = False,
) -> None:
    """Finish the study that a folder holds or belongs to.

    Finished runs stay as they are, finished work comes from the store.
    """
    _again(folder, out, jobs, device, store, cluster, verbose, only_failed=False)


@app.command()
def retry(
    folder: Annotated[Path, typer.Argument(help="a folder that medgossip run has written")],
    out: Annotated[Path | None, typer.Option(help="default: where the folder lies")] = None,
    jobs: Jobs = None,
    device: DeviceOption = Device.AUTO,
    store: StoreOption = None,
    cluster: Cluster = None,
    verbose: Verbose = False,
) -> None:
    """Run again the runs of a study that failed; refuse where none did.

    Finished runs stay as they are, finished work comes from the store.
    """
    _again(folder, out, jobs, device, store, cluster, verbose, only_failed=True)


def _again(
    folder: Path,
    out: Path | None,
    jobs: int | None,
    device: Device,
    store: Path | None,
    cluster: str | None,
    verbose: bool,
    *,
    only_failed: bool,
) -> None:
    with errors_shown(verbose):
        folder = whole_study(folder)
        study = reload_study(folder)
        if only_failed:
            check_failed(folder, study)
    with recorded_as(original_command(folder)):
        execute_study(study, out or surroundings(folder), jobs, device.value, store, verbose, cluster)


@app.command()
def plan(
    scenario: Scenario,
    overrides: Overrides = None,
    only: Only = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    with_report: Annotated[
        bool, typer.Option("--report", help="write a folder with tables and a report for planners, too")
    ] = False,
    out: Out = Path("runs"),
    jobs: Jobs = None,
    verbose: Verbose = False,
) -> None:
    """Tell virtual time and traffic without training.

    What training takes on this machine tells medgossip run --plan.
    """
    with errors_shown(verbose):
        study = load_study(scenario, overrides or ()).only(only or ())
    with errors_shown(verbose, study):
        from simulator import plans

        page = None
        if with_report:
            check_out(out)
            rows, page = plans.plan_with_report(study, out)
        else:
            rows = plans.plan(study, jobs or num_cores())
    warn(study, verbose)
    with reader_may_leave():
        print_plan(rows, as_json)
        if page is not None:
            print(f"report: {page}", file=sys.stderr if as_json else sys.stdout)


@app.command()
def validate(
    scenarios: Annotated[list[str], typer.Argument(help="scenario files or bundled names")],
    overrides: Overrides = None,
    verbose: Verbose = False,
) -> None:
    """Check scenarios.

    Every error is told with its place and remedy.
    """
    bad = False
    for scenario in scenarios:
        try:
            with errors_shown(verbose):
                study = load_study(scenario, overrides or ())
                check_data(study)
                first = [point.label for point in study.points[:LABELS_SHOWN]]
                more = len(study.points) - len(first)
                labels = ", ".join([*first, *([f"and {more} more, see medgossip plan"] if more else [])])
            with reader_may_leave():
                print(f"{scenario}: valid, {len(study.points)} run(s): {labels}")
            warn(study, verbose)
        except typer.Exit as end:
            if end.exit_code != ExitCode.BAD_INPUT:
                raise
            bad = True
    if bad:
        raise typer.Exit(int(ExitCode.BAD_INPUT))


@app.command()
def schema(verbose: Verbose = False) -> None:
    """Print the JSON Schema of scenario files."""
    with errors_shown(verbose), reader_may_leave():
        from simulator.scenario.json_schema import json_schema

        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(parser=one_of(Kind), help="what to list")], verbose: Verbose = False
) -> None:
    """List what scenarios can name."""
    with errors_shown(verbose), reader_may_leave():
        print_list(kind)


@app.command()
def doctor(store: StoreOption = None, out: Out = Path("runs"), verbose: Verbose = False) -> None:
    """Check this machine."""
    with errors_shown(verbose):
        from simulator.doctor import checks
        from simulator.work.store import default_root

        found = checks(store or default_root(), out)
    rows = [{"ok": "ok" if one.ok else "MISSING", "name": one.name, "found": one.found} for one in found]
    with reader_may_leave():
        print_table(rows, {"ok": "", "name": "what", "found": "found"})
    if not all(one.ok for one in found):
        raise typer.Exit(int(ExitCode.ENVIRONMENT))

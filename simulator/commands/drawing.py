"""``medgossip report`` and ``medgossip compare``: figures and tables of runs that are done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.endings import errors_shown
from simulator.commands.options import Verbose
from simulator.errors import ScenarioError

Runs = Annotated[list[Path], typer.Argument(help="folders that medgossip run has written")]


def report(
    runs: Runs,
    out: Annotated[
        Path | None, typer.Option(help="default: the folder itself, or ./report for several")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Draw runs together in one report."""
    with errors_shown(verbose):
        check_folders(runs)
        from simulator.report import build

        print(build(runs, out or (runs[0] if len(runs) == 1 else Path("report"))))


def compare(
    runs: Runs,
    spec: Annotated[
        Path | None, typer.Option(help="which runs and figures, under which names (YAML); default: all")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder that the results go to")] = Path("compare"),
    verbose: Verbose = False,
) -> None:
    """Make the figures and tables of a paper.

    Writes compare.html, figures as PNG, PDF and SVG, tables as Parquet, CSV and LaTeX.
    """
    with errors_shown(verbose):
        check_folders(runs)
        from simulator.report import compare as write

        print(write(runs, out, spec))


def check_folders(folders: Sequence[Path]) -> None:
    """Refuse what is no folder.

    Raises:
        ScenarioError: a file, or nothing there.
    """
    for folder in folders:
        if folder.is_file():
            raise ScenarioError(f"{folder}: a file; name the folder that medgossip run has written")
        if not folder.is_dir():
            raise ScenarioError(f"{folder}: no such folder; name one that medgossip run has written")

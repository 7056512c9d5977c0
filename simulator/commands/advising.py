"""``medgossip advise``: plan a scenario many times and say what to expect and what to change."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.commands.checking import check_data, check_out
from simulator.commands.endings import errors_shown, reader_may_leave
from simulator.commands.executing import num_cores, warn
from simulator.commands.options import Only, Overrides, Scenario, Verbose
from simulator.commands.tables import print_table
from simulator.progress import make_progress
from simulator.scenario.load import load_study

if TYPE_CHECKING:  # importing it takes longer than the commands that give no advice
    from simulator.advice.advice import Advice


def advise(
    scenario: Scenario,
    overrides: Overrides = None,
    only: Only = None,
    plans: Annotated[int, typer.Option(help="about how many plans to make of each run")] = 1000,
    out: Annotated[Path, typer.Option(help="folder that the results go to")] = Path("runs"),
    jobs: Annotated[int | None, typer.Option(min=1, help="processes; default: one per core")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
    verbose: Verbose = False,
) -> None:
    """Tell what may go wrong and which setting to change, from many plans.

    Lines, machines and outages are drawn as the section advise says; nothing is trained.
    """
    with errors_shown(verbose):
        study = load_study(scenario, overrides or ()).only(only or ())
        check_data(study)
        check_out(out)
    warn(study, verbose)
    with errors_shown(verbose, study):
        from simulator.advice.advice import advice
        from simulator.advice.page import as_json as to_json
        from simulator.advice.page import write

        progress = make_progress()
        found: list[Advice] = []
        try:
            for point in study.points:
                progress.stage(f"{point.label}: about {plans} plans")
                found.append(
                    advice(
                        point.label,
                        point.scenario,
                        study.advise,
                        plans=plans,
                        jobs=jobs or num_cores(),
                        progress=progress,
                    )
                )
        finally:
            progress.close()
        page = write(study, found, out)
    with errors_shown(verbose), reader_may_leave():
        if as_json:
            print(json.dumps([to_json(one) for one in found], indent=2))
            return
        _print(found)
        print(f"report: {page}")


def _print(found: "list[Advice]") -> None:
    """Sentences, then tables, of each run."""
    from simulator.advice.words import sentences, tables

    for one in found:
        print(f"{one.label}:")
        for text in sentences(one):
            print(f"- {text}")
        for table in tables(one):
            print(f"\n{table.title}")
            keys = [str(number) for number in range(len(table.head))]
            rows = [dict(zip(keys, row, strict=True)) for row in table.rows]
            print_table(rows, dict(zip(keys, table.head, strict=True)))
        print()

"""``medgossip status`` and ``medgossip gc``: where a study stands, and how full the store is."""

import time
from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.endings import errors_shown, reader_may_leave
from simulator.commands.options import StoreOption, Verbose
from simulator.commands.results import RESULT_COLUMNS
from simulator.commands.resuming import whole_study
from simulator.commands.tables import print_table
from simulator.errors import ScenarioError
from simulator.units import parse, short


def status(
    folder: Annotated[Path, typer.Argument(help="a folder that medgossip run has written")],
    verbose: Verbose = False,
) -> None:
    """Tell where a study stands, also while another process runs it."""
    with errors_shown(verbose), reader_may_leave():
        from simulator.study_folder import is_running, note_of, states

        folder = whole_study(folder)
        rows = states(folder.resolve())
        if not rows:
            raise ScenarioError(
                f"{folder}: no study.json in it; name a folder that medgossip run has written"
            )
        print_table(rows, {"id": "id", **RESULT_COLUMNS})
        count = {name: sum(row["status"] == name for row in rows) for name in sorted(_statuses(rows))}
        told = ", ".join(f"{number} {name}" for name, number in count.items())
        running = is_running(folder.resolve())
        print(f"{folder}: {'running' if running else 'not running'}; {told}")
        note = note_of(folder.resolve())
        if running and note.is_file():
            print(note.read_text(encoding="utf-8"))


def _statuses(rows: list[dict[str, object]]) -> set[str]:
    return {str(row["status"]) for row in rows}


def gc(
    store: StoreOption = None,
    older: Annotated[
        str | None, typer.Option(metavar="DURATION", help='delete results not used for this long: "30 d"')
    ] = None,
    keep: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="keep what this study needs; repeatable")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="tell, delete nothing")] = False,
    verbose: Verbose = False,
) -> None:
    """Tell the size of the store; delete damaged and half-written files, and old results if asked.

    What a live run needs always stays.
    """
    with errors_shown(verbose), reader_may_leave():
        from simulator.work.store import Store, default_root

        age_s = _age(older)
        needed = {key for folder in keep or () for key in _keys(folder)}
        root = store or default_root()
        if not root.is_dir():
            raise ScenarioError(f"{root}: no store there; name the one that you run with by --store")
        found = Store(root).clean(older_s=age_s, needed=needed, now_s=time.time(), dry_run=dry_run)
        did = "would delete" if dry_run else "deleted"
        rows = [
            {"what": "results", "count": found.num_kept, "nbytes": found.kept_nbytes, "did": "kept"},
            {"what": "old results", "count": found.num_old, "nbytes": found.old_nbytes, "did": did},
            {"what": "damaged", "count": len(found.damaged), "nbytes": found.damaged_nbytes, "did": did},
            {"what": "half-written", "count": found.num_left, "nbytes": found.left_nbytes, "did": did},
        ]
        print_table(rows, {"what": "what", "count": "files", "nbytes": "size", "did": ""})
        for name in found.damaged:
            print(f"damaged: {name}")
        print(f"store: {root}, {short(found.kept_nbytes, 'size')}")


def _age(older: str | None) -> float | None:
    if older is None:
        return None
    try:
        return parse(older, "duration")
    except ValueError as error:
        raise ScenarioError(f"--older {older}: {error}") from None


def _keys(folder: Path) -> set[str]:
    """Keys of all that the runs in a study's folder, or a run, are made of."""
    files = [*folder.glob("keys.txt"), *folder.glob("*/keys.txt")]
    if not files:
        raise ScenarioError(f"--keep {folder}: no finished run in it; name a folder of finished runs")
    return {key for file in files for key in file.read_text(encoding="utf-8").split()}

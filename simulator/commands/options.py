"""Options that several commands share."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from simulator.registry import suggest

Choice = TypeVar("Choice", bound=StrEnum)

Scenario = Annotated[str, typer.Argument(help="a scenario file, or the name of a bundled scenario")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="change a dotted key; repeatable")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="show the traceback of an error")]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="folder of trained models; default: your cache folder")
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="RUN",
        help="only this run of a sweep, by label or beginning of its id; repeatable",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="WHERE", help="train there: tcp://HOST:PORT of a Dask scheduler, or slurm"),
]


def one_of(choices: type[Choice]) -> Callable[[str], Choice]:
    """Return a parser of one of these words, whose error names the one that was meant."""

    def read(text: str) -> Choice:
        try:
            return choices(text)
        except ValueError:
            known = suggest(text, list(choices), likeness=0.7)  # who writes gpu does not mean cpu
            raise typer.BadParameter(f'no "{text}"{known}') from None

    return read


def words(choices: type[StrEnum]) -> str:
    """Return how help shows a choice of these words."""
    return "|".join(choices)

"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Scenario = Annotated[str, typer.Argument(help="a scenario file, or the name of a bundled scenario")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="change a dotted key; repeatable")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="show the traceback of an error")]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="folder of trained models; default: your cache folder")
]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="WHERE", help="train there: tcp://HOST:PORT of a Dask scheduler, or slurm"),
]

"""Tables of a run folder on disk: Parquet with exact types, written whole or not at all."""

from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from simulator.errors import ScenarioError
from simulator.record.tables import TABLES

_TYPES: dict[str, type[pl.DataType]] = {
    "int": pl.Int64,
    "float": pl.Float64,
    "str": pl.String,
    "bool": pl.Boolean,
}
_PATH = "read from"


def columns_of(name: str) -> dict[str, type[pl.DataType]]:
    """Return the Polars types of a table by column, in order."""
    return {column: _TYPES[kind] for column, kind in TABLES[name].items()}


def write_table(folder: Path, name: str, rows: Sequence[tuple[Any, ...]]) -> Path:
    """Write ``rows`` (tuples in the order of :data:`~simulator.record.tables.TABLES`) as Parquet.

    The file appears complete or not at all. Integers are accepted where the column is float; any
    other mismatch of types raises :class:`TypeError`, a row of the wrong length :class:`ValueError`.

    Returns:
        the path of the file, ``<folder>/<name>.parquet``.
    """
    schema = columns_of(name)
    for number, row in enumerate(rows):
        if len(row) != len(schema):
            raise ValueError(
                f"{name} row {number}: {len(row)} values for {len(schema)} columns {list(schema)}"
            )
    values = list(zip(*rows, strict=True)) or [()] * len(schema)
    frame = pl.DataFrame(
        [_series(f"{name}.{c}", v, t).alias(c) for (c, t), v in zip(schema.items(), values, strict=True)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    partial = path.with_suffix(".parquet.partial")
    frame.write_parquet(partial, compression="zstd")
    partial.replace(path)
    return path


def _series(place: str, values: Sequence[Any], dtype: type[pl.DataType]) -> pl.Series:
    """One column; Polars alone would read 1.5 or True as the integer 1."""
    kinds: dict[type[pl.DataType], Any] = {
        pl.Int64: Integral,
        pl.Float64: Real,
        pl.String: str,
        pl.Boolean: (bool, np.bool_),
    }
    for number, value in enumerate(values):
        wrong = value is not None and not isinstance(value, kinds[dtype])
        if wrong or (isinstance(value, bool) and dtype != pl.Boolean):
            raise TypeError(f"{place} row {number}: {value!r} is not {dtype.__name__}")
    return pl.Series(place, values, dtype=dtype, strict=False)


def read_table(folder: Path, name: str) -> pl.DataFrame:
    """Return a table of a run folder, with its columns checked.

    Raises:
        ScenarioError: the file is missing, unreadable, or has other columns or types.
    """
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise ScenarioError(f"{path}: table missing; is {folder} a run folder, and did its run end?")
    try:
        frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    except pl.exceptions.PolarsError as error:
        raise ScenarioError(f"{path}: cannot be read ({error}); run the scenario again") from error
    expected = columns_of(name)
    if dict(frame.schema) != expected:
        differ = sorted(
            {c for c in expected if frame.schema.get(c) != expected[c]} | (set(frame.columns) - set(expected))
        )
        raise ScenarioError(
            f"{path}: columns {', '.join(differ) or 'in another order'} differ from this version's;"
            " run the scenario again"
        )
    return frame


def read_tables(folders: Sequence[Path], name: str) -> list[pl.DataFrame]:
    """Return a table of several run folders, read in one pass.

    Raises:
        ScenarioError: as :func:`read_table`.
    """
    paths = [folder / f"{name}.parquet" for folder in folders]
    try:
        whole = pl.read_parquet(paths, include_file_paths=_PATH, glob=False, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError):
        whole = pl.DataFrame()
    if dict(whole.schema) != columns_of(name) | {_PATH: pl.String}:
        return [read_table(folder, name) for folder in folders]  # says which one is wrong
    parts = whole.partition_by(_PATH, as_dict=True, include_key=False, maintain_order=True)
    return [parts.get((str(path),), empty_table(name)) for path in paths]


def empty_table(name: str) -> pl.DataFrame:
    """Return the table with no rows."""
    return pl.DataFrame(schema=columns_of(name))

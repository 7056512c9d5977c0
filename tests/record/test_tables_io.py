import numpy as np
import polars as pl
import pytest

from simulator.errors import ScenarioError
from simulator.record.tables import TABLES
from simulator.record.tables_io import columns_of, read_table, read_tables, write_table

FAULT = (0, "{at: 2 h, crash: server}", "crash", "server", 7200.0, "fired", None)


def test_rows_come_back_with_exact_types(tmp_path):
    path = write_table(tmp_path / "new", "faults", [FAULT, (np.int64(1), *FAULT[1:4], 3, *FAULT[5:])])
    assert path == tmp_path / "new" / "faults.parquet"
    frame = read_table(tmp_path / "new", "faults")
    assert dict(frame.schema) == columns_of("faults")
    assert frame.rows()[0] == FAULT
    assert frame["time_s"][1] == 3.0
    assert [p.name for p in path.parent.iterdir()] == ["faults.parquet"]  # nothing half-written is left


def test_tables_of_several_runs_are_those_that_each_alone_has(tmp_path):
    rows = [[FAULT], [], [FAULT, (1, *FAULT[1:])], [(2, *FAULT[1:])]]
    folders = [tmp_path / name for name in ("b=2", "a", "c[1]", "b")]
    for folder, own in zip(folders, rows, strict=True):
        write_table(folder, "faults", own)
    for folder, found in zip(folders, read_tables(folders, "faults"), strict=True):
        assert found.equals(read_table(folder, "faults"))
        assert found.schema == read_table(folder, "faults").schema


@pytest.mark.parametrize("damage", ["text", "column", "type"])
def test_of_several_tables_the_wrong_one_is_named(tmp_path, damage):
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        write_table(folder, "faults", [FAULT])
    wrong = folders[1] / "faults.parquet"
    frame = pl.read_parquet(wrong)
    if damage == "text":
        wrong.write_text("no table")
    elif damage == "column":
        frame.with_columns(more=1).write_parquet(wrong)
    else:
        frame.with_columns(pl.col("fault").cast(pl.Int32)).write_parquet(wrong)
    with pytest.raises(ScenarioError, match=r"b/faults\.parquet"):
        read_tables(folders, "faults")


@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_empty_or_null(tmp_path, name):
    write_table(tmp_path, name, [])
    assert read_table(tmp_path, name).is_empty()
    write_table(tmp_path, name, [(None,) * len(TABLES[name])])
    assert read_table(tmp_path, name).height == 1


@pytest.mark.parametrize(
    ("column", "value"), [(0, 1.5), (0, True), (0, "0"), (1, 7), (4, "soon"), (4, False)], ids=str
)
def test_a_value_of_another_type_is_refused_with_its_place(tmp_path, column, value):
    row = [*FAULT]
    row[column] = value
    with pytest.raises(TypeError, match=rf"faults\.{list(TABLES['faults'])[column]} row 1"):
        write_table(tmp_path, "faults", [FAULT, tuple(row)])
    assert not list(tmp_path.iterdir())


def test_a_row_of_the_wrong_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match="faults row 0: 6 values for 7 columns"):
        write_table(tmp_path, "faults", [FAULT[:6]])


def test_reading_says_what_is_wrong(tmp_path):
    with pytest.raises(ScenarioError, match=r"faults\.parquet: table missing"):
        read_table(tmp_path, "faults")
    (tmp_path / "faults.parquet").write_bytes(b"not parquet")
    with pytest.raises(ScenarioError, match="cannot be read"):
        read_table(tmp_path, "faults")
    pl.DataFrame({"fault": [1], "extra": [2]}).write_parquet(tmp_path / "faults.parquet")
    with pytest.raises(ScenarioError, match="columns extra, node"):
        read_table(tmp_path, "faults")

"""The page on tables names all of them with all their columns, and its example gives what reports say."""

import re
import runpy
from pathlib import Path

import pytest

from simulator.record.measures import summarize
from simulator.record.measures_run import load_study
from simulator.record.tables import TABLES
from tests.report.fixtures import write_study

PAGE = (Path(__file__).parents[1] / "docs" / "tables.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", TABLES)
def test_every_table_and_column_is_there(table):
    assert f"`{table}.parquet`" in PAGE
    assert [column for column in TABLES[table] if f"`{column}`" not in PAGE] == []


def test_the_example_gives_what_the_report_says(tmp_path):
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    sent_and_dice = runpy.run_path(str(tmp_path / "example.py"))["sent_and_dice"]
    write_study(tmp_path / "s", ("gcml", "fedavg"), seeds=(1, 2))
    found = sent_and_dice(tmp_path / "s")
    for run in load_study([tmp_path / "s"]).runs:
        rows = found.filter(run=run.folder.name)
        assert rows["dice"].mean() == pytest.approx(summarize(run).quality.dice_mean)
        assert rows["sent_nbytes"].sum() <= summarize(run).traffic.carried_nbytes
        assert rows["sent_nbytes"].min() > 0

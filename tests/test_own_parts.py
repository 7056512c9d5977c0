"""The page on a network and a data set of one's own works when it is followed to the letter."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_own_algorithm import declare, outcome

PAGE = (Path(__file__).parents[1] / "docs" / "own-network-and-data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = ("pyproject.toml", "ownparts.py", "ownparts_torch.py", "test_ownparts.py", "make.py", "try.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    here = tmp_path_factory.mktemp("ownparts")
    texts = [text for language, text in BLOCKS if language]
    for name, text in zip(FILES, texts, strict=True):
        (here / name).write_text(text, encoding="utf-8")
    declare(here, texts[0])
    subprocess.run([sys.executable, "make.py"], cwd=here, check=True)
    return here


def test_the_plan_is_the_one_shown(folder):
    shown = next(text for language, text in BLOCKS if not language)
    assert outcome(folder, "medgossip", "plan", "try.yaml", "--jobs", "1") == shown


def test_the_test_shown_passes(folder):
    assert "1 passed" in outcome(folder, "pytest", "-p", "no:cacheprovider", "test_ownparts.py")


def test_a_site_without_a_file_is_told_with_its_place(folder):
    assert "valid, 1 run(s)" in outcome(folder, "medgossip", "validate", "try.yaml")
    (folder / "north.npz").rename(folder / "west.npz")
    said = outcome(folder, "medgossip", "plan", "try.yaml", code=2)
    (folder / "west.npz").rename(folder / "north.npz")
    assert "try.yaml:9:5: sites.0: " in said


@pytest.mark.slow
def test_the_run_learns(folder):
    said = outcome(folder, "medgossip", "run", "try.yaml", "--jobs", "1", "--store", "store")
    (row,) = (line.split() for line in said.splitlines() if line.startswith("gossip-averaging"))
    assert row[1] == "ok"
    assert float(row[8]) > 0.9

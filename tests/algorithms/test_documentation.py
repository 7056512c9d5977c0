"""The documentation has a paragraph on every algorithm, with its source, the bundled sweep a run of it, and
the golden traces one too.
"""

import re
from pathlib import Path

from simulator.registry import registry
from simulator.scenario import load_study
from tests.test_golden import SCENARIOS

TEXT = (Path(__file__).parents[2] / "docs" / "algorithms.md").read_text(encoding="utf-8")


def test_every_algorithm_has_its_paragraph():
    others = {"fedgs", "fedsm"}  # in a file of their own
    missing = [name for name in registry("algorithms") if f"**`{name}`**" not in TEXT and name not in others]
    assert not missing


def test_every_paragraph_names_its_source_and_what_happens_on_failure():
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)
    for section in sections:
        for paragraph in re.findall(r"^\*\*`.*?(?=\n\n|\Z)", section, flags=re.MULTILINE | re.DOTALL):
            names = re.findall(r"\*\*`([\w-]+)`\*\*", paragraph)
            if set(names) & {"local", "pooled"}:  # arms of every study, no method of somebody's
                continue
            assert re.search(r"\b(19|20)\d\d\b|arXiv \d{4}\.", paragraph), f"{names}: no source"
            assert re.search(r"dies|death|silent|failures|crash", section), f"{names}: no failure"


def test_every_algorithm_has_a_golden_trace():
    traced = {re.search(r"name: ([\w-]+)", text)[1] for text, _ in SCENARIOS.values()}
    assert traced == set(registry("algorithms"))


def test_the_sweep_over_all_algorithms_has_them_all():
    swept = {point.scenario.algorithm.name for point in load_study("all-algorithms").points}
    assert swept == set(registry("algorithms"))

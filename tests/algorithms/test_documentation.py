"""The documentation has a paragraph on every algorithm, and the bundled sweep a run of it."""

from pathlib import Path

from simulator.registry import registry
from simulator.scenario import load_study

TEXT = (Path(__file__).parents[2] / "docs" / "algorithms.md").read_text(encoding="utf-8")


def test_every_algorithm_has_its_paragraph():
    others = {"fedgs", "fedsm"}  # in a file of their own
    missing = [name for name in registry("algorithms") if f"**`{name}`**" not in TEXT and name not in others]
    assert not missing


def test_the_sweep_over_all_algorithms_has_them_all():
    swept = {point.scenario.algorithm.name for point in load_study("all-algorithms").points}
    assert swept == set(registry("algorithms"))

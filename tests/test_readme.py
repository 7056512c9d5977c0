"""What the README shows is what happens: its algorithm runs, its scenario is valid, its commands exist."""

import re
from collections import Counter
from pathlib import Path

from simulator.scenario import load_study
from tests.support import registered, run

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_algorithm_of_the_readme_runs_as_printed(monkeypatch, tmp_path):
    code = next(block for block in blocks("python") if "RANDOM_PUSH" in block)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    with registered(monkeypatch, names["RANDOM_PUSH"]):
        result = run(tmp_path, "algorithm: {name: random-push, rounds: 5}\n")
    assert result.end_reason == "all protocols ended"
    assert Counter(row[1] for row in result.world.work)["mix"] > 0
    assert len([row for row in result.ledger.rows("transfers") if not row[6]]) == 15


def test_the_scenario_of_the_readme_is_valid(tmp_path):
    for number, text in enumerate(blocks("yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text, encoding="utf-8")
        if "folder-per-site" in text:
            for site in ("east", "west"):
                for kind in ("images", "masks"):
                    (tmp_path / "images" / site / kind).mkdir(parents=True)
        assert load_study(str(path)).points


def test_every_algorithm_that_the_readme_describes_exists():
    from simulator.registry import registry

    section = README.partition("## Algorithms")[2].partition("\n## ")[0]
    assert set(re.findall(r"\*\*`([a-z-]+)`\*\*", section)) <= set(registry("algorithms"))

"""What is wrong, where, and what to write instead: the table errors.txt, message by message."""

import re
from pathlib import Path

import pytest

from simulator.errors import ExitCode, ScenarioError
from tests.scenario.conftest import BASE

TABLE = Path(__file__).with_name("errors.txt")
HUNK = re.compile(r"((?:-.*\n)*)((?:\+.*\n)*)")


def blocks():
    text = TABLE.read_text(encoding="utf-8")
    for block in text.split("\n# ")[1:]:
        name, *lines = block.strip("\n").split("\n")
        yield pytest.param([(line[:1], line[2:]) for line in lines if line], id=name.replace(" ", "-"))


def edited(lines):
    """Apply the edits of a block to the base scenario."""
    if any(mark == "=" for mark, _ in lines):
        return "".join(f"{text}\n" for mark, text in lines if mark == "=")
    result = BASE
    edits = "".join(f"{mark}{text}\n" for mark, text in lines if mark in "-+")
    for hunk in HUNK.finditer(edits):
        old, new = (re.sub(r"^[-+]", "", part, flags=re.MULTILINE) for part in hunk.groups())
        assert old in result
        result = result.replace(old, new, 1) if old else result + new
    return result


@pytest.mark.parametrize("lines", list(blocks()))
def test_message(load, lines):
    options = [text for mark, text in lines if mark == "$"]
    with pytest.raises(ScenarioError) as caught:
        load(edited(lines), *options)
    assert str(caught.value).split("\n") == [text for mark, text in lines if mark == ">"]
    assert caught.value.exit_code is ExitCode.BAD_INPUT


def test_all_errors_of_a_file_are_told_in_its_order(load):
    text = BASE.replace("lr: 0.1", "lr: 0").replace("device: t4", "devise: t4") + "stopp: {}\n"
    with pytest.raises(ScenarioError) as caught:
        load(text)
    places = [line.split(": ")[:2] for line in str(caught.value).split("\n")]
    assert places == [
        ["x.yaml:5:19", "task.optimizer.lr"],
        ["x.yaml:9:5", "sites.0.devise"],
        ["x.yaml:17:1", "stopp"],
    ]


def test_an_error_that_only_some_points_have_names_one_of_them(load):
    with pytest.raises(ScenarioError) as caught:
        load(BASE + "sweep: {algorithm.name: [gossip, star]}\nserver: {device: t4}\n")
    assert str(caught.value) == "x.yaml:18:1: server.link: missing; add it", "all points have it"
    with pytest.raises(ScenarioError, match=r"has a server.*\(sweep point star\)$"):
        load(BASE + "sweep: {algorithm.name: [gossip, star]}\n")


def test_a_message_of_a_later_stage_gets_its_place(load):
    study = load(BASE)
    assert study.locate("sites.1.data: no such folder") == "x.yaml:15:11: sites.1.data: no such folder"
    assert study.locate("task.dataset.root: none").startswith("x.yaml:3:3: task.dataset.root")
    assert study.locate("no place in this: one") == "no place in this: one"
    assert study.locate("elsewhere: one") == "elsewhere: one"
    assert study.locate("network.routes: none").endswith(":1:1: network.routes: none")

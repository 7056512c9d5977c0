"""What the documentation shows is real: its YAML, its commands and options, its links, its output.

The commands themselves run in a slow test. After a deliberate change of what they print, write the blocks
anew with ``MEDGOSSIP_WRITE_DOCS=1 pytest -m slow tests/test_docs.py`` and read the difference.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from simulator.cli import app
from simulator.errors import ScenarioError
from simulator.scenario import load_study
from simulator.scenario.json_schema import json_schema

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

LINK = "{up: 10 Mbit/s, down: 50 Mbit/s, latency: 8 ms}"
WHOLE = {"name": "shown", "algorithm": {"name": "gossip-averaging", "rounds": 10}}
TASK = {
    "dataset": {"name": "brainsim", "dims": 2, "size": 64},
    "network": {"name": "unet", "channels": [8, 16]},
    "optimizer": {"name": "adam", "lr": 1e-3},
    "batch_size": 4,
}
OWN_FILES = {"name": "folder-per-site", "root": "none", "channels": ["red"], "structures": {"vessel": [255]}}
NAMES = ["north", "south", "lake", "hill", "coast", "munich", "clinic", "site8", "a", "b", "c", "d"]


PACKAGES = {"own-algorithm.md", "own-network-and-data.md"}  # tried by tests of their own


def blocks(language):
    """Every block of a language, with the file it is in."""
    return [
        pytest.param(text, id=f"{page.name}-{number}")
        for page in PAGES
        for number, (found, text) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
        if found == language and page.name not in PACKAGES
    ]


def read(text):
    """A block's YAML; what it leaves out (…) is filled in."""
    text = re.sub(r"(link: \{)…", rf"\1{LINK[1:-1]}", text)
    return YAML(typ="safe").load(re.sub(r", (…|\.\.\.)", "", text).replace("{…}", LINK))


def dump(data, path):
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(data, stream)


def site(part):
    """A site of which the page shows a part."""
    speed = {} if {"device", "seconds_per_item"} & part.keys() else {"device": "t4"}
    return {"link": read(f"link: {LINK}")["link"], "data": {"cases": 6, "profile": "a"}, **speed, **part}


def whole(part):
    """A scenario of which the page shows a part."""
    if "availability" in part:
        part = {"sites": [{"name": "north", **part}]}
    if "name" in part.get("network", {}):
        part = {"task": part}
    task = TASK | part.get("task", {})
    sites = [site(one) for one in part.get("sites", [])] or [site({"name": name}) for name in NAMES]
    if task["dataset"]["name"] == "brainsim" and any("profile" not in one["data"] for one in sites):
        task["dataset"] = OWN_FILES
    server = site({"device": "cpu-16-core", "position": {"lat": 48.1, "lon": 11.6}})
    del server["data"]
    given = {**WHOLE, "server": server, **part, "task": task, "sites": sites}
    given["server"] = {**server, **given["server"]}
    return given


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_yaml_block_is_valid(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    part = read(text)
    if "figures" in part:
        pytest.skip("a comparison's file, tried by tests/report/test_compare.py")
    dump(part if {"task", "sites", "algorithm", "network"} <= part.keys() else whole(part), Path("x.yaml"))
    error = None
    try:
        assert load_study("x.yaml").points
    except ScenarioError as raised:
        error = str(raised)
    # the data sets of the pages are not here: all else was right before their folder was looked for
    assert error is None or re.fullmatch(r'(\S+ )?task\.dataset\.root: no folder "[^"]*"; [^\n]*', error), (
        error
    )


FAULTS = [
    fault
    for page in PAGES
    for fault in re.findall(r"`(\{(?:at|from|every): [^`]*\})`", page.read_text(encoding="utf-8"))
    if "…" not in fault and "connections" not in fault  # which is a condition's line
]


def test_every_fault_shown_is_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(FAULTS) > 8
    tags = {"tags": ["icu"]}
    sites = [{"name": name, **tags} for name in NAMES]
    server = {"standby": "north", "detect_after": "30 s"}
    shown = [fault for fault in FAULTS if not {"recover", "reconnect"} & read(fault).keys()]
    for fault in shown:
        part = {
            "sites": sites,
            "server": server,
            "faults": [read(fault)],
            "algorithm": {"name": "fedavg", "rounds": 1},
        }
        dump(whole(part), Path("x.yaml"))
        assert load_study("x.yaml").points, fault


def commands():
    """Every command line shown, in blocks and in running text."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shown = re.findall(r"^(?:\$ |    |)(medgossip .*)$", text, re.MULTILINE)
        shown += re.findall(r"`(medgossip [^`]+)`", " ".join(text.split()))
        for line in shown:
            yield page.name, re.sub(r"\s+# .*|…|(?<=\w)\|\S+", "", line)


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_every_command_shown_has_the_options_shown(page, line):
    command, words = get_command(app), shlex.split(line)[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{page}: {line}"
        command, words = command.commands[words[0]], words[1:]
    known = {name for one in command.params for name in one.opts} | {"--help"}
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert options <= known, f"{page}: {line}"


def test_every_setting_stands_in_some_page():
    keys = set()

    def collect(part):
        for child in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            collect(child)
        if isinstance(part, dict) and isinstance(part.get("properties"), dict):
            keys.update(part["properties"])

    collect(json_schema())
    words = set(re.findall(r"[\w-]+", "".join(page.read_text(encoding="utf-8") for page in PAGES)))
    assert len(keys) > 300
    assert keys <= words, sorted(keys - words)


def anchors(page):
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


SHOWN = re.compile(r"^```(?:console)?\n\$ (medgossip [^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_HERE = ("runs/", "hospitals.yaml", "prostate.yaml")
"""Names of what the reader has and this repository has not."""
PROGRESS = re.compile(r"\d+/\d+ |\S+: about \d+ plans")
"""Lines that only a slow machine shows."""


def printed(line, folder):
    command = [str(Path(sys.executable).with_name("medgossip")), *shlex.split(line)[1:]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines(keepends=True) if not PROGRESS.match(line)]
    return done.stdout + "".join(told)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_print_what_the_page_shows(page):
    text = page.read_text(encoding="utf-8")
    for line, shown in SHOWN.findall(text):
        if any(name in line for name in NOT_HERE):
            continue
        found = printed(line, ROOT)
        if os.environ.get("MEDGOSSIP_WRITE_DOCS") and "...\n" not in shown:
            text = text.replace(f"$ {line}\n{shown}```", f"$ {line}\n{found}```")
            page.write_text(text, encoding="utf-8")
            continue
        for part in shown.split("...\n"):
            assert part in found, f"$ {line}\n{found}"

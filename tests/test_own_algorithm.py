"""The page on writing an algorithm of one's own works when it is followed to the letter."""

import configparser
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "own-algorithm.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def shown(language, number=0):
    return [text for found, text in BLOCKS if found == language][number]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The reader's folder, its entry points declared as an installation declares them."""
    here = tmp_path_factory.mktemp("fedavgm")
    for name, text in [
        ("fedavgm.py", shown("python")),
        ("test_fedavgm.py", shown("python", 1)),
        ("try.yaml", shown("yaml")),
    ]:
        (here / name).write_text(text, encoding="utf-8")
    declare(here, shown("toml"))
    return here


def declare(here, pyproject):
    """Declare a package's entry points as its installation would."""
    project = tomllib.loads(pyproject)["project"]
    installed = here / f"{project['name']}-{project['version']}.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = configparser.ConfigParser()
    points.read_dict(project["entry-points"])
    with (installed / "entry_points.txt").open("w", encoding="utf-8") as stream:
        points.write(stream)


def outcome(folder, *command, code=0):
    """What a command prints there, with the package installed: on standard error too, if it is to fail."""
    done = subprocess.run(
        [Path(sys.executable).with_name(command[0]), *command[1:]],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[1])])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + (done.stderr if code else "")


def test_the_plan_is_the_one_shown(folder):
    assert outcome(folder, "medgossip", "plan", "try.yaml", "--jobs", "1") == shown("")


def test_the_test_shown_passes(folder):
    assert "1 passed" in outcome(folder, "pytest", "-p", "no:cacheprovider", "test_fedavgm.py")


@pytest.mark.slow
def test_without_momentum_it_is_fedavg(folder):
    lines = outcome(folder, "medgossip", "run", "try.yaml", "--jobs", "1", "--store", "store").splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["fedavg"] == rows["fedavgm-momentum0.0"] != rows["fedavgm-momentum0.5"]

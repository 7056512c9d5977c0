"""A study struck at seeded file operations of the command or of its workers, and then resumed: nothing
valid is lost, and the results are those of a study that nobody disturbed."""

import os
import random
import re
from pathlib import Path

import pytest

from simulator.work.blobs import read
from tests.test_end_to_end import write
from tests.test_survival import call, tables

ARMED = Path(__file__).parent / "armed"
TINY = {"dims": 2, "size": "size: 16, slices: 1", "patch": ""}
# the exit codes that each may end with; who is asked to stop at the very end has nothing left to stop
ENDS = {
    "kill": {-9}, "full": {5}, "int": {130, 0}, "int2": {130}, "term": {130, 0}, "flip": {0}, "truncate": {0},
}  # fmt: skip
STRIKES = [
    *[("command", "kill")] * 6,
    *[("worker", "kill")] * 5,
    *[("command", action) for action in ("int", "int", "int2", "term", "term", "full", "flip", "truncate")],
    ("worker", "full"),
]
QUICK = {0, 6, 16}


def points():
    draw = random.Random(6)
    for number, (role, action) in enumerate(STRIKES):
        where = draw.uniform(0.02, 0.98)
        marks = [] if number in QUICK else [pytest.mark.slow]
        yield pytest.param(role, action, where, marks=marks, id=f"{number}-{role}-{action}-{where:.2f}")


def armed(place, role, number, action):
    """The environment of a command that is struck when it uses the folder ``place``, and its counter."""
    counter = place.with_suffix(f".{role}.count")
    text = "\n".join([role, str(number), action, str(place), str(counter)])
    return {**os.environ, "ARMED": text, "PYTHONPATH": str(ARMED)}, counter


def go(path, place, **options):
    code, out, err = call(
        "run", path, "--out", place / "runs", "--store", place / "store", "--jobs", 2, **options
    )
    return code, out + err


def results(place):
    """Every result in the store that can be read, and its file."""
    return {
        path.name: path.stat().st_ino for path in (place / "store").glob("??/*.safetensors") if sound(path)
    }


def sound(path):
    try:
        return bool(read(path))
    except ValueError:
        return False


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The study as it should be, and how many file operations it takes by role."""
    root = tmp_path_factory.mktemp("undisturbed")
    path, counts = write(root, **TINY), {}
    for role in ("command", "worker"):
        place = root / role
        environment, counter = armed(place, role, 0, "count")
        code, told = go(path, place, env=environment)
        assert code == 0, told
        counts[role] = counter.stat().st_size
    assert tables(next((root / "command" / "runs").glob("tiny-*"))) == tables(
        next((root / "worker" / "runs").glob("tiny-*"))
    )
    return path, root / "worker", counts


@pytest.mark.parametrize(("role", "action", "where"), list(points()))
def test_struck_and_resumed_it_is_what_it_would_have_been(undisturbed, tmp_path, role, action, where):
    path, sample, counts = undisturbed
    place = tmp_path / "struck"
    environment, counter = armed(place, role, round(where * counts[role]), action)
    code, told = go(path, place, env=environment)
    assert counter.stat().st_size >= round(where * counts[role]), "it was never struck"
    assert code in ({0} if (role, action) == ("worker", "kill") else ENDS[action]), told
    before = results(place)
    if action not in {"flip", "truncate"}:
        assert len(before) == len(list((place / "store").glob("??/*.safetensors"))), (
            "results are whole or absent"
        )
    found = list((place / "runs").glob("tiny-*"))
    again = call("resume", found[0], "--store", place / "store", "--jobs", 1) if found else go(path, place)
    assert again[0] == 0, again
    (folder,) = (place / "runs").glob("tiny-*")
    assert tables(folder) == tables(next((sample / "runs").glob("tiny-*")))
    after = results(place)
    lost = results(sample).keys() - after.keys()
    assert len(lost) <= (action in {"flip", "truncate"}), "a damaged one that nobody needs again stays so"
    assert after.keys() <= results(sample).keys()
    assert {name: after[name] for name in before} == before, "what was there was neither lost nor done again"
    assert not [one for one in (place / "runs").iterdir() if re.search("partial|lock", one.name)]

"""The folder of a study while it is replaced, by a command that fails or is killed at the worst moment."""

import errno
import os
from pathlib import Path

import pytest

from simulator.errors import SetupError
from simulator.study_folder import alone, replacing, restore


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "study-0123abcd"
    found.mkdir()
    (found / "study.json").write_text("old")
    return found


def replace(folder):
    with replacing(folder) as partial:
        (partial / "study.json").write_text("new")


def content(folder):
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing is left beside it"
    return (folder / "study.json").read_text()


def test_the_new_folder_takes_the_place_of_the_old_one(folder):
    replace(folder)
    assert content(folder) == "new"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_if_that_fails_in_the_middle_the_old_one_stays(folder, monkeypatch, code):
    move = Path.replace

    def fail(path, target):
        if target == folder and not path.name.endswith(".old.partial"):
            raise OSError(code, os.strerror(code))
        return move(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(SetupError if code == errno.ENOSPC else OSError):
        replace(folder)
    assert content(folder) == "old"


def killed_in_the_middle(folder):
    """What a command leaves that was killed when it had moved the old folder, and not yet the new one."""
    for name in ("old", "12ab34cd"):
        (folder.parent / f".{folder.name}.{name}.partial").mkdir()
    folder.replace(folder.parent / f".{folder.name}.old.partial")


def test_after_a_kill_in_the_middle_the_old_one_is_put_back(folder):
    killed_in_the_middle(folder)
    restore(folder)
    assert content(folder) == "old"


def test_while_another_process_has_the_folder_it_is_left_alone(folder):
    with alone(folder):
        killed_in_the_middle(folder)
        restore(folder)
        assert not folder.exists()
    with alone(folder):
        assert (folder / "study.json").read_text() == "old"
    assert content(folder) == "old"

"""What is remembered of files between runs: never more than what their time stamps vouch for."""

import os
import time

import pytest

from simulator.learning.data.disk import Contents


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDGOSSIP_STORE", str(tmp_path / "store"))
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder, b"one")
    return folder


def write(root, content, *, age_s=60):
    (root / "a").write_bytes(content)
    then = time.time() - age_s
    os.utime(root / "a", (then, then))


def ask(root, monkeypatch, *, later_s=60.0):
    """Return the digest of the file, and whether it was read for it."""
    reads = []
    original = Contents._hash
    monkeypatch.setattr(Contents, "_hash", lambda self, path: reads.append(path) or original(self, path))
    now = time.time()
    monkeypatch.setattr("simulator.learning.data.disk.time.time", lambda: now + later_s)
    with Contents(root) as contents:
        found = contents.digest_of(["a"])
    monkeypatch.undo()
    monkeypatch.setenv("MEDGOSSIP_STORE", str(root.parent / "store"))
    return found, bool(reads)


def test_a_file_is_read_once(root, monkeypatch):
    first, was_read = ask(root, monkeypatch)
    assert was_read
    assert ask(root, monkeypatch) == (first, False)
    write(root, b"two")
    second, was_read = ask(root, monkeypatch)
    assert was_read
    assert second != first


def test_a_young_file_is_read_again(root, monkeypatch):
    assert ask(root, monkeypatch, later_s=0)[1]
    assert ask(root, monkeypatch, later_s=0)[1]


def test_a_damaged_memory_is_an_empty_one(root, monkeypatch):
    first, _ = ask(root, monkeypatch)
    (memory,) = (root.parent / "store/files").iterdir()
    memory.write_text("{")
    assert ask(root, monkeypatch) == (first, True)

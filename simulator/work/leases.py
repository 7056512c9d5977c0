"""Leases: what live runs need of a store, so that nobody deletes it under them.

A lease is a locked file with one key a line. Keys are noted before they are looked up, and deleting
waits for those who are just noting: so a result that a run has found stays until the run has ended.
"""

from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex

from simulator.work.locks import Lock, is_held, take_lock


class Lease:
    """The keys that this process needs, until it lets go of them or ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: Lock | None = None
        self._noted: set[str] = set()

    def add(self, keys: Iterable[str]) -> None:
        """Note keys that are needed from now on."""
        new = sorted(set(keys) - self._noted)
        if not new:
            return
        with gate(self._folder):
            if self._lock is None:
                self._lock = take_lock(self._folder / f"{token_hex(8)}.keys")
            self._lock.append("".join(f"{key}\n" for key in new))
        self._noted.update(new)

    def release(self) -> None:
        """Need nothing any more."""
        if self._lock is not None:
            self._lock.release(remove=True)
        self._lock, self._noted = None, set()


def gate(folder: Path) -> Lock:
    """Hold this while noting keys, and while deleting what nobody has noted."""
    return take_lock(folder / "gate")


def leased(folder: Path) -> set[str]:
    """Keys in the leases of live processes; leases of dead ones are deleted."""
    keys: set[str] = set()
    for path in sorted(folder.glob("*.keys")):
        if is_held(path):
            keys.update(path.read_text(encoding="utf-8").split())
        else:
            path.unlink(missing_ok=True)
    return keys

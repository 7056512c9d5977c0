"""The store: every task's result on disk under its key, checked when read.

A result is one file, see :mod:`simulator.work.blobs`, written so that a reader sees all of it or
nothing, also after a power cut. A damaged file is moved to ``quarantine/`` and counts as absent: its
task runs again. Several processes may use one store at a time.
"""

import errno
import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

from simulator.api import Bundle
from simulator.errors import SetupError
from simulator.work.blobs import Damaged, pieces, read
from simulator.work.durable import left_over, sync_folder, write_durably
from simulator.work.leases import Lease, gate, leased
from simulator.work.locks import Lock, is_held, try_lock

SUFFIX = ".safetensors"
LIMIT_NBYTES = 50e9
_FOLDERS = ("quarantine", "leases", "locks")
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What a cleaning of the store kept and deleted, or would delete."""

    num_kept: int
    kept_nbytes: int
    num_old: int
    old_nbytes: int
    damaged: tuple[str, ...]
    damaged_nbytes: int
    num_left: int
    left_nbytes: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Kept:
    """A result on disk: when it was used last (seconds since 1970), its size, its file."""

    used_s: float
    nbytes: int
    path: Path

    @property
    def key(self) -> str:
        """The key of the task."""
        return self.path.name.partition(".")[0]


def default_root() -> Path:
    """Where results are kept unless ``--store`` says otherwise: the user's cache folder."""
    if "MEDGOSSIP_STORE" in os.environ:
        return Path(os.environ["MEDGOSSIP_STORE"])
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "medgossip" / "store"


class Store:
    """Results of tasks by key, shared by all runs and processes of a user."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for name in _FOLDERS:
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"cannot use the store {root}: {error.strerror}; choose one with --store"
            ) from error
        self.lease = Lease(root / "leases")

    def path(self, key: str) -> Path:
        """Where the result of ``key`` lies, or would lie."""
        return self.root / key[:2] / f"{key}{SUFFIX}"

    def __contains__(self, key: str) -> bool:
        """Whether there is a result of ``key``; it counts as used now, so that it stays for a while."""
        return self._touch(self.path(key))

    def _touch(self, path: Path) -> bool:
        """Mark a file as used now; return whether it is there."""
        try:
            os.utime(path)  # the least recently used goes first when the store is full
        except FileNotFoundError:
            return False
        except OSError:  # a store that may only be read
            return path.exists()
        return True

    def _refused(self, error: OSError) -> SetupError:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        remedy = f"{'make room with medgossip gc, or ' if full else ''}choose another with --store"
        return SetupError(f"cannot write to the store {self.root}: {error.strerror}; {remedy}")

    def need(self, keys: Iterable[str]) -> None:
        """Note keys that are needed as long as this process lives, or until :attr:`lease` is let go of.

        Raises:
            SetupError: the disk is full or read-only.
        """
        try:
            self.lease.add(keys)
        except OSError as error:
            raise self._refused(error) from error

    def claim(self, key: str) -> Lock | None:
        """Return the right to compute ``key``, or None while another live process has it.

        Raises:
            SetupError: the disk is full or read-only.
        """
        try:
            return try_lock(self._claim_of(key))
        except OSError as error:
            raise self._refused(error) from error

    def is_claimed(self, key: str) -> bool:
        """Whether a live process has the right to compute ``key``."""
        return is_held(self._claim_of(key))

    def _claim_of(self, key: str) -> Path:
        return self.root / "locks" / key

    def put(self, key: str, bundle: Bundle) -> int:
        """Keep ``bundle`` under ``key``; return its bytes on disk.

        Raises:
            SetupError: the disk is full or read-only; nothing is left half-written.
            ValueError: an array of objects, or more than :meth:`get` would read back.
        """
        path = self.path(key)
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(exist_ok=True)
                sync_folder(self.root)
            return write_durably(path, pieces(bundle))
        except OSError as error:
            raise self._refused(error) from error

    def get(self, key: str) -> Bundle | None:
        """Return what is kept under ``key``, or None if there is nothing that can be read whole."""
        path = self.path(key)
        for _ in range(2):  # another process may just have put a sound file in the place of a damaged one
            try:
                bundle = read(path)
            except FileNotFoundError:
                return None
            except Damaged:
                continue
            self._touch(path)
            return bundle
        with suppress(FileNotFoundError):  # found damaged by another process too, or evicted
            path.replace(self.root / "quarantine" / path.name)
        return None

    def quarantined(self) -> list[str]:
        """Names of the damaged files found so far."""
        return sorted(path.name for path in (self.root / "quarantine").iterdir())

    def kept(self) -> list[Kept]:
        """All results, the least recently used first."""
        return sorted(self._files())

    def _files(self) -> Iterator[Kept]:
        for path in self.root.glob(f"??/*{SUFFIX}*"):  # those of earlier formats too
            try:
                status = path.stat()
            except FileNotFoundError:  # another process evicted it meanwhile
                continue
            yield Kept(used_s=status.st_mtime, nbytes=status.st_size, path=path)

    def clean(
        self, *, older_s: float | None, needed: Collection[str], now_s: float, dry_run: bool
    ) -> Cleaned:
        """Delete damaged and half-written files, and results that were not used for ``older_s``.

        What live runs need stays, and so does what is ``needed``.
        """
        with gate(self.root / "leases"):
            held = leased(self.root / "leases") | set(needed)
            found = self.kept()
            before_s = -inf if older_s is None else now_s - older_s
            old = [one for one in found if one.used_s < before_s and one.key not in held]
            damaged = [self.root / "quarantine" / name for name in self.quarantined()]
            left = list(left_over(self.root))
            locks = [path for path in (self.root / "locks").iterdir() if not is_held(path)]
            sizes = {path: path.stat().st_size for path in [*damaged, *left]}
            if not dry_run:
                for path in [*(one.path for one in old), *sizes, *locks]:
                    path.unlink(missing_ok=True)
        return Cleaned(
            num_kept=len(found) - len(old),
            kept_nbytes=sum(one.nbytes for one in found) - sum(one.nbytes for one in old),
            num_old=len(old),
            old_nbytes=sum(one.nbytes for one in old),
            damaged=tuple(path.name for path in damaged),
            damaged_nbytes=sum(sizes[path] for path in damaged),
            num_left=len(left),
            left_nbytes=sum(sizes[path] for path in left),
        )

    def evict(self, limit_nbytes: float) -> int:
        """Delete the least recently used results until the rest fits; return how many went.

        What live runs need stays, and so does what was used within the last hour.
        """
        with gate(self.root / "leases"):
            found, needed = self.kept(), leased(self.root / "leases")
            total, recent = sum(one.nbytes for one in found), time.time() - _HOUR_S
            count = 0
            for one in found:
                if total <= limit_nbytes or one.used_s > recent:
                    break
                if one.key not in needed:
                    one.path.unlink(missing_ok=True)
                    total -= one.nbytes
                    count += 1
        return count

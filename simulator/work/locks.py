"""Locks between processes that end with their process, however it ends.

Each is an advisory lock of the kernel (``flock``) on an open file: a killed process holds none, and a
file that is left lying means nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from simulator.errors import SetupError

_HELD = {errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN}


class Lock:
    """A lock that is held from :func:`try_lock` or :func:`take_lock` on until released."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor

    def append(self, text: str) -> None:
        """Add ``text`` to the lock's file: a note to those who find it held.

        Raises:
            OSError: the disk is full; some of it may be there.
        """
        view = memoryview(text.encode())
        while view:
            view = view[os.write(self._descriptor, view) :]

    def release(self, *, remove: bool = False) -> None:
        """Let go of the lock, and delete its file if ``remove``."""
        if self._descriptor < 0:
            return
        if remove:
            with suppress(OSError):  # a folder that vanished, or is read-only by now
                self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def try_lock(path: Path) -> Lock | None:
    """Return the lock of ``path``, whose file is made if need be; None while another process has it.

    Raises:
        SetupError: the file system has no locks.
        OSError: the file cannot be opened.
    """
    return _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)


def take_lock(path: Path) -> Lock:
    """Return the lock of ``path``; wait for it as long as another process has it.

    Raises:
        SetupError: the file system has no locks.
        OSError: the file cannot be opened.
    """
    lock = _lock(path, fcntl.LOCK_EX)
    assert lock is not None  # it waited
    return lock


def is_held(path: Path) -> bool:
    """Whether a live process, perhaps this one, holds the lock of ``path``; makes no file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # shared: two that only look find nobody
        return not _flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, path)
    finally:
        os.close(descriptor)


def _lock(path: Path, mode: int) -> Lock | None:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            locked = _flock(descriptor, mode, path)
            if locked and _is_file_of(path, descriptor):
                return Lock(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not locked:
            return None
        # who had the lock deleted its file meanwhile: try again with the one that is there now


def _flock(descriptor: int, mode: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, mode)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise SetupError(
            f"{path.parent}: its file system has no locks ({error.strerror}); choose a folder on another"
        ) from None
    return True


def _is_file_of(path: Path, descriptor: int) -> bool:
    try:
        there, ours = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)

"""Files that are on the disk as a whole or not at all, also after a power cut."""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from simulator.work.locks import is_held, take_lock

_MARK = ".partial"


def write_durably(path: Path, parts: Iterable[bytes | memoryview]) -> int:
    """Write ``parts`` one after another to ``path``, in place of what lies there; return their bytes.

    They go to a hidden file beside it, locked as long as its writer lives, are forced to the disk,
    and then get their name; so is the name itself.

    Raises:
        OSError: the disk is full or read-only; ``path`` is as it was and nothing else is left.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_MARK}")
    lock = take_lock(partial)
    try:
        with partial.open("wb", buffering=0) as file:
            for part in parts:
                _write_all(file.fileno(), memoryview(part))
            nbytes = file.tell()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        lock.release(remove=True)
        raise
    lock.release()
    sync_folder(path.parent)
    return nbytes


def _write_all(descriptor: int, view: memoryview) -> None:
    while view:  # one write takes 2 GiB at most
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def left_over(folder: Path) -> Iterator[Path]:
    """Files that writers which are no more left half-written in a folder, or in those inside it."""
    for path in sorted(folder.rglob(f".*{_MARK}")):
        with suppress(FileNotFoundError):
            if not is_held(path):
                yield path

"""The store: every task's result on disk under its key, checked when read.

A result is one safetensors blob inside one zstd frame with a content checksum, written to a
temporary name and renamed, so a reader sees all of it or nothing. A damaged file is moved to
``quarantine/`` and counts as absent: its task runs again.
"""

import json
import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import zstandard
from safetensors import SafetensorError
from safetensors.numpy import load, save

from simulator.api import Bundle
from simulator.errors import SetupError

SUFFIX = ".safetensors.zst"
_LARGEST_NBYTES = 64 * 2**30  # a frame that claims more is not one of ours


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
            (root / "quarantine").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"cannot use the store {root}: {error.strerror}; choose one with --store"
            ) from error

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

    def put(self, key: str, bundle: Bundle) -> int:
        """Keep ``bundle`` under ``key``; return its bytes on disk.

        Raises:
            SetupError: the disk is full or read-only.
        """
        arrays = {name: np.ascontiguousarray(array) for name, array in bundle.arrays.items()}
        blob = save(arrays, metadata={"meta": json.dumps(bundle.meta)})
        # trained weights hardly compress: level 1 saves 8 % at six times the processor time
        frame = zstandard.ZstdCompressor(level=-1, write_checksum=True).compress(blob)
        path = self.path(key)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(exist_ok=True)
            with partial.open("wb") as file:
                file.write(frame)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise SetupError(f"cannot write to the store {self.root}: {error.strerror}") from error
        return len(frame)

    def get(self, key: str) -> Bundle | None:
        """Return what is kept under ``key``, or None if there is nothing that can be read whole."""
        path = self.path(key)
        try:
            frame = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            if zstandard.frame_content_size(frame) > _LARGEST_NBYTES:
                raise zstandard.ZstdError("larger than any result")
            blob = zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
            # the header of a safetensors blob: its length in 8 bytes, then JSON
            header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
            arrays = load(blob)
        except (zstandard.ZstdError, SafetensorError, ValueError):
            # another process may have found the same damage first, or evicted the file
            with suppress(FileNotFoundError):
                path.replace(self.root / "quarantine" / path.name)
            return None
        self._touch(path)
        return Bundle(arrays=arrays, meta=json.loads(header["__metadata__"]["meta"]))

    def quarantined(self) -> list[str]:
        """Names of the damaged files found so far."""
        return sorted(path.name for path in (self.root / "quarantine").iterdir())

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for path in self.root.glob(f"??/*{SUFFIX}"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process evicted it meanwhile
                continue
            yield status.st_mtime, status.st_size, path

    def evict(self, limit_nbytes: float, *, keep: Collection[str] = ()) -> int:
        """Delete the least recently used results until the rest fits; return how many went.

        Results in ``keep`` and those used within the last hour (perhaps by another live run) stay.
        """
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        kept = {f"{key}{SUFFIX}" for key in keep}
        recent = time.time() - 3600
        count = 0
        for used, size, path in files:
            if total <= limit_nbytes or used > recent:
                break
            if path.name not in kept:
                path.unlink(missing_ok=True)
                total -= size
                count += 1
        return count

"""What the data sets on disk share: finding folders, and naming contents by digest."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from simulator.errors import ScenarioError
from simulator.registry import CaseInfo, Settings
from simulator.work.store import default_root

_SETTLED_S = 5.0  # a file that is younger may change once more without another time stamp


def existing_root(root: Path) -> Path:
    """Return ``root`` if it is a folder.

    Raises:
        ScenarioError: it is not; says which option sets it.
    """
    if not root.is_dir():
        raise ScenarioError(
            f'task.dataset.root: no folder "{root}"; set it with --set task.dataset.root=PATH'
        )
    return root


def visible(folder: Path) -> list[Path]:
    """Return what a folder holds, sorted by name, without hidden entries."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def each_once(sources: Mapping[str, str], what: str) -> None:
    """Check that no two sites read the same cases.

    Args:
        sources: what each site reads, by site, in the scenario's order.
        what: the word for it in the error.

    Raises:
        ScenarioError: two sites do.
    """
    first: dict[str, str] = {}
    for place, (site, source) in enumerate(sources.items()):
        if source in first:
            raise ScenarioError(
                f'sites.{place}: {what} "{source}" is already the data of {first[source]}; '
                "give every site cases of its own"
            )
        first[source] = site


class Contents:
    """What the files below a root hold: digests, and facts that take opening them to know.

    Used as a context it remembers them in the user's cache folder, by path, size and time stamps, so
    that a file is not read again at every start. What is remembered changes no result, only how long
    it takes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        name = hashlib.blake2b(str(root.resolve()).encode(), digest_size=16).hexdigest()
        self._memory = default_root() / "files" / f"{name}.json"
        self._facts: dict[str, dict[str, Any]] = {}
        self._learned = False

    def __enter__(self) -> "Contents":
        # a damaged or missing memory is an empty one
        with suppress(OSError, ValueError):
            self._facts = dict(json.loads(self._memory.read_text(encoding="utf-8")))
        return self

    def __exit__(self, *_: object) -> None:
        if not self._learned:
            return
        partial_file = self._memory.with_suffix(f".{os.getpid()}")
        # a cache folder that cannot be written costs time at the next start, nothing else
        with suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            partial_file.write_text(json.dumps(self._facts), encoding="utf-8")
            partial_file.replace(self._memory)

    def known(self, path: str, what: str, compute: Callable[[], Any]) -> Any:
        """Return a fact about a file that its contents decide, as JSON can hold it.

        Args:
            path: of the file, relative to the root.
            what: names the fact with all that it depends on besides the file.
            compute: finds it out.
        """
        try:
            about = (self.root / path).stat()
        except OSError:
            return compute()
        stamp = [about.st_size, about.st_mtime_ns, about.st_ctime_ns]
        kept = self._facts.get(path)
        if kept is None or kept["stamp"] != stamp:
            kept = {"stamp": stamp}
        if what in kept:
            return kept[what]
        value = compute()
        if time.time() - max(about.st_mtime, about.st_ctime) > _SETTLED_S:
            kept[what] = value
            self._facts[path] = kept
            self._learned = True
        return value

    def digest_of(self, paths: Iterable[str]) -> str:
        """Return a digest of the names and contents of a case's files.

        Raises:
            ScenarioError: a file cannot be read.
        """
        digest = hashlib.blake2b(digest_size=16)
        for path in sorted(paths):
            content = self.known(path, "blake2b", partial(self._hash, path))
            digest.update(f"{path}\x1f{content}\x1f".encode())
        return digest.hexdigest()

    def _hash(self, path: str) -> str:
        try:
            with (self.root / path).open("rb") as file:
                return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        except OSError as error:
            raise ScenarioError(f"{self.root / path}: {error.strerror or error}; make it readable") from error

    @staticmethod
    def fingerprint(
        cases: Iterable[CaseInfo], *settings: Settings, without: Collection[str] = frozenset()
    ) -> str:
        """Return a digest of settings and of the cases' contents; not of where the root lies, nor of settings
        (``without``) that only decide which cases these are.
        """
        digest = hashlib.blake2b(digest_size=16)
        for part in settings:
            digest.update(part.model_dump_json(exclude={"root", *without}).encode() + b"\x1f")
        for case in cases:
            digest.update(f"{case.case}\x1f{case.digest}\x1f".encode())
        return digest.hexdigest()

"""What the data sets on disk share: finding folders, and naming contents by digest."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from simulator.errors import ScenarioError
from simulator.registry import CaseInfo, Settings


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
    """What files below a root hold, by digest; used as a context, which remembers it for next time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __enter__(self) -> "Contents":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def known(self, path: str, what: str, compute: Callable[[], Any]) -> Any:
        """Return a fact about a file that its contents decide."""
        return compute()

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
    def fingerprint(cases: Iterable[CaseInfo], *settings: Settings) -> str:
        """Return a digest of settings and of the cases' contents; not of where the root lies."""
        digest = hashlib.blake2b(digest_size=16)
        for part in settings:
            digest.update(part.model_dump_json(exclude={"root"}).encode() + b"\x1f")
        for case in cases:
            digest.update(f"{case.case}\x1f{case.digest}\x1f".encode())
        return digest.hexdigest()

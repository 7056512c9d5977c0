"""Under what circumstances a run was made: versions, hardware, command."""

import hashlib
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("medgossip", "torch", "monai", "simpy", "numpy", "networkx", "zstandard", "polars", "scipy")

_ORIGINAL: ContextVar[str] = ContextVar("original", default="")


def versions() -> dict[str, str]:
    """Versions of Python and of every package that decides a result."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def source_digest(folders: Iterable[Path]) -> str:
    """A digest of all Python source in some folders."""
    found = hashlib.blake2b(digest_size=20)
    for path in sorted(path for folder in set(folders) for path in folder.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def hardware() -> dict[str, Any]:
    """Processor, cores and system; no host name."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        model = next(names, model)
    except OSError:
        pass  # not Linux
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": cores, "system": f"{platform.system()} {platform.machine()}"}


def command() -> str:
    """The command line, quoted for a shell, without the folder of the program; of a study that is
    resumed, the one that first ran it.
    """
    return _ORIGINAL.get() or shlex.join(["medgossip", *sys.argv[1:]])


@contextmanager
def recorded_as(original: str) -> Iterator[None]:
    """Have :func:`command` say ``original``, unless that is empty."""
    token = _ORIGINAL.set(original)
    try:
        yield
    finally:
        _ORIGINAL.reset(token)

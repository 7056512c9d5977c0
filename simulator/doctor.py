"""What this machine offers, and what medgossip misses on it."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)$")
_MIN_FREE_NBYTES = 1e9
_MIN_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the doctor; ``ok`` is False if something needed is missing."""

    name: str
    ok: bool
    found: str


def checks(store: Path, out: Path) -> list[Check]:
    """Return all checks, for a store and a folder of results."""
    return [
        _python(),
        *_packages(),
        _compiler(),
        _cluster(),
        *_torch(),
        _folder("store", store),
        _folder("results", out),
    ]


def _python() -> Check:
    enough = sys.version_info >= _MIN_PYTHON
    remedy = "" if enough else "; needed is 3.11 or newer"
    return Check(name="Python", ok=enough, found=f"{platform.python_version()}{remedy}")


def _packages() -> Iterator[Check]:
    try:
        wanted = requires("medgossip") or []
    except PackageNotFoundError:
        yield Check(name="medgossip", ok=False, found="not installed; pip install medgossip")
        return
    yield Check(name="medgossip", ok=True, found=version("medgossip"))
    for text in wanted:
        match = _REQUIREMENT.match(text)
        if match is not None:  # the rest are extras
            yield _package(match[1], match[2])


def _package(name: str, least: str) -> Check:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(name=name, ok=False, found=f'missing; pip install "{name}>={least}"')
    enough = _numbers(found) >= _numbers(least)
    remedy = "" if enough else f'; too old, pip install "{name}>={least}"'
    return Check(name=name, ok=enough, found=f"{found}{remedy}")


def _compiler() -> Check:
    """What compiles the network's fair shares, if it is there; results are the same without."""
    try:
        found = f"Numba {version('numba')}"
    except PackageNotFoundError:
        found = 'not there, so large networks are slower; pip install "medgossip[fast]"'
    return Check(name="compiled network", ok=True, found=found)


def _cluster() -> Check:
    """What ``--cluster`` takes."""
    try:
        found = f"Dask {version('distributed')}, dask-jobqueue {version('dask-jobqueue')}"
    except PackageNotFoundError as error:
        found = f'without {error.name}, so no --cluster; pip install "medgossip[cluster]"'
    return Check(name="cluster", ok=True, found=found)


def _numbers(text: str) -> tuple[int, ...]:
    """The release of a version: ``(2, 13, 0)`` of ``2.13.0+cpu``."""
    release = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(int(part) for part in release[0].split(".")) if release else ()


def _torch() -> Iterator[Check]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of the build is missing
        yield Check(name="torch works", ok=False, found=f"{error}; install it again")
        return
    capability = torch.backends.cpu.get_cpu_capability()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = torch.get_num_threads()
    yield Check(name="CPU", ok=True, found=f"{cores} cores, {capability}, torch would use {threads} threads")
    yield Check(name="CPU bf16", ok=True, found="in hardware" if _cpu_bf16() else "not in hardware")
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        names = ", ".join(f"{gpu.name} with {gpu.total_memory / 1e9:.0f} GB" for gpu in gpus)
        bf16 = "in hardware" if torch.cuda.is_bf16_supported(including_emulation=False) else "not in hardware"
        remedy = 'try them once with "pytest -m cuda" in a checkout'
        yield Check(name="CUDA", ok=True, found=f"{torch.version.cuda}: {names}, bf16 {bf16}; {remedy}")
    else:
        yield Check(name="CUDA", ok=True, found="no device; training runs on the CPU")


def _cpu_bf16() -> bool:
    """Whether Linux reports bf16 instructions; other systems do not say."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8", errors="replace") if info.is_file() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _folder(name: str, path: Path) -> Check:
    """A folder, or its nearest existing parent, can be written and has room."""
    parent = next(folder for folder in (path, *path.resolve().parents) if folder.is_dir())
    free = shutil.disk_usage(parent).free
    problems = []
    if not os.access(parent, os.W_OK):
        problems.append("not writable")
    if free < _MIN_FREE_NBYTES:
        problems.append(f"less than {_MIN_FREE_NBYTES / 1e9:.0f} GB free")
    trouble = f"; {', '.join(problems)}, choose another folder" if problems else ""
    return Check(name=name, ok=not problems, found=f"{path}, {free / 1e9:.1f} GB free{trouble}")

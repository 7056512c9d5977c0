"""A study's folder over its life: declared at the start, locked while it runs, complete at the end."""

import errno
import inspect
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from glob import escape
from pathlib import Path
from secrets import token_hex
from time import sleep
from typing import Any

import simulator
from simulator import results
from simulator.errors import SetupError
from simulator.indexing import index_sites
from simulator.record import manifest
from simulator.registry import registry
from simulator.scenario import Point, Study, digest, dump
from simulator.scenario.schema import ScenarioBase
from simulator.work.jobs import digest as digest_of
from simulator.work.locks import is_held, try_lock

_HEX8 = "[0-9a-f]" * 8
_LOOKS = 5  # a look at the lock, as `medgossip status` takes, holds it for an instant


def name_of(study: Study) -> str:
    """The name of a study's folder: equal for equal scenarios under equal labels."""
    return f"{study.name}-{digest_of([digest(point.scenario) for point in study.points])[:8]}"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a study's folder against other processes; put right and delete what killed ones left beside it.

    Raises:
        SetupError: another process runs this study.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_LOOKS):
        lock = try_lock(_lock_of(folder))
        if lock is not None:
            break
        sleep(0.05)
    else:
        raise SetupError(
            f"{folder}: another process runs this study; wait for it, or choose another folder with --out"
        )
    try:
        _put_back(folder)
        for path in folder.parent.glob(f".{escape(folder.name)}.*.partial"):
            shutil.rmtree(path, ignore_errors=True)
        yield
    finally:
        note_of(folder).unlink(missing_ok=True)
        lock.release(remove=True)


def restore(folder: Path) -> None:
    """Put a study's folder back where a process was killed that had just taken it away to replace it."""
    if not folder.exists() and _old_of(folder).exists():
        with suppress(SetupError), alone(folder):  # if a live process has it, that one is about to replace it
            pass


def _put_back(folder: Path) -> None:
    if not folder.exists() and _old_of(folder).exists():
        _old_of(folder).replace(folder)


def _old_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old.partial")


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def note_of(folder: Path) -> Path:
    """Where a live process notes how far the study of this folder is."""
    return folder.with_name(f".{folder.name}.note")


def is_running(folder: Path) -> bool:
    """Whether a live process runs the study of this folder."""
    return is_held(_lock_of(folder))


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give a new folder that takes the place of ``folder`` at the end: no reader sees half of it.

    Raises:
        SetupError: the disk is full; ``folder`` is as it was.
    """
    partial = folder.with_name(f".{folder.name}.{token_hex(4)}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        os.sync()  # else a power cut may leave the new folder's name with empty files
        if folder.exists():
            folder.replace(_old_of(folder))  # free for an instant only
        partial.replace(folder)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise SetupError(
            f"cannot write {folder}: {error.strerror}; make room, the same command goes on from there"
        ) from error
    finally:
        _put_back(folder)
        for path in (partial, _old_of(folder)):
            shutil.rmtree(path, ignore_errors=True)


def declare(folder: Path, study: Study, bases: Sequence[str]) -> None:
    """Write what a study is made of, if it is not there: from then on it can be resumed.

    Runs that are finished in other folders of a study of this name beside it are taken over: so a study
    with one more value, or one less, has what the one before it made.
    """
    if (folder / "study.json").is_file():
        return
    studies = of_this_name(folder, study.name)
    with replacing(folder) as partial:
        results.write_study(partial, study, ())
        for point, basis in zip(study.points, bases, strict=True):
            finished = finished_run(studies, point, basis)
            if finished is not None:
                keep_run(finished, partial / point.label)
                continue
            (partial / point.label).mkdir()
            (partial / point.label / "scenario.yaml").write_text(dump(point.scenario), encoding="utf-8")


def bases(study: Study, modes: Sequence[str]) -> list[str]:
    """A digest per point of all that decides its results: scenario, code, versions, data."""
    prints: dict[str, list[str]] = {}
    found, versions = [], manifest.versions()
    for point, mode in zip(study.points, modes, strict=True):
        scenario = point.scenario
        data = [scenario.task.dataset, *(site.data for site in scenario.sites)]
        what = digest_of([scenario.seed.learning, *(repr(one) for one in data), *_names(scenario)])
        if what not in prints:
            index = index_sites(scenario)
            prints[what] = [index[name].fingerprint for name in sorted(index)]
        code = _code(registry("algorithms")[scenario.algorithm.name].site)
        found.append(digest_of([digest(scenario), mode, code, versions, prints[what]]))
    return found


def _names(scenario: ScenarioBase) -> list[str]:
    return [site.name for site in scenario.sites]


@cache
def _code(role: Any) -> str:
    """A digest of the source of the simulator and of the folder that an algorithm lies in."""
    files = (simulator.__file__, inspect.getsourcefile(role))
    return manifest.source_digest(Path(file).parent for file in files if file)


def is_finished(run: Path, basis: str) -> bool:
    """Whether a run's folder holds its results, and nothing that decides them has changed."""
    about = read_json(run / "manifest.json")
    return about.get("status") == "ok" and about.get("basis") == basis


def of_this_name(folder: Path, name: str) -> list[Path]:
    """The study's folder, then all beside it of studies of this name."""
    return [folder, *sorted(folder.parent.glob(f"{escape(name)}-{_HEX8}"))]


def finished_run(studies: Sequence[Path], point: Point, basis: str) -> Path | None:
    """Where the results of a point lie: in the first of these studies' folders that has them."""
    swept = json.dumps(point.swept, sort_keys=True)
    for study in studies:
        run = study / point.label
        if (
            is_finished(run, basis)
            and json.dumps(read_json(run / "manifest.json").get("swept"), sort_keys=True) == swept
        ):
            return run
    return None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON mapping; empty where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def lines(folder: Path) -> dict[str, Mapping[str, object]]:
    """The row of each run to print, by label, as its study noted it."""
    noted = read_json(folder / "study.json").get("lines", [])
    return {str(line["label"]): line for line in noted if isinstance(line, dict) and "label" in line}


def keep_run(old: Path, new: Path) -> None:
    """Take over a finished run; its files are shared where the file system can."""
    shutil.copytree(old, new, copy_function=_link)


def _link(old: str, new: str) -> None:
    with suppress(OSError):
        Path(new).hardlink_to(old)
        return
    shutil.copy2(old, new)


def states(folder: Path) -> list[dict[str, object]]:
    """One row per run of a study: its results if it has any, else ``running`` or ``unfinished``."""
    noted, rows = lines(folder), []
    without = "running" if is_running(folder) else "unfinished"
    study = read_json(folder / "study.json")
    for label in study.get("points", []):
        about = read_json(folder / label / "manifest.json")
        row: dict[str, object] = {"label": label, "status": about.get("status", without)}
        row["id"] = study.get("ids", {}).get(label)
        rows.append({**noted.get(label, {}), **row})
    return rows

"""Where scenarios come from: a path or a bundled name, and the files that they include."""

import importlib.util
import os
from pathlib import Path, PurePosixPath

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.scenario.locate import Located, container, describe, plain, without_entry
from simulator.scenario.reading import read_file

MAX_FILES = 50
_SUFFIXES = {".yaml", ".yml"}
_FOLDERS = ("", "presets")
"""Where bundled scenarios lie."""


def bundled() -> dict[str, Path]:
    """Return the scenarios that come with medgossip by name, sorted."""
    spec = importlib.util.find_spec("scenarios")
    folders = spec.submodule_search_locations if spec is not None else None
    found = [
        path
        for folder in folders or ()
        for inside in _FOLDERS
        for path in Path(folder, inside).glob("*.yaml")
    ]
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem)}


def find_file(name_or_path: str) -> tuple[Path, str]:
    """Return the scenario's file, and its name as errors show it.

    Raises:
        ScenarioError: neither a file nor a bundled name, with the closest known.
    """
    if not name_or_path:
        raise ScenarioError("the name of the scenario is empty; name a file or a bundled scenario")
    path = Path(name_or_path)
    if path.is_file():
        return path, name_or_path
    if path.is_dir():
        raise ScenarioError(f"{name_or_path}: a folder; name a scenario file in it")
    known = bundled()
    if name_or_path in known:
        return known[name_or_path], _near(known[name_or_path])
    if path.suffix in _SUFFIXES or path.name != name_or_path:
        beside = path.parent.glob("*") if path.parent.is_dir() else ()
        others = [str(other) for other in beside if other.suffix in _SUFFIXES]
        hint = suggest(name_or_path, others) if others else ""
        bundled_hint = f"; {path.stem} is a bundled name" if path.stem in known else ""
        raise ScenarioError(f"{name_or_path}: no such file{bundled_hint or hint}")
    raise ScenarioError(f'no scenario "{name_or_path}"{suggest(name_or_path, list(known))}')


def _near(path: Path) -> str:
    """Return the path from here if that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


def read_scenario(path: Path, shown: str) -> Located:
    """Return a scenario's mapping, the files that it includes merged in.

    ``include: [file, …]`` names files of the scenario's folder; mappings are merged key by key,
    later files win over earlier ones and the including file over all that it includes. A ``sweep`` is
    taken as a whole from the last file that has one.

    Raises:
        ScenarioError: a file that cannot be read, an include from elsewhere or in a circle.
    """
    folder = path.resolve().parent
    return _Includer(folder, Path(shown).parent).read(path.resolve(), shown, ())


class _Includer:
    """Reads a file with its includes; counts them."""

    def __init__(self, folder: Path, shown_folder: Path) -> None:
        self._folder = folder
        self._shown_folder = shown_folder
        self._num_files = 0

    def read(self, path: Path, shown: str, chain: tuple[Path, ...]) -> Located:
        self._num_files += 1
        if self._num_files > MAX_FILES:
            raise ScenarioError(f"{shown}: more than {MAX_FILES} files included; join some of them")
        root = read_file(path, shown, self._folder)
        if not isinstance(root.value, dict):
            found = describe(plain(root))
            raise ScenarioError(f"{root.place}: a scenario is a mapping of keys to values, found {found}")
        includes = root.keys.get("include")
        if includes is None:
            return root
        merged: Located | None = None
        for number, item in enumerate(includes.items or (includes,)):
            where = f"include.{number}" if includes.items else "include"
            target = inside(item, where, self._folder)
            if target in (*chain, path):
                raise ScenarioError(f"{item.place}: {where}: {item.value} includes itself; remove it")
            part = self.read(target, str(self._shown_folder / item.value), (*chain, path))
            merged = part if merged is None else merge(merged, part)
        own = without_entry(root, "include")
        return own if merged is None else merge(merged, own)


def inside(item: Located, where: str, folder: Path) -> Path:
    """Return the path of the file that a value names, which lies in ``folder`` or below.

    Raises:
        ScenarioError: not a name, a file from elsewhere, or none at all.
    """
    start = f"{item.place}: {where}"
    if not isinstance(item.value, str):
        raise ScenarioError(f"{start}: expected a file name, found {describe(plain(item))}")
    name = PurePosixPath(item.value)
    path = (folder / name).resolve()
    if name.is_absolute() or ".." in name.parts or not path.is_relative_to(folder.resolve()):
        raise ScenarioError(f'{start}: "{item.value}" is not inside the scenario\'s folder; move it there')
    if not path.is_file():
        raise ScenarioError(f'{start}: no file "{item.value}" in the scenario\'s folder')
    return path


def merge(base: Located, over: Located) -> Located:
    """Return two mappings merged key by key; anything else, and a sweep, is taken from ``over``."""
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    entries = dict(base.keys)
    for name, child in over.keys.items():
        known = entries.get(name)
        entries[name] = child if known is None or name == "sweep" else merge(known, child)
    return container(entries, over.place, over.key)

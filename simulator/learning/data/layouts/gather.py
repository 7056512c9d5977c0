"""From the names of files to cases, by rules: which names are images, which are labels, of whom."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

_DEEPEST = 6  # folders below the root that are looked into


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One case on disk. ``files`` maps roles to paths relative to the root and holds whatever else
    reading needs; ``split`` is what the data say, if they do.
    """

    center: str
    patient: str
    case: str
    files: Mapping[str, str]
    split: str | None = None


@dataclass(slots=True, kw_only=True)
class Listing:
    """The cases of a data set, and (center, case, reason) of those that cannot be used; center ""
    if it is not known.
    """

    entries: list[Entry] = field(default_factory=list)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Files that a regular expression matches, by path relative to the root, in any case of letters.

    Groups: ``case``; where there are, ``center``, ``patient``, ``split`` and ``channel``, the
    modality of an image (all channels are in one file without it).
    """

    pattern: str
    is_label: bool = False


def rules(*images: str, labels: Sequence[str]) -> tuple[Rule, ...]:
    """Return rules for images and labels; the first one that matches counts."""
    return (
        *(Rule(pattern=pattern, is_label=True) for pattern in labels),
        *(Rule(pattern=pattern) for pattern in images),
    )


def walk(root: Path) -> Iterator[str]:
    """Yield the files below ``root`` as relative paths with slashes, sorted, without hidden ones."""
    for folder, inside, names in os.walk(root, followlinks=True):
        depth = len(Path(folder).relative_to(root).parts)
        inside[:] = sorted(name for name in inside if not name.startswith(".") and depth < _DEEPEST)
        for name in sorted(names):
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(root).as_posix()


def gather(
    root: Path,
    how: Sequence[Rule],
    *,
    channels: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    center: str = "",
) -> Listing:
    """Return the cases that have all their files.

    Args:
        root: the folder of the data set.
        how: the rules.
        channels: the modalities that every case needs, where each has a file of its own.
        names: what rules call a channel (lower case), to its name in ``channels``.
        center: where no rule says it.
    """
    compiled = [(re.compile(rule.pattern, re.IGNORECASE), rule.is_label) for rule in how]
    found: dict[tuple[str, str], Entry] = {}
    listing = Listing()
    for path in walk(root):
        match, is_label = next(((m, lab) for pat, lab in compiled if (m := pat.fullmatch(path))), (None, 0))
        if match is None:
            continue
        groups = match.groupdict()
        role = "label" if is_label else _role(groups.get("channel"), names or {})
        case, of = groups["case"], groups.get("center") or center
        entry = found.setdefault(
            (of, case),
            Entry(center=of, patient=groups.get("patient") or case, case=case, files={}, split=None),
        )
        if role in entry.files:
            reason = f"ambiguous: {entry.files[role]} and {path}"
            listing.skipped.append((of, case, reason))
            continue
        split = groups.get("split")
        found[of, case] = replace(
            entry, files={**entry.files, role: path}, split=split.lower() if split else entry.split
        )
    ambiguous = {(of, case) for of, case, _ in listing.skipped}
    for key, entry in sorted(found.items()):
        if key in ambiguous:
            continue
        reason = _incomplete(entry, channels)
        if reason:
            listing.skipped.append((entry.center, entry.case, reason))
        else:
            listing.entries.append(entry)
    return listing


def _role(channel: str | None, names: Mapping[str, str]) -> str:
    if channel is None:
        return "image"
    return f"image.{names.get(channel.lower(), channel.lower())}"


def _incomplete(entry: Entry, channels: Sequence[str]) -> str:
    """Return what a case lacks, an empty text if nothing."""
    if not any(role.startswith("image") for role in entry.files):
        return "label without image"
    missing = [channel for channel in channels if f"image.{channel}" not in entry.files]
    if missing:
        return f"missing modality {', '.join(missing)}"
    return "" if "label" in entry.files else "image without label"


def unique_names(entries: Sequence[Entry]) -> list[Entry]:
    """Put the center before names of cases and patients if two centers have one in common."""
    found = list(entries)
    for name in ("case", "patient"):
        centers: dict[str, set[str]] = {}
        for entry in found:
            centers.setdefault(getattr(entry, name), set()).add(entry.center)
        if any(len(several) > 1 for several in centers.values()):
            found = [_with_center(one, name) for one in found]
    return found


def _with_center(entry: Entry, name: str) -> Entry:
    longer: dict[str, Any] = {name: f"{entry.center}-{getattr(entry, name)}"}
    return replace(entry, **longer)

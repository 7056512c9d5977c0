"""Images in one folder per site: ``<root>/<site>/{images,masks}/<case>.<ext>``.

PNG, JPEG, TIFF and NIfTI, 2-D images, stacks and volumes, with an optional ``manifest.csv`` that
names patients and splits.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from simulator.errors import BadCase, ScenarioError
from simulator.learning.data import images, manifest
from simulator.learning.data.disk import Contents, each_once, existing_root, visible
from simulator.learning.data.folders_load import image_roles, label_values, load
from simulator.learning.data.folders_settings import FolderPerSite, FolderSite
from simulator.learning.data.layouts.gather import Entry, Listing, unique_names
from simulator.learning.data.layouts.partition import POOLED, assign
from simulator.learning.data.splits import ready_made, split_patients
from simulator.registry import CaseInfo, DataMeta, Dataset, SiteIndex


def describe(settings: FolderPerSite) -> DataMeta:
    """Return channels, structures and shape."""
    return DataMeta(
        channels=settings.channels,
        structures=tuple(settings.structures),
        spatial_dims=settings.dims,
        simulated=False,
        item_shape=settings.shape,
    )


def index(settings: FolderPerSite, sites: Mapping[str, FolderSite], seed: int) -> dict[str, SiteIndex]:
    """List the cases of every site from names and headers. Only a deal by the size of structures opens
    files, their masks; only deals use the seed.

    Raises:
        ScenarioError: missing folders, an empty site, a bad manifest, or too few patients to deal out or
            to split.
    """
    root = existing_root(settings.root)
    table, contents = manifest.read(root, settings.manifest), Contents(root)
    dealt = settings.partition.kind in POOLED
    claims = {name: site.source or name for name, site in sites.items() if site.source or not dealt}
    each_once(claims, "folder")
    folders = {claims[name]: f"sites.{place}" for place, name in enumerate(sites) if name in claims}
    _check_folders(root, folders)
    if dealt:
        rest = [entry.name for entry in visible(root) if (entry / "images").is_dir()]
        folders |= {name: "task.dataset.root" for name in rest if name not in folders}
    listed = {
        source: _list(settings, source, None if table is None else table.get(source, {}), where)
        for source, where in folders.items()
    }
    with contents:
        hands = {name: listed[source].entries for name, source in claims.items()}
        if dealt:
            hands = assign(
                settings.partition,
                sites,
                unique_names([entry for listing in listed.values() for entry in listing.entries]),
                seed=seed,
                where_from=f"folder-per-site under {root}",
                amounts=partial(_amounts, settings, contents),
            )
        skipped = _by_site(listed, claims, list(sites))
        return {
            name: _index_site(settings, site, name, hands[name], skipped[name], f"sites.{place}", contents)
            for place, (name, site) in enumerate(sites.items())
        }


def _check_folders(root: Path, folders: Mapping[str, str]) -> None:
    """Every folder that a site claims exists."""
    for source, where in folders.items():
        if not (root / source).is_dir():
            known = ", ".join(entry.name for entry in visible(root) if entry.is_dir()) or "none"
            raise ScenarioError(
                f'{where}: folder-per-site has no folder "{source}" under {root}; found {known}'
            )


def _by_site(
    listed: Mapping[str, Listing], claims: Mapping[str, str], sites: Sequence[str]
) -> dict[str, list[tuple[str, str]]]:
    """Skipped cases with the site that claims their folder; of pooled folders with the first that does not
    claim any.
    """
    owner = {source: name for name, source in claims.items()}
    first = next((name for name in sites if name not in claims), sites[0])
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in sites}
    for source, listing in listed.items():
        found[owner.get(source, first)] += [(case, reason) for _, case, reason in listing.skipped]
    return found


def _list(
    settings: FolderPerSite, source: str, rows: Mapping[str, manifest.Row] | None, where: str
) -> Listing:
    """The cases in one folder, those that the manifest lists if there is one."""
    skipped: list[tuple[str, str]] = []
    pairs = _listed(_complete(settings, settings.root / source, where, skipped), rows, skipped)
    entries = [
        Entry(
            center=source,
            patient=case if rows is None else rows[case].patient,
            case=case,
            files={role: path.relative_to(settings.root).as_posix() for role, path in files.items()},
            split=None if rows is None else rows[case].split,
        )
        for case, files in sorted(pairs.items())
    ]
    return Listing(entries=entries, skipped=[(source, *one) for one in skipped])


def _index_site(
    settings: FolderPerSite,
    site: FolderSite,
    name: str,
    entries: Sequence[Entry],
    skipped: list[tuple[str, str]],
    where: str,
    contents: Contents,
) -> SiteIndex:
    counts = _count(settings, entries, skipped)
    usable = [entry for entry in entries if entry.case in counts]
    if not usable:
        first = f"; the first of {len(skipped)} skipped: {': '.join(skipped[0])}" if skipped else ""
        folder = contents.root / (site.source or name)
        raise ScenarioError(f"{where}: no case with image and mask in {folder}{first}")
    given = {} if site.test_only else _given_splits(usable, where)
    if given:
        parts = ready_made(given, site=name, settings=settings.split, where=where)
    else:
        patients = [entry.patient for entry in usable]
        parts = split_patients(
            patients, site=name, settings=settings.split, where=where, test_only=site.test_only
        )
    cases = tuple(
        CaseInfo(
            site=name,
            patient=entry.patient,
            case=entry.case,
            split=parts[entry.patient],
            num_items=counts[entry.case],
            files=entry.files,
            digest=contents.digest_of(entry.files.values()),
        )
        for entry in usable
    )
    key = contents.fingerprint(cases, settings, site, without={"partition", "share"})
    return SiteIndex(cases=cases, fingerprint=key, skipped=tuple(skipped))


def _amounts(settings: FolderPerSite, contents: Contents, entry: Entry) -> list[float]:
    """Pixels or voxels of each structure."""

    def measure() -> list[float]:
        try:
            values = label_values(settings, images.read(settings.root / entry.files["label"], mask=True))
        except BadCase:  # it is skipped when it is prepared, whichever site gets it
            return [0.0] * len(settings.structures)
        return [float(np.isin(values, labels).sum()) for labels in settings.structures.values()]

    what = f"pixels {settings.structures} {settings.other_labels} {settings.mask_threshold}"
    found: list[float] = contents.known(entry.files["label"], what, measure)
    return found


def _listed(
    pairs: dict[str, dict[str, Path]],
    rows: Mapping[str, manifest.Row] | None,
    skipped: list[tuple[str, str]],
) -> dict[str, dict[str, Path]]:
    """Return the cases that the manifest lists too, all of them without a manifest."""
    if rows is None:
        return pairs
    incomplete = {case for case, _ in skipped}
    gone = sorted(set(rows) - set(pairs) - incomplete)
    skipped += [(case, "in the manifest but not on disk") for case in gone]
    skipped += [(case, "on disk but not in the manifest") for case in sorted(set(pairs) - set(rows))]
    return {case: files for case, files in pairs.items() if case in rows}


def _given_splits(entries: Sequence[Entry], where: str) -> dict[str, str]:
    """Return the split of each patient from the table; empty if the table has none."""
    given: dict[str, str] = {}
    for entry in entries:
        if entry.split is not None and given.setdefault(entry.patient, entry.split) != entry.split:
            raise ScenarioError(
                f"{where}: patient {entry.patient} is in {given[entry.patient]} and {entry.split}; a patient "
                "has one split"
            )
    return given


def _count(
    settings: FolderPerSite, entries: Sequence[Entry], skipped: list[tuple[str, str]]
) -> dict[str, int]:
    """Return the number of items of every case; those with an unreadable header are skipped."""
    counts = {}
    for entry in entries:
        try:
            label = settings.root / entry.files["label"]
            counts[entry.case] = images.num_slices(label) if settings.dims == 2 else 1
        except BadCase as error:
            skipped.append((entry.case, str(error)))
    return counts


def _complete(
    settings: FolderPerSite, folder: Path, where: str, skipped: list[tuple[str, str]]
) -> dict[str, dict[str, Path]]:
    """Return the files of every case that has all of them: role to path, by case."""
    shown = _by_stem(folder / "images", where, skipped)
    masks = _by_stem(folder / "masks", where, skipped)
    suffix = settings.mask_suffix
    masks = {stem.removesuffix(suffix): path for stem, path in masks.items() if stem.endswith(suffix)}
    cases: dict[str, dict[str, Path]] = {}
    for stem, path in shown.items():
        case, role = _role(settings, stem)
        cases.setdefault(case, {})[role] = path
    ambiguous = {name for name, _ in skipped}
    for case in sorted(set(masks) - set(cases) - ambiguous):
        skipped.append((case, "mask without image"))
    complete = {}
    for case, files in sorted(cases.items()):
        missing = [role for role in image_roles(settings) if role not in files]
        if missing:
            found = f"missing modality {', '.join(role.removeprefix('image.') for role in missing)}"
            skipped.append((case, found))
        elif case not in masks:
            skipped.append((case, "image without mask"))
        else:
            complete[case] = {**files, "label": masks[case]}
    return complete


def _role(settings: FolderPerSite, stem: str) -> tuple[str, str]:
    """Split the stem of an image into its case and what the file is to it."""
    if settings.channel_files:
        # the longest name first: "_t1" must not take what belongs to "_low_t1"
        for channel in sorted(settings.channels, key=len, reverse=True):
            if stem.endswith(f"_{channel}"):
                return stem.removesuffix(f"_{channel}"), f"image.{channel}"
    return stem, "image"


def _by_stem(folder: Path, where: str, skipped: list[tuple[str, str]]) -> dict[str, Path]:
    """Return the files of one folder by name without suffix; unknown and ambiguous ones are skipped."""
    if not folder.is_dir():
        raise ScenarioError(f'{where}: no folder "{folder.name}" in {folder.parent}')
    found: dict[str, list[Path]] = {}
    for path in visible(folder):
        stem, suffix = images.split_suffix(path.name)
        if suffix:
            found.setdefault(stem, []).append(path)
        else:
            skipped.append((path.name, f"not one of {', '.join(images.SUFFIXES)}"))
    for stem, paths in found.items():
        if len(paths) > 1:
            skipped.append((stem, f"ambiguous: {' and '.join(path.name for path in paths)}"))
    return {stem: paths[0] for stem, paths in found.items() if len(paths) == 1}


FOLDER_PER_SITE = Dataset(
    settings=FolderPerSite,
    site_settings=FolderSite,
    describe=describe,
    index=index,
    load=load,
    choosing=frozenset({"root", "manifest", "partition", "split"}),
    summary="your own images: one folder per site with images and masks (PNG, JPEG, TIFF, NIfTI)",
    source="files in task.dataset.root",
)
"""The data set ``folder-per-site``."""

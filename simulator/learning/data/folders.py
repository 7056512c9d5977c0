"""Images in one folder per site: ``<root>/<site>/{images,masks}/<case>.<ext>``.

PNG, JPEG, TIFF and NIfTI, 2-D images, stacks and volumes, with an optional ``manifest.csv`` that
names patients and splits.
"""

from collections.abc import Mapping
from pathlib import Path

from simulator.errors import BadCase, ScenarioError
from simulator.learning.data import images, manifest
from simulator.learning.data.disk import Contents, each_once, existing_root, visible
from simulator.learning.data.folders_load import image_roles, load
from simulator.learning.data.folders_settings import FolderPerSite, FolderSite
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
    """List the cases of every site from names and headers; the seed plays no part.

    Raises:
        ScenarioError: missing folders, an empty site, a bad manifest, or too few patients to split.
    """
    root = existing_root(settings.root)
    table, contents = manifest.read(root, settings.manifest), Contents(root)
    sources = {name: site.source or name for name, site in sites.items()}
    each_once(sources, "folder")
    found = {}
    for place, (name, source) in enumerate(sources.items()):
        folder = root / source
        if not folder.is_dir():
            known = ", ".join(entry.name for entry in visible(root) if entry.is_dir()) or "none"
            raise ScenarioError(
                f'sites.{place}: folder-per-site has no folder "{source}" under {root}; found {known}'
            )
        rows = None if table is None else table.get(source, {})
        with contents:
            found[name] = _index_site(settings, sites[name], name, folder, rows, f"sites.{place}", contents)
    return found


def _index_site(
    settings: FolderPerSite,
    site: FolderSite,
    name: str,
    folder: Path,
    rows: Mapping[str, manifest.Row] | None,
    where: str,
    contents: Contents,
) -> SiteIndex:
    skipped: list[tuple[str, str]] = []
    pairs = _listed(_complete(settings, folder, where, skipped), rows, skipped)
    counts = _count(settings, pairs, folder, skipped)
    if not counts:
        first = f"; the first of {len(skipped)} skipped: {': '.join(skipped[0])}" if skipped else ""
        raise ScenarioError(f"{where}: no case with image and mask in {folder}{first}")
    patients = {case: case if rows is None else rows[case].patient for case in counts}
    given = {} if rows is None or site.test_only else _given_splits(rows, patients, where)
    if given:
        parts = ready_made(given, site=name, settings=settings.split, where=where)
    else:
        parts = split_patients(
            patients.values(), site=name, settings=settings.split, where=where, test_only=site.test_only
        )
    files = {
        case: {role: path.relative_to(settings.root).as_posix() for role, path in pairs[case].items()}
        for case in counts
    }
    cases = tuple(
        CaseInfo(
            site=name,
            patient=patients[case],
            case=case,
            split=parts[patients[case]],
            num_items=count,
            files=files[case],
            digest=contents.digest_of(files[case].values()),
        )
        for case, count in counts.items()
    )
    return SiteIndex(
        cases=cases, fingerprint=contents.fingerprint(cases, settings, site), skipped=tuple(skipped)
    )


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


def _given_splits(
    rows: Mapping[str, manifest.Row], patients: Mapping[str, str], where: str
) -> dict[str, str]:
    """Return the split of each patient from the table; empty if the table has none."""
    given: dict[str, str] = {}
    for case, patient in patients.items():
        split = rows[case].split
        if split is not None and given.setdefault(patient, split) != split:
            raise ScenarioError(
                f"{where}: patient {patient} is in {given[patient]} and {split}; a patient has one split"
            )
    return given


def _count(
    settings: FolderPerSite,
    pairs: Mapping[str, Mapping[str, Path]],
    folder: Path,
    skipped: list[tuple[str, str]],
) -> dict[str, int]:
    """Return the number of items of every case; those with an unreadable header are skipped."""
    counts = {}
    for case, files in sorted(pairs.items()):
        try:
            counts[case] = images.num_slices(files["label"]) if settings.dims == 2 else 1
        except BadCase as error:
            skipped.append((case, str(error)))
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
    choosing=frozenset({"root", "manifest", "split"}),
    summary="your own images: one folder per site with images and masks (PNG, JPEG, TIFF, NIfTI)",
    source="files in task.dataset.root",
)
"""The data set ``folder-per-site``."""

"""From the declaration of a layout to a data set: index, split and load, the same for all layouts."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from simulator.errors import BadCase, ScenarioError
from simulator.learning.data import images
from simulator.learning.data.disk import Contents, existing_root
from simulator.learning.data.layouts import gcml, tables_of_sites
from simulator.learning.data.layouts.gather import Entry, Listing, unique_names
from simulator.learning.data.layouts.gcml import Shares
from simulator.learning.data.layouts.partition import POOLED, assign
from simulator.learning.data.layouts.read import Recode, labels_of, read_case, read_mask
from simulator.learning.data.layouts.settings import ImageSet, ImageSetSite
from simulator.learning.data.layouts.split_lists import listed_splits, names_of, split_of
from simulator.learning.data.splits import ready_made, split_patients
from simulator.registry import CaseInfo, DataMeta, Dataset, SiteIndex

Array = np.ndarray
_CHOOSING = frozenset(
    {"root", "split", "lists", "given_split", "partition", "patient_pattern", "min_pixels", "drop_ends"}
)
_NOT_FILES = {"pick", "frame", "slices", "box"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one family of data sets is laid out.

    Attributes:
        name: of the data set, as scenarios write it.
        expects: the form of its files, for the error where none is found.
        find: lists the cases below a folder, with their centers.
        recode: from stored mask values to labels; None: they are labels.
        align: whether the images of a case may lie on other grids than its label, as PET and CT do.
        complete: fills in what the settings leave to the files, for example the structures that a
            ``dataset.json`` names.
        by_number: whether tables of sites name cases otherwise, with the same last number.
        gcml: the sites of the GCML splits by the names used there.
    """

    name: str
    expects: str
    find: Callable[[Any, Contents], Listing]
    recode: Recode | None = None
    align: bool = False
    complete: Callable[[Any], ImageSet] = lambda settings: settings
    by_number: bool = False
    gcml: Mapping[str, Shares] = field(default_factory=dict)


def declare(layout: Layout, *, settings: type[ImageSet], summary: str, source: str) -> Dataset:
    """Return the data set of a layout."""

    def load(
        given: ImageSet, site: ImageSetSite, case: CaseInfo, seed: int
    ) -> tuple[Array, Array, images.Spacing]:
        return read_case(layout.complete(given), case.files, recode=layout.recode, align=layout.align)

    return Dataset(
        settings=settings,
        site_settings=ImageSetSite,
        describe=lambda given: _describe(layout.complete(given)),
        index=lambda given, sites, seed: _Index(layout, layout.complete(given), sites, seed).sites(),
        load=load,
        choosing=_CHOOSING,
        summary=summary,
        source=source,
    )


def _describe(settings: ImageSet) -> DataMeta:
    return DataMeta(
        channels=settings.channels,
        structures=tuple(settings.structures),
        spatial_dims=settings.dims,
        simulated=False,
        item_shape=settings.shape or settings.crop,
    )


class _Index:
    """The cases of one data set on their way to sites."""

    def __init__(
        self, layout: Layout, settings: ImageSet, sites: Mapping[str, ImageSetSite], seed: int
    ) -> None:
        self.layout, self.settings, self.seed = layout, settings, seed
        self.given = dict(sites)
        if settings.partition.kind == "gcml":
            self.given = gcml.with_centers(layout.name, layout.gcml, sites)
        self.root = existing_root(settings.root)
        self.contents = Contents(self.root)
        self.listed = listed_splits(self.root, settings.lists)

    def sites(self) -> dict[str, SiteIndex]:
        """List the cases of every site.

        Raises:
            ScenarioError: nothing of this layout, no such center, or too few patients to split.
        """
        with self.contents:
            listing = self._listing()
            hands = assign(
                self.settings.partition,
                self.given,
                listing.entries,
                seed=self.seed,
                where_from=f"{self.layout.name} under {self.root}",
                amounts=self._amounts,
            )
            skipped = self._by_site(listing.skipped, hands)
            return {
                name: self._site(name, place, hands[name], skipped[name])
                for place, name in enumerate(self.given)
            }

    def _listing(self) -> Listing:
        listing = self.layout.find(self.settings, self.contents)
        if not listing.entries:
            first = ": ".join(listing.skipped[0][1:]) if listing.skipped else ""
            found = f"; the first of {len(listing.skipped)} skipped: {first}" if first else ""
            raise ScenarioError(
                f'task.dataset.root: no complete case of the form {self.layout.expects} in "{self.root}"'
                f"{found}; set the folder with --set task.dataset.root=PATH"
            )
        if self.settings.partition.kind == "file":
            file = self.root / str(self.settings.partition.file)
            tables_of_sites.place(listing, tables_of_sites.read(file), by_number=self.layout.by_number)
        if self.settings.patient_pattern is not None:
            pattern = re.compile(self.settings.patient_pattern)
            listing.entries = [_with_patient(entry, pattern) for entry in listing.entries]
        unlisted = sorted(set(self.listed) - {name for one in listing.entries for name in names_of(one)})
        listing.skipped += [("", name, "in a list of a split but not on disk") for name in unlisted]
        return Listing(entries=unique_names(listing.entries), skipped=listing.skipped)

    def _by_site(
        self, skipped: Sequence[tuple[str, str, str]], hands: Mapping[str, Sequence[Entry]]
    ) -> dict[str, list[tuple[str, str]]]:
        """Skipped cases with the site that has their center; the first site where none is known."""
        owner = {center: name for name, site in self.given.items() for center in site.centers or (name,)}
        owner |= {entry.center: name for name, entries in hands.items() for entry in entries}
        everything = self.settings.partition.kind in POOLED  # all centers belong to somebody
        first = next(iter(self.given))
        found: dict[str, list[tuple[str, str]]] = {name: [] for name in self.given}
        for center, case, reason in skipped:
            if center in owner or center == "" or everything:
                found[owner.get(center, first)].append((case, reason))
        return found

    def _site(
        self, name: str, place: int, entries: Sequence[Entry], skipped: list[tuple[str, str]]
    ) -> SiteIndex:
        usable: dict[str, tuple[Entry, int]] = {}
        where = f"sites.{place}"
        if self.listed and not self.given[name].test_only:
            entries = self._only_listed(name, entries, skipped, where)
        for entry in sorted(entries, key=lambda entry: entry.case):
            try:
                files, count = self._items(entry)
            except BadCase as error:
                skipped.append((entry.case, str(error.args[0])))
            else:
                usable[entry.case] = replace(entry, files=files), count
        if not usable:
            first = f"; the first of {len(skipped)} skipped: {': '.join(skipped[0])}" if skipped else ""
            raise ScenarioError(f"{where}: {name} has no usable case under {self.root}{first}")
        parts = self._split(name, [entry for entry, _ in usable.values()], where)
        cases = tuple(
            CaseInfo(
                site=name,
                patient=entry.patient,
                case=entry.case,
                split=parts[entry.patient],
                num_items=count,
                files=dict(entry.files),
                digest=self.contents.digest_of(_paths(entry)),
            )
            for entry, count in usable.values()
        )
        key = self.contents.fingerprint(cases, self.settings, self.given[name])
        return SiteIndex(cases=cases, fingerprint=key, skipped=tuple(skipped))

    def _only_listed(
        self, name: str, entries: Sequence[Entry], skipped: list[tuple[str, str]], where: str
    ) -> list[Entry]:
        """Leave out what the lists do not know; public data have a few cases more than published lists."""
        unknown = sorted(entry.case for entry in entries if split_of(entry, self.listed) is None)
        if unknown and self.settings.lists.train is None:
            raise ScenarioError(
                f"{where}: {unknown[0]} of {name} is in no list of task.dataset.lists, and nothing says what "
                "trains; add lists.train"
            )
        skipped += [(case, "in no list of task.dataset.lists") for case in unknown]
        return [entry for entry in entries if entry.case not in unknown]

    def _split(self, name: str, entries: Sequence[Entry], where: str) -> dict[str, Any]:
        patients = [entry.patient for entry in entries]
        settings = self.settings.split
        if self.given[name].test_only:
            return dict.fromkeys(patients, "test")
        if self.listed:
            said = [(entry.patient, str(split_of(entry, self.listed))) for entry in entries]
        elif self.settings.given_split and all(entry.split for entry in entries):
            said = [(entry.patient, str(entry.split)) for entry in entries]
        elif self.settings.partition.kind == "gcml":
            settings = gcml.shares(self.layout.gcml, self.given[name].centers[0], settings)
            return split_patients(patients, site=name, settings=settings, where=where)
        else:
            return split_patients(patients, site=name, settings=settings, where=where)
        given = dict(said)
        torn = next((patient for patient, split in said if given[patient] != split), None)
        if torn is not None:
            raise ScenarioError(
                f"{where}: cases of {torn} of {name} are in different splits; put all cases of a patient "
                "in one"
            )
        return ready_made(given, site=name, settings=settings, where=where)

    def _items(self, entry: Entry) -> tuple[dict[str, str], int]:
        """What one epoch draws from a case, and its files with the slices to keep."""
        files = dict(entry.files)
        if self.settings.dims == 3:
            return files, 1
        if not (self.settings.min_pixels or self.settings.drop_ends):
            return files, images.num_slices(self.root / files["label"])
        how = [
            self.settings.structures,
            self.settings.min_pixels,
            self.settings.drop_ends,
            files.get("frame"),
        ]
        kept = self.contents.known(files["label"], f"slices {how}", lambda: self._kept(files))
        if not kept:
            raise BadCase(f"no slice with {self.settings.min_pixels} labeled pixels")
        return {**files, "slices": " ".join(map(str, kept))}, len(kept)

    def _kept(self, files: Mapping[str, str]) -> list[int]:
        """Numbers of the slices with enough labeled pixels."""
        labels = labels_of(self.settings, read_mask(self.root, files), self.layout.recode)
        wanted = sorted({value for values in self.settings.structures.values() for value in values})
        pixels = np.isin(labels, wanted).sum(axis=(1, 2))
        kept = [int(number) for number in np.flatnonzero(pixels >= max(self.settings.min_pixels, 1))]
        return kept[1:-1] if self.settings.drop_ends else kept

    def _amounts(self, entry: Entry) -> list[float]:
        """The volume of each structure in mm³, in pixels where the files have no spacing."""
        what = f"volumes {self.settings.structures} {entry.files.get('frame')}"
        found: list[float] = self.contents.known(entry.files["label"], what, lambda: self._measure(entry))
        return found

    def _measure(self, entry: Entry) -> list[float]:
        try:
            mask = read_mask(self.root, entry.files)
            labels = labels_of(self.settings, mask, self.layout.recode)
        except BadCase:  # it is skipped when it is prepared, whichever site gets it
            return [0.0] * len(self.settings.structures)
        voxel = float(np.prod(mask.spacing_mm or (1.0, 1.0, 1.0)))
        return [float(np.isin(labels, one).sum()) * voxel for one in self.settings.structures.values()]


def _with_patient(entry: Entry, pattern: re.Pattern[str]) -> Entry:
    match = pattern.search(next(iter(_paths(entry))))
    return entry if match is None else replace(entry, patient=match["patient"])


def _paths(entry: Entry) -> list[str]:
    """The paths among what an entry holds, images first."""
    return [path for role, path in sorted(entry.files.items()) if role not in _NOT_FILES]

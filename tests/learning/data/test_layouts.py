"""Every public layout, on tiny files written the way its publishers do."""

import pytest

from simulator.learning.prepare import check_case
from simulator.registry import registry
from tests.learning.data import layout_trees as trees


def settings_of(name, root, **more):
    return registry("datasets")[name].settings.model_validate({"name": name, "root": root, **more})


def sites_of(name, *, test_only=(), **centers):
    model = registry("datasets")[name].site_settings
    return {
        site: model.model_validate({"center": center, "test_only": site in test_only})
        for site, center in centers.items()
    }


def index(settings, sites, seed=1):
    return registry("datasets")[settings.name].index(settings, sites, seed)


def load(settings, case):
    entry = registry("datasets")[settings.name]
    arrays = entry.load(settings, entry.site_settings(), case, 1)
    check_case(entry.describe(settings), case, *arrays)
    return arrays


LAYOUTS = {
    "brats2021": (lambda root: trees.brats(root, "BraTS2021"), {}, ("4", 5), 3, 3),
    "fets2022": (trees.brats, {}, ("4", "5"), 3, 3),
    "hecktor": (trees.hecktor, {}, ("CHUM", "CHGJ"), 3, 1),
    "hecktor-2022": (trees.hecktor2022, {}, ("CHUM", "MDA"), 3, 2),
    "panseg": (trees.panseg, {}, ("NYU", "NWU"), 3, 1),
    "panseg-plain": (lambda root: trees.panseg(root, ""), {}, ("NYU", "NWU"), 3, 1),
    "msd": (trees.msd, {"center_pattern": r"_00(?P<center>\d)"}, (tuple("012"), ("3", "4", "5")), 3, 2),
    "msd-2": (lambda root: trees.msd(root / "Dataset001_X", version=2, channels=2), {}, ("all", None), 6, 2),
    "lits": (trees.lits, {}, ("C1", "C2"), 3, 2),
    "lits-slices": (
        trees.lits_slices,
        {"structures": {"tumor": [1]}, "mask_threshold": 127, "window": {}}, ("C1", "C2"), 6, 1,
    ),
    "polypgen": (trees.polypgen, {}, ("C1", "C6"), 3, 1),
    "prostate": (trees.prostate, {}, ("RUNMC", "BMC"), 3, 1),
    "prostate-fedsm": (trees.prostate_fedsm, {}, ("I2CVB", "Promise12"), 3, 1),
    "riga": (trees.riga, {}, ("BinRushed", "MESSIDOR_Base1"), 3, 2),
    "fundus": (trees.fundus, {}, ("Domain1", "Domain2"), 4, 2),
    "mnms": (trees.mnms, {}, ("1", 2), 6, 3),
    "mnms-published": (lambda root: trees.mnms(root, published=True), {}, ("1", 2), 6, 3),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cases_of_every_layout_load(tmp_path, layout):
    write, more, centers, num_cases, num_structures = LAYOUTS[layout]
    write(tmp_path)
    settings = settings_of(layout.split("-")[0], tmp_path, **more)
    named = {f"s{i}": center for i, center in enumerate(centers) if center is not None}
    found = index(settings, sites_of(settings.name, **named))
    assert len(found["s0"].cases) == num_cases
    assert all(site.skipped == () for site in found.values() if layout != "msd")
    for site in found.values():
        assert {case.split for case in site.cases} == {"train", "val", "test"} or len(site.cases) < 3
        for case in site.cases:
            image, label, _ = load(settings, case)
            assert len(label) == num_structures
            assert label.reshape(num_structures, -1).any(axis=1).all()
            assert image.std() > 0

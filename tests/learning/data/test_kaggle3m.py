from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile

from simulator.errors import BadCase, ScenarioError
from simulator.learning.data.brainsim import BRAINSIM
from simulator.learning.data.brainsim_settings import BrainSim, BrainSimSite
from simulator.learning.data.kaggle3m import KAGGLE_3M, Kaggle3M, Kaggle3MSite
from tests.learning.data.trees import eight_bit, write_tree

SHARED = Path(__file__).parents[3] / "../shared/data/lgg5"
MADE = BrainSim(name="brainsim", size=24, slices=6)
HOSPITALS = {"CS": BrainSimSite(cases=4), "EZ": BrainSimSite(cases=1, test_only=True)}
SITES = {"CS": Kaggle3MSite(), "unseen": Kaggle3MSite(hospital="EZ", test_only=True)}


@pytest.fixture
def tree(tmp_path):
    write_tree(tmp_path / "kaggle_3m", "kaggle-3m", MADE, HOSPITALS)
    (tmp_path / "kaggle_3m/data.csv").write_text("Patient\n")
    return tmp_path


def settings_of(root, **more):
    return Kaggle3M.model_validate({"name": "kaggle-3m", "root": root, **more})


def index(settings, sites=SITES):
    return KAGGLE_3M.index(settings, sites, 1)


def load(settings, case):
    return KAGGLE_3M.load(settings, SITES["CS"], case, 1)


def test_cases_come_back_with_slices_in_numeric_order(tree):
    settings = settings_of(tree)
    found = index(settings)
    assert Counter(case.split for case in found["CS"].cases) == {"train": 2, "val": 1, "test": 1}
    assert [case.split for case in found["unseen"].cases] == ["test"]
    originals = BRAINSIM.index(MADE, HOSPITALS, 1)["CS"].cases
    for case, original in zip(found["CS"].cases, originals, strict=True):
        image, label, spacing_mm = load(settings, case)
        expected = BRAINSIM.load(MADE, HOSPITALS["CS"], original, 1)
        assert case.files["slices"] == "1 3 5 7 9 11"
        assert case.num_items == 6
        assert np.array_equal(image, eight_bit(expected[0]))
        assert np.array_equal(label[0], expected[1][0])
        assert spacing_mm == (1.0, 1.0, 1.0)


def test_the_inner_folder_is_a_root_too(tree):
    assert index(settings_of(tree / "kaggle_3m")) == index(settings_of(tree))


def test_scans_of_one_patient_stay_together(tree):
    root = tree / "kaggle_3m"
    for number in range(4):
        first = root / f"TCGA_CS_{number:04d}_20000101"
        second = root / f"TCGA_CS_{number:04d}_20010101"
        second.mkdir()
        for path in first.iterdir():
            (second / path.name.replace("20000101", "20010101")).write_bytes(path.read_bytes())
    split_of = {}
    cases = index(settings_of(tree))["CS"].cases
    assert len(cases) == 8
    for case in cases:
        assert split_of.setdefault(case.patient, case.split) == case.split
    assert len(split_of) == 4


def test_size_and_spacing(tree):
    settings = settings_of(tree, size=16, pixel_size="2 mm", slice_spacing="5 mm")
    image, label, spacing_mm = load(settings, index(settings)["CS"].cases[0])
    assert image.shape == (3, 6, 16, 16)
    assert label.shape == (1, 6, 16, 16)
    assert set(np.unique(label)) <= {0, 1}
    assert spacing_mm == (5.0, 3.0, 3.0)
    assert KAGGLE_3M.describe(settings).item_shape == (16, 16)


def test_slices_without_partner_are_listed(tree):
    folder = tree / "kaggle_3m/TCGA_CS_0000_20000101"
    (folder / f"{folder.name}_3_mask.tif").unlink()
    (folder / f"{folder.name}_11.tif").unlink()
    (tree / "kaggle_3m/TCGA_CS_9999_20000101").mkdir()
    found = index(settings_of(tree))["CS"]
    assert found.skipped == (
        (f"{folder.name}_3", "image without mask"),
        (f"{folder.name}_11", "mask without image"),
        ("TCGA_CS_9999_20000101", "no slices"),
    )
    assert found.cases[0].files["slices"] == "1 5 7 9"
    assert found.cases[0].num_items == 4


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("3", np.zeros((24, 24), np.uint8), r"^slice 3 has 1 channels, expected pre, flair, post$"),
        (
            "3",
            np.zeros((20, 24, 3), np.uint8),
            r"^slice 3: mask has shape \(1, 24, 24\), image \(1, 20, 24\)$",
        ),
        (
            "3_mask",
            np.full((24, 24), 9, np.uint8),
            r"^slice 3: the mask has the value 9, expected 0 and 255$",
        ),
        ("3", b"MM\0", r"_3.tif cannot be read: "),
        ("3", None, r"^no file TCGA_CS_0000_20000101_3.tif$"),
    ],
)
def test_a_broken_slice_is_a_bad_case(tree, name, values, message):
    settings = settings_of(tree)
    case = index(settings)["CS"].cases[0]
    path = tree / "kaggle_3m" / case.case / f"{case.case}_{name}.tif"
    if values is None:
        path.unlink()
    elif isinstance(values, bytes):
        path.write_bytes(values)
    else:
        tifffile.imwrite(path, values)
    with pytest.raises(BadCase, match=message):
        load(settings, case)


def error_of(settings, sites):
    with pytest.raises(ScenarioError) as error:
        index(settings, sites)
    return str(error.value)


def test_errors_of_the_index(tree, tmp_path_factory):
    gone = tree / "gone"
    assert error_of(settings_of(gone), SITES) == (
        f'task.dataset.root: no folder "{gone}"; set it with --set task.dataset.root=PATH'
    )
    assert error_of(settings_of(tree), {**SITES, "XX": Kaggle3MSite()}) == (
        f'sites.2: kaggle-3m has no hospital "XX" under {tree / "kaggle_3m"}; found CS, EZ; '
        "write data: {hospital: …} for XX"
    )
    assert error_of(settings_of(tree), {**SITES, "again": Kaggle3MSite(hospital="CS")}) == (
        'sites.2: hospital "CS" is already the data of CS; give every site cases of its own'
    )
    assert error_of(settings_of(tree), {"EZ": Kaggle3MSite()}) == (
        "sites.0: EZ has 1 patient, too few for 3 splits; leave the site out or give it test_only: true"
    )
    empty = tmp_path_factory.mktemp("empty")
    assert error_of(settings_of(empty), SITES) == (
        f'task.dataset.root: no folder TCGA_<hospital>_<patient>_<date> in "{empty}"; '
        "set it with --set task.dataset.root=PATH"
    )


def test_fingerprint_follows_contents(tree):
    before = index(settings_of(tree))
    path = next((tree / "kaggle_3m/TCGA_CS_0000_20000101").glob("*_mask.tif"))
    tifffile.imwrite(path, np.zeros((24, 24), np.uint8))
    after = index(settings_of(tree))
    assert before["CS"].fingerprint != after["CS"].fingerprint
    assert before["unseen"].fingerprint == after["unseen"].fingerprint


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared lgg5 images")
def test_lgg5():
    sites = {name: Kaggle3MSite(test_only=name == "EZ") for name in ("CS", "DU", "EZ", "FG", "HT")}
    settings = settings_of(SHARED, size=96)
    found = index(settings, sites)
    assert {name: len({case.patient for case in site.cases}) for name, site in found.items()} == {
        "CS": 14, "DU": 43, "EZ": 1, "FG": 12, "HT": 32,
    }  # fmt: skip
    assert sum(site.num_items(part) for site in found.values() for part in ("train", "val", "test")) == 1222
    assert all(site.skipped == () for site in found.values())
    image, label, _ = load(settings, found["EZ"].cases[0])
    assert image.shape == (3, 9, 96, 96)
    assert label.any(axis=(0, 2, 3)).sum() == 6


def test_patients_of_all_hospitals_are_dealt_out_by_the_size_of_their_tumors(tmp_path):
    hospitals = {"CS": BrainSimSite(cases=8), "HT": BrainSimSite(cases=8)} | {"EZ": HOSPITALS["EZ"]}
    write_tree(tmp_path / "kaggle_3m", "kaggle-3m", MADE, hospitals)
    sites = {"north": Kaggle3MSite(), "south": Kaggle3MSite(), "unseen": SITES["unseen"]}
    least = {"alpha": 0.05, "min_patients": 4}
    found = index(settings_of(tmp_path, partition={"kind": "dirichlet", "bins": 2, **least}), sites)
    dealt = {name: {case.patient for case in found[name].cases} for name in ("north", "south")}
    assert not dealt["north"] & dealt["south"]
    assert len(dealt["north"] | dealt["south"]) == 16
    assert [case.split for case in found["unseen"].cases] == ["test"]

    def mean_size(name):
        settings = settings_of(tmp_path)
        return np.mean([load(settings, case)[1].sum() for case in found[name].cases])

    sizes = sorted(mean_size(name) for name in dealt)
    assert sizes[1] > 1.3 * sizes[0]
    natural = index(settings_of(tmp_path), {"CS": Kaggle3MSite()})["CS"].cases
    assert {"CS"} == {case.case.split("_")[1] for case in natural}
    with pytest.raises(ScenarioError, match=r"sites\.1\.data\.share: kind is iid"):
        index(settings_of(tmp_path, partition={"kind": "iid"}), {**sites, "south": Kaggle3MSite(share=2)})

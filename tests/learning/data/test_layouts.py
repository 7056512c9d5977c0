"""Every public layout, on tiny files written the way its publishers do."""

import json
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import BadCase, ScenarioError
from simulator.learning.data.layouts.brats import GCML
from simulator.learning.data.layouts.nnunet import PANSEG_GCML
from simulator.learning.prepare import check_case
from simulator.registry import registry
from tests.learning.data import layout_trees as trees

SPLITS = Path(__file__).parents[2] / "vectors/gcml_site_splits.json"
HIPPOCAMPUS = Path(__file__).parents[3] / "../shared/data/hippocampus_msd"


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


def test_a_case_reads_as_it_was_written(tmp_path):
    trees.brats(tmp_path)
    settings = settings_of("fets2022", tmp_path, channels=["flair", "t1"])
    found = index(settings, sites_of("fets2022", s="4"))
    for case in found["s"].cases:
        image, label, spacing_mm = load(settings, case)
        number = int(case.case[-1])
        assert np.array_equal(image[0], trees.volume(10 * number + 3))
        assert np.array_equal(image[1], trees.volume(10 * number))
        stored = trees.label((1, 2, 4))
        assert np.array_equal(label, np.stack([stored > 0, np.isin(stored, (1, 4)), stored == 4]))
        assert spacing_mm == (2.0, 1.0, 1.0)


def test_spacing_crop_and_slices(tmp_path):
    trees.prostate(tmp_path)
    sites = sites_of("prostate", s="BMC")
    settings = settings_of(
        "prostate", tmp_path, target_spacing=["1 mm", "2 mm", "2 mm"], crop=[8, 4], min_pixels=1
    )
    (case, *_) = index(settings, sites)["s"].cases
    image, label, spacing_mm = load(settings, case)
    assert image.shape == (1, 3, 8, 4)
    assert spacing_mm == (2.0, 2.0, 2.0), "slices stay, rows and columns are resampled"
    assert (case.num_items, case.files["slices"]) == (3, "1 2 3")
    assert not image[0, :, 0].any(), "six rows are padded to eight"
    settings = settings_of("prostate", tmp_path, drop_ends=True)
    assert [one.num_items for one in index(settings, sites)["s"].cases] == [1, 1, 1]
    settings = settings_of("prostate", tmp_path, dims=3, target_spacing=["1 mm", "1 mm", "1 mm"])
    image, label, spacing_mm = load(settings, index(settings, sites)["s"].cases[0])
    assert (image.shape, spacing_mm) == ((1, 8, 12, 10), (1.0, 1.0, 1.0))
    assert 2 * trees.label((1, 2)).astype(bool).sum() == label.sum()


def test_boxes_count_to_the_left_and_back(tmp_path):
    trees.hecktor(tmp_path)
    settings = settings_of("hecktor", tmp_path, window={})
    case = index(settings, sites_of("hecktor", s="CHUM"))["s"].cases[0]
    image, label, spacing_mm = load(settings, case)
    # x -9 … -1 and y -11 … -1 to the left and back are 1 … 9 and 1 … 11 of NIfTI, z in halves of a slice
    stored = trees.volume(int(case.case[-1]) - 1)
    assert (image.shape, spacing_mm) == ((2, 6, 10, 8), (1.0, 1.0, 1.0))
    np.testing.assert_allclose(image[0, ::2], stored[:3, 2:12, 2:10], rtol=1e-4)
    assert np.array_equal(label[0, 2], trees.label()[1, 2:12, 2:10])
    rows = "\n".join(f"CHUM00{number},1,9,1,11,0,6" for number in (1, 2, 3))
    (tmp_path / "bbox.csv").write_text(f"PatientID,x1,x2,y1,y2,z1,z2\n{rows}\n")
    case = index(settings, sites_of("hecktor", s="CHUM"))["s"].cases[0]
    with pytest.raises(BadCase, match=r"lies outside the images; boxes count in mm to the left, back and up"):
        load(settings, case)


def test_intensity_windows_and_percentiles(tmp_path):
    trees.lits(tmp_path)
    settings = settings_of("lits", tmp_path, dims=3)
    image, *_ = load(settings, index(settings, sites_of("lits", s="C1"))["s"].cases[0])
    stored = trees.volume(0) - 300
    np.testing.assert_allclose(image[0], (np.clip(stored, -200, 200) + 200) / 400, atol=1e-6)
    trees.panseg(tmp_path / "p")
    settings = settings_of("panseg", tmp_path / "p", percentiles=[10, 90])
    image, *_ = load(settings, index(settings, sites_of("panseg", s="NYU"))["s"].cases[0])
    inside = trees.volume(0)[trees.volume(0) > 0]
    assert image[image > 0].max() <= np.percentile(trees.volume(2)[trees.volume(2) > 0], 90)
    assert image[image > 0].min() >= np.percentile(inside, 10)


def test_the_sites_and_shares_of_gcml(tmp_path):
    expected = json.loads(SPLITS.read_text())["expected"]
    for name, key, table in (("fets2022", "brats21", GCML), ("panseg", "panseg_t1", PANSEG_GCML)):
        sites = expected[key]["sites"]
        assert {s: {"train": p.train, "val": p.val, "test": p.test} for s, p in table.items()} == sites, name
    trees.brats(tmp_path, centers=["4"] * 47 + ["7"] * 12)
    settings = settings_of("fets2022", tmp_path, partition={"kind": "gcml"})
    model = registry("datasets")["fets2022"].site_settings
    found = index(settings, {"site1": model(), "other": model(center=7)})
    for name, site in (("site1", "site1"), ("other", "site4")):
        counts = {split: found[name].count(split) for split in ("train", "val", "test")}
        assert counts == expected["brats21"]["sites"][site]
    with pytest.raises(
        ScenarioError, match=r"^sites.0.name: x is no site of the GCML split; there are site1"
    ):
        index(settings, {"x": model()})


def test_lists_decide_the_split(tmp_path):
    trees.panseg(tmp_path)
    folds = [{"train": [], "val": []}, {"train": ["NYU_0003"], "val": ["NYU_0001"]}]
    (tmp_path / "folds.json").write_text(json.dumps(folds))
    (tmp_path / "test.csv").write_text("NYU_0002.nii.gz\nNYU_0009\n")
    lists = {"train": "folds.json", "test": "test.csv", "fold": 1}
    found = index(settings_of("panseg", tmp_path, lists=lists), sites_of("panseg", s="NYU"))["s"]
    assert [case.split for case in found.cases] == ["val", "test", "train"]
    assert found.skipped == (("NYU_0009", "in a list of a split but not on disk"),)
    for more, message in (
        ({"fold": 2}, "has 2 folds, so fold is below 2"),
        ({"val": "test.csv", "test": "test.csv"}, "NYU_0002 is listed for val and for test; keep one"),
        ({"train": None}, "NYU_0001 of s is in no list of .*; add lists.train"),
        ({"test": "gone.csv"}, "task.dataset.lists.test: no file"),
    ):
        with pytest.raises(ScenarioError, match=message):
            index(settings_of("panseg", tmp_path, lists=lists | more), sites_of("panseg", s="NYU"))
    fewer = settings_of("panseg", tmp_path, lists=lists | {"test": None})
    assert index(fewer, sites_of("panseg", s="NYU"))["s"].skipped == (
        ("NYU_0002", "in no list of task.dataset.lists"),
    ), "the public data have more cases than the authors' lists"


def test_data_lists_of_each_site_decide_the_split(tmp_path):
    """As MONAI and NVFlare write them; names that two sites share are told apart by their folders."""
    trees.prostate_fedsm(tmp_path)
    for place, site in enumerate(("I2CVB", "Promise12")):
        labels = sorted(path.name for path in (tmp_path / "dataset" / site / "Mask").iterdir())
        labels = labels[place:] + labels[:place]
        parts = zip(("training", "validation", "testing"), labels, strict=True)
        listed = {
            part: [{"image": f"{site}/Image/{one}", "label": f"{site}/Mask/{one}"}] for part, one in parts
        }
        (tmp_path / f"client_{site}.json").write_text(json.dumps(listed))
    lists = {"train": ["client_I2CVB.json", "client_Promise12.json"]}
    found = index(
        settings_of("prostate", tmp_path, lists=lists), sites_of("prostate", a="I2CVB", b="Promise12")
    )
    assert [case.split for case in found["a"].cases] == ["train", "val", "test"]
    assert [case.split for case in found["b"].cases] == ["test", "train", "val"]
    assert all(not site.skipped for site in found.values())
    (tmp_path / "client_I2CVB.json").write_text('{"train": []}')
    with pytest.raises(ScenarioError, match="nor a data list with training"):
        index(settings_of("prostate", tmp_path, lists=lists), sites_of("prostate", a="I2CVB"))


def test_a_patient_is_in_one_split(tmp_path):
    trees.panseg(tmp_path)
    (tmp_path / "train.csv").write_text("NYU_0001\nNYU_0003\n")
    (tmp_path / "test.csv").write_text("NYU_0002\n")
    lists = {"train": "train.csv", "test": "test.csv"}
    settings = settings_of("panseg", tmp_path, lists=lists, patient_pattern=r"(?P<patient>NYU)_")
    message = "sites.0: cases of NYU of s are in different splits; put all cases of a patient in one"
    assert error_of(settings, sites_of("panseg", s="NYU")) == message


def test_tables_of_sites_and_patients(tmp_path):
    trees.msd(tmp_path)
    rows = [f"liver_{n:03d};{'a' if n < 3 else 'b'};{'test' if n == 1 else 'Train'}" for n in range(5)]
    (tmp_path / "who.csv").write_text("Case name;Hospital;Split\n" + "\n".join([*rows, "liver_777;a;train"]))
    partition = {"kind": "file", "file": "who.csv"}
    found = index(
        settings_of("msd", tmp_path, partition=partition, split={"val": 0}), sites_of("msd", a="a", b="b")
    )
    assert {name: len(site.cases) for name, site in found.items()} == {"a": 3, "b": 2}
    assert [case.split for case in found["a"].cases] == ["train", "test", "train"]
    assert ("liver_777", "in the table of sites but not on disk") in found["a"].skipped
    assert ("liver_005", "on disk but not in the table of sites") in found["a"].skipped
    trees.polypgen(tmp_path / "p")
    settings = settings_of("polypgen", tmp_path / "p", patient_pattern=r"/(?P<patient>p\d)_")
    found = index(settings, sites_of("polypgen", s="C6"))["s"]
    assert [case.patient for case in found.cases] == ["C6-p0", "C6-p1", "C6-p2"], "C1 has a p0 too"


def error_of(settings, sites):
    with pytest.raises(ScenarioError) as error:
        index(settings, sites)
    return str(error.value)


def test_errors_name_place_finding_and_remedy(tmp_path):
    trees.brats(tmp_path)
    settings = settings_of("fets2022", tmp_path)
    assert error_of(settings, sites_of("fets2022", s="9")) == (
        f'sites.0.data.center: fets2022 under {tmp_path} has no center "9"; found 4 (3), 5 (3); '
        "write data: {center: …} for s"
    )
    assert error_of(settings, sites_of("fets2022", s="4", t=("5", "4"))) == (
        'sites.1: center "4" is already the data of s; give every site cases of its own'
    )
    (tmp_path / "empty").mkdir()
    assert error_of(settings_of("lits", tmp_path / "empty"), sites_of("lits", s="C1")) == (
        "task.dataset.root: no complete case of the form volume-<n>.nii with segmentation-<n>.nii in "
        f'"{tmp_path / "empty"}"; set the folder with --set task.dataset.root=PATH'
    )
    (tmp_path / "partitioning_1.csv").write_text("Partition_ID,Name\n4,FeTS2022_00000\n")
    assert error_of(settings, sites_of("fets2022", s="4")).endswith(
        "no column named like subject or case or patient or image or external code or file or id; "
        "found Partition_ID, Name"
    )
    (tmp_path / "partitioning_1.csv").unlink()
    assert "no partitioning_1.csv under" in error_of(settings, sites_of("fets2022", s="4"))


def test_cases_that_cannot_be_used_say_why(tmp_path):
    trees.brats(tmp_path)
    (tmp_path / "FeTS2022_00000/FeTS2022_00000_t1.nii.gz").unlink()
    (tmp_path / "FeTS2022_00001/FeTS2022_00001_seg.nii.gz").unlink()
    settings = settings_of("fets2022", tmp_path, split={"val": 0, "test": 0})
    found = index(settings, sites_of("fets2022", s="4", t="5"))
    assert dict(found["s"].skipped) == {
        "FeTS2022_00000": "missing modality t1", "FeTS2022_00001": "image without label",
    }  # fmt: skip
    first, second, third = found["t"].cases
    trees.save(tmp_path / first.files["label"], trees.label((1, 3)))
    trees.save(tmp_path / second.files["label"], trees.label(), trees.affine((3.0, 1.0, 1.0)))
    trees.save(tmp_path / third.files["label"], trees.label(shape=(4, 12, 9)))
    with pytest.raises(BadCase, match=r"^the mask has the value 3, expected 0, 1, 2, 4$"):
        load(settings, first)
    with pytest.raises(BadCase, match=r"^image and mask lie in different places"):
        load(settings, second)
    with pytest.raises(BadCase, match=r"^mask has shape"):
        load(settings, third)


def test_settings_survive_json_and_refuse_nonsense(tmp_path):
    settings = settings_of(
        "lits", tmp_path, target_spacing=["1 mm", "1 mm", "2 mm"], partition={"kind": "iid"}
    )
    assert type(settings).model_validate_json(settings.model_dump_json()) == settings
    for more, message in (
        ({"partition": {"kind": "dirichlet"}}, "dirichlet needs its concentration"),
        ({"partition": {"kind": "iid", "alpha": 1}}, "iid has no alpha"),
        ({"partition": {"kind": "file"}}, "file needs the table"),
        ({"window": {"mr": [0, 1]}}, "no channel mr"),
        ({"window": {"ct": [1, 0]}}, "ct ends at 0, below 1"),
        ({"dims": 3, "min_pixels": 4}, "min_pixels and drop_ends choose slices"),
        ({"patient_pattern": "x"}, "no group"),
        ({"crop": [1, 2, 3]}, "crop has 3 numbers; dims 2 needs 2"),
    ):
        with pytest.raises(ValueError, match=message):
            settings_of("lits", tmp_path, **more)


@pytest.mark.skipif(not HIPPOCAMPUS.is_dir(), reason="needs the shared hippocampus volumes")
def test_hippocampus():
    settings = settings_of("msd", HIPPOCAMPUS)
    found = index(settings, sites_of("msd", s="all"))["s"]
    assert (len(found.cases), found.skipped) == (120, ())
    assert registry("datasets")["msd"].describe(settings).structures == ("Anterior", "Posterior")
    image, label, spacing_mm = load(settings, found.cases[0])
    assert (image.ndim, spacing_mm) == (4, (1.0, 1.0, 1.0))
    assert label.any(axis=(1, 2, 3)).all()

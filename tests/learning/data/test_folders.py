from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simulator.errors import BadCase, ScenarioError
from simulator.learning.data.brainsim import BRAINSIM
from simulator.learning.data.brainsim_settings import BrainSim, BrainSimSite
from simulator.learning.data.folders import FOLDER_PER_SITE
from simulator.learning.data.folders_settings import FolderPerSite, FolderSite
from tests.learning.data.trees import BRATS, brats_labels, nifti, write_tree

SHARED = Path(__file__).parents[3] / "../shared/data/retina4"
MODALITIES = ("t1", "t1ce", "t2", "flair")
VOLUMES = BrainSim(name="brainsim", dims=3, size=16)
SLICES = BrainSim(name="brainsim", size=24, slices=2)
HOSPITALS = {name: BrainSimSite(cases=3) for name in ("north", "south")}
SITES = dict.fromkeys(HOSPITALS, FolderSite())


def volumes(root, **more):
    values = {"name": "folder-per-site", "root": root, "dims": 3, "channels": MODALITIES, "structures": BRATS}
    return FolderPerSite.model_validate(values | more)


def pictures(root, **more):
    values = {
        "name": "folder-per-site",
        "root": root,
        "channels": ("red", "green", "blue"),
        "structures": {"tumor": (255,)},
    }
    return FolderPerSite.model_validate(values | more)


def index(settings, sites=SITES):
    return FOLDER_PER_SITE.index(settings, sites, 1)


def load(settings, case, site=SITES["north"]):
    return FOLDER_PER_SITE.load(settings, site, case, 1)


@pytest.fixture
def tree(tmp_path):
    """Three color slices of a case each, at two sites."""
    write_tree(tmp_path, "png", SLICES, HOSPITALS)
    return tmp_path


@pytest.mark.parametrize("form", ["nifti", "nifti-channels"])
@pytest.mark.parametrize("dims", [2, 3])
def test_volumes_come_back_as_they_were_written(tmp_path, form, dims):
    settings = VOLUMES if dims == 3 else SLICES
    write_tree(tmp_path, form, settings, HOSPITALS)
    stored = volumes(tmp_path, dims=dims, channel_files=form == "nifti-channels")
    found = index(stored)
    assert [len(site.cases) for site in found.values()] == [3, 3]
    assert all(site.skipped == () for site in found.values())
    for case, original in zip(
        found["south"].cases, BRAINSIM.index(settings, HOSPITALS, 1)["south"].cases, strict=True
    ):
        image, label, spacing_mm = load(stored, case)
        expected = BRAINSIM.load(settings, HOSPITALS["south"], original, 1)
        assert np.array_equal(image, expected[0])
        assert np.array_equal(label, expected[1])
        assert np.allclose(spacing_mm, expected[2])
        assert case.num_items == (image.shape[1] if dims == 2 else 1)


def test_png_slices_with_patients_from_the_manifest(tree):
    settings = pictures(tree)
    found = index(settings)
    meta = FOLDER_PER_SITE.describe(settings)
    assert (meta.channels, meta.structures, meta.item_shape) == (("red", "green", "blue"), ("tumor",), None)
    for name, site in found.items():
        split_of = {}
        for case in site.cases:
            assert split_of.setdefault(case.patient, case.split) == case.split
            image, label, spacing_mm = load(settings, case)
            assert image.shape == (3, 1, 24, 24)
            assert label.shape == (1, 1, 24, 24)
            assert spacing_mm == (1.0, 1.0, 1.0)
            stored = np.asarray(Image.open(tree / name / "images" / f"{case.case}.png"))
            assert np.array_equal(image[:, 0].transpose(1, 2, 0), stored)
        assert len(split_of) == 3
        ready = BRAINSIM.index(SLICES, HOSPITALS, 1)[name]
        assert split_of == {case.patient: case.split for case in ready.cases}


def test_no_patient_leaks_when_the_split_is_ours(tree):
    split_of = {}
    for case in index(pictures(tree, manifest={"split": None}, split={"seed": 5}))["north"].cases:
        assert split_of.setdefault(case.patient, case.split) == case.split
    assert sorted(split_of.values()) == ["test", "train", "val"]


def test_size_resamples_image_label_and_spacing(tree, tmp_path):
    settings = pictures(tree, size=12, spacing=["4 mm", "2 mm", "2 mm"])
    case = index(settings)["north"].cases[0]
    image, label, spacing_mm = load(settings, case)
    assert image.shape == (3, 1, 12, 12)
    assert set(np.unique(label)) <= {0, 1}
    assert spacing_mm == (4.0, 4.0, 4.0)
    full, outline, _ = load(pictures(tree), case)
    assert abs(image.mean() - full.mean()) < 0.05 * full.mean()
    assert abs(label.mean() - outline.mean()) < 0.3 * outline.mean() + 0.01


def test_volumes_resample_on_all_axes(tmp_path):
    write_tree(tmp_path, "nifti", VOLUMES, HOSPITALS)
    settings = volumes(tmp_path, size=[8, 12, 10])
    image, label, spacing_mm = load(settings, index(settings)["north"].cases[0])
    assert image.shape == (4, 8, 12, 10)
    assert label.shape == (3, 8, 12, 10)
    assert (label[2] <= label[0]).all()
    assert np.allclose(spacing_mm, (24.0, 16.0, 19.2))


def test_orientation_of_the_file_does_not_matter(tmp_path):
    import nibabel

    write_tree(tmp_path, "nifti", VOLUMES, HOSPITALS)
    settings = volumes(tmp_path)
    case = index(settings)["north"].cases[0]
    image, label, spacing_mm = load(settings, case)
    for role, values in (("image", np.moveaxis(image, 0, -1)), ("label", brats_labels(label))):
        nibabel.save(nifti(values, spacing_mm, flip=True), tmp_path / case.files[role])
    again, outline, _ = load(settings, case)
    assert np.array_equal(image, again)
    assert np.array_equal(label, outline)
    nibabel.save(nifti(brats_labels(label), (6.0, 6.0, 7.0)), tmp_path / case.files["label"])
    with pytest.raises(BadCase, match=r"^image and mask lie in different places"):
        load(settings, case)


def break_mask(value):
    def spoil(image, mask):
        values = np.asarray(Image.open(mask)).copy()
        values[0, 0] = value
        Image.fromarray(values).save(mask)

    return spoil


def save(array):
    return lambda image, mask: Image.fromarray(array).save(image)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda image, mask: image.unlink(), r"^no file north-0000-0.png$"),
        (lambda image, mask: image.write_bytes(b"no image"), r"^north-0000-0.png cannot be read: "),
        (
            lambda image, mask: image.write_bytes(image.read_bytes()[:200]),
            r"^north-0000-0.png cannot be read: ",
        ),
        (save(np.zeros((24, 24), np.uint8)), r"^found 1 channels, expected red, green, blue$"),
        (save(np.zeros((24, 20, 3), np.uint8)), r"^mask has shape \(1, 24, 24\), image \(1, 24, 20\)$"),
        (break_mask(7), r"^the mask has the value 7, expected 0, 255$"),
    ],
)
def test_a_broken_file_is_a_bad_case(tree, spoil, message):
    settings = pictures(tree)
    case = index(settings)["north"].cases[0]
    spoil(*(tree / case.files[role] for role in ("image", "label")))
    with pytest.raises(BadCase, match=message):
        load(settings, case)


def test_volumes_with_broken_values(tmp_path):
    import nibabel

    write_tree(tmp_path, "nifti", VOLUMES, HOSPITALS)
    settings = volumes(tmp_path)
    case, other, last = index(settings)["north"].cases
    image, _, spacing_mm = load(settings, case)
    image[0, 0, 0, 0] = np.nan
    nibabel.save(nifti(np.moveaxis(image, 0, -1), spacing_mm), tmp_path / case.files["image"])
    with pytest.raises(BadCase, match=r"^the image has values that are not finite$"):
        load(settings, case)
    path = tmp_path / other.files["image"]
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadCase, match=r"^north-0001.nii.gz cannot be read: "):
        load(settings, other)
    nibabel.save(nifti(image[0], spacing_mm), tmp_path / last.files["image"])
    with pytest.raises(BadCase, match=r"^found 1 channels, expected t1, t1ce, t2, flair$"):
        load(settings, last)


def test_incomplete_cases_are_listed_by_the_index(tree):
    folder = tree / "north"
    (folder / "images/north-0000-0.png").unlink()
    (folder / "masks/north-0000-1.png").unlink()
    (folder / "images/thumbs.db").write_bytes(b"")
    (folder / "images/north-0001-0.jpg").write_bytes(b"")
    (folder / "images/.hidden.png").write_bytes(b"")
    (folder / "images/north-0002-0.png").unlink()
    (folder / "masks/north-0002-0.png").unlink()
    Image.new("RGB", (24, 24)).save(folder / "images/extra.png")
    Image.new("L", (24, 24)).save(folder / "masks/extra.png")
    found = index(pictures(tree))["north"]
    assert dict(found.skipped) == {
        "thumbs.db": "not one of .png, .jpg, .jpeg, .tif, .tiff, .nii, .nii.gz",
        "north-0001-0": "ambiguous: north-0001-0.jpg and north-0001-0.png",
        "north-0000-0": "mask without image",
        "north-0000-1": "image without mask",
        "north-0002-0": "in the manifest but not on disk",
        "extra": "on disk but not in the manifest",
    }
    assert [case.case for case in found.cases] == ["north-0001-1", "north-0002-1"]


def test_a_missing_modality_is_named(tmp_path):
    write_tree(tmp_path, "nifti-channels", VOLUMES, {"north": BrainSimSite(cases=4)})
    (tmp_path / "north/images/north-0002_t1.nii.gz").unlink()
    found = index(volumes(tmp_path, channel_files=True), {"north": FolderSite()})["north"]
    assert found.skipped == (("north-0002", "missing modality t1"),)
    assert len(found.cases) == 3


def test_mask_suffix_threshold_and_jpeg(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / "c1" / part).mkdir(parents=True)
    disc = np.zeros((32, 32), np.uint8)
    disc[8:20, 8:20] = 255
    for number in range(3):
        Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(tmp_path / f"c1/images/{number}.jpg")
        Image.fromarray(disc).save(tmp_path / f"c1/masks/{number}_mask.jpg", quality=70)
    sites = {"polyps": FolderSite(source="c1")}
    settings = pictures(tmp_path, mask_suffix="_mask", mask_threshold=127, structures={"polyp": [1]})
    case = index(settings, sites)["polyps"].cases[0]
    assert np.array_equal(load(settings, case)[1][0, 0], disc // 255)
    with pytest.raises(BadCase, match=r"^the mask has the value \d+, expected 0, 1$"):
        load(settings.model_copy(update={"mask_threshold": None}), case)


def test_palette_masks_hold_labels(tmp_path):
    write_tree(tmp_path, "png", SLICES, {"north": BrainSimSite(cases=3)})
    for path in (tmp_path / "north/masks").iterdir():
        mask = Image.fromarray(np.asarray(Image.open(path)) // 255)
        mask.putpalette([0, 0, 0, 200, 30, 30])
        assert mask.mode == "P"
        mask.save(path)
    settings = pictures(tmp_path, structures={"tumor": [1]})
    labels = [load(settings, case)[1] for case in index(settings, {"north": FolderSite()})["north"].cases]
    assert any(label.any() for label in labels)


def test_fingerprint_follows_contents_not_the_place(tree, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere")
    write_tree(other, "png", SLICES, HOSPITALS)
    first, second = index(pictures(tree)), index(pictures(other))
    assert first["north"].fingerprint == second["north"].fingerprint
    assert first["north"].fingerprint != first["south"].fingerprint
    assert index(pictures(tree, size=12))["north"].fingerprint != first["north"].fingerprint
    Image.fromarray(np.zeros((24, 24), np.uint8)).save(tree / "north/masks/north-0000-0.png")
    changed = index(pictures(tree))
    assert changed["north"].fingerprint != first["north"].fingerprint
    assert changed["south"].fingerprint == first["south"].fingerprint


def error_of(settings, sites=SITES):
    with pytest.raises(ScenarioError) as error:
        index(settings, sites)
    return str(error.value)


def test_missing_folders_are_errors_with_a_remedy(tree):
    gone = tree / "gone"
    assert error_of(pictures(gone)) == (
        f'task.dataset.root: no folder "{gone}"; set it with --set task.dataset.root=PATH'
    )
    assert error_of(pictures(tree), {**SITES, "west": FolderSite()}) == (
        f'sites.2: folder-per-site has no folder "west" under {tree}; found north, south'
    )
    assert error_of(pictures(tree), {**SITES, "west": FolderSite(source="north")}) == (
        'sites.2: folder "north" is already the data of north; give every site cases of its own'
    )
    (tree / "west/images").mkdir(parents=True)
    assert error_of(pictures(tree), {"west": FolderSite()}) == (
        f'sites.0: no folder "masks" in {tree / "west"}'
    )
    (tree / "west/masks").mkdir()
    assert error_of(pictures(tree), {"west": FolderSite()}) == (
        f"sites.0: no case with image and mask in {tree / 'west'}"
    )
    (tree / "west/masks/a.png").write_bytes(b"")
    assert error_of(pictures(tree), {"west": FolderSite()}).endswith(
        "; the first of 1 skipped: a: mask without image"
    )


def test_settings_that_cannot_be(tmp_path):
    for more, message in (
        ({"structures": {"a": [0]}}, "a: label 0 is background"),
        ({"structures": {}}, "at least 1"),
        ({"size": [8, 8, 8]}, "size has 3 numbers; dims 2 needs 2"),
    ):
        with pytest.raises(ValueError, match=message):
            pictures(tmp_path, **more)
    for source in ("../x", "a/b", ".."):
        with pytest.raises(ValueError, match="should match pattern"):
            FolderSite(source=source)


def test_settings_survive_json(tmp_path):
    settings = pictures(tmp_path, size=[8, 8], spacing=["1 mm", "2 mm", "3 mm"])
    assert FolderPerSite.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared retina4 images")
def test_retina4():
    settings = pictures(SHARED, structures={"vessel": [255]}, size=256, manifest={"split": "original_split"})
    found = index(settings, {name: FolderSite() for name in ("drive", "stare", "chase", "hrf")})
    assert {name: len(site.cases) for name, site in found.items()} == {
        "drive": 40, "stare": 20, "chase": 28, "hrf": 42,
    }  # fmt: skip
    assert all(site.skipped == () for site in found.values())
    children = {}
    for case in found["chase"].cases:
        assert children.setdefault(case.patient, case.split) == case.split
    assert len(children) == 14
    image, label, _ = load(replace_root(settings), replace(found["chase"].cases[0]))
    assert image.shape == (3, 1, 256, 256)
    assert 0.03 < label.mean() < 0.2


def replace_root(settings):
    return FolderPerSite.model_validate_json(settings.model_dump_json())


DEALS = [{"kind": "iid"}, {"kind": "quantity", "alpha": 0.5}, {"kind": "dirichlet", "alpha": 0.5, "bins": 2}]


@pytest.mark.parametrize("partition", DEALS)
def test_pooled_patients_are_dealt_out_to_sites_without_a_folder(tmp_path, partition):
    write_tree(tmp_path, "png", SLICES, {name: BrainSimSite(cases=6) for name in ("north", "south", "east")})
    settings = pictures(tmp_path, partition=partition)
    sites = {"one": FolderSite(), "two": FolderSite(), "rest": FolderSite(source="east", test_only=True)}
    found = index(settings, sites)
    assert {Path(case.files["label"]).parts[0] for case in found["rest"].cases} == {"east"}
    assert {case.split for case in found["rest"].cases} == {"test"}
    dealt = [case for name in ("one", "two") for case in found[name].cases]
    natural = index(pictures(tmp_path), dict.fromkeys(("north", "south"), FolderSite()))
    assert sorted(case.files["label"] for case in dealt) == sorted(
        case.files["label"] for site in natural.values() for case in site.cases
    )
    by_patient = {(case.patient, case.site) for case in dealt}
    assert len({patient for patient, _ in by_patient}) == len(by_patient), "a patient stays whole"
    assert len({case.case for case in dealt}) == len(dealt)
    assert {case.site for case in dealt if "north" in case.files["label"]} == {"one", "two"}
    image, label, _ = load(settings, dealt[0])
    assert image.shape[1:] == label.shape[1:]
    again = FOLDER_PER_SITE.index(settings, sites, 2)
    assert [case.files for case in again["one"].cases] != [case.files for case in found["one"].cases]


def test_shares_and_folders_that_are_not_there_are_refused(tree):
    sites = {"one": FolderSite(share=2.0), "two": FolderSite()}
    with pytest.raises(ScenarioError, match=r"^sites\.0\.data\.share: kind is iid"):
        index(pictures(tree, partition={"kind": "iid"}), sites)
    gone = {"one": FolderSite(), "two": FolderSite(source="gone")}
    with pytest.raises(ScenarioError, match=r'^sites\.1: folder-per-site has no folder "gone"'):
        index(pictures(tree, partition={"kind": "iid"}), gone)
    with pytest.raises(ScenarioError, match=r"3 patients for 2 sites of at least 3"):
        index(
            pictures(tree, partition={"kind": "iid"}),
            {"a": FolderSite(), "b": FolderSite(), "c": FolderSite(source="north")},
        )

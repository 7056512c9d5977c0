import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from simulator.errors import ScenarioError
from simulator.learning.data import brainsim_scanner
from simulator.learning.data.brainsim import BRAINSIM
from simulator.learning.data.brainsim_settings import PROFILES, BrainSim, BrainSimSite

SETTINGS = BrainSim(name="brainsim", size=48, slices=3)
WHOLE = BrainSim(name="brainsim", dims=3, size=32)


def site(**habits):
    return BrainSimSite.model_validate({"cases": 4, **habits})


def make(number=0, *, settings=SETTINGS, name="north", seed=1, **habits):
    place = site(**habits)
    case = BRAINSIM.index(settings, {name: place}, seed)[name].cases[number]
    return BRAINSIM.load(settings, place, case, seed)


def digest(number=0):
    image, label, _ = make(number)
    return hashlib.sha256(image.tobytes() + label.tobytes()).hexdigest()


@pytest.mark.parametrize("settings", [SETTINGS, WHOLE])
def test_a_case_is_what_the_contract_says(settings):
    image, label, spacing_mm = make(settings=settings)
    meta = BRAINSIM.describe(settings)
    assert meta.simulated
    shape = image.shape[2:] if settings.dims == 2 else image.shape[1:]
    assert shape == meta.item_shape
    assert image.dtype == np.float32
    assert label.dtype == np.uint8
    assert image.shape == (4, *label.shape[1:])
    assert label.shape[0] == len(meta.structures) == 3
    assert np.isfinite(image).all()
    assert spacing_mm == ((8.0, 4.0, 4.0) if settings.dims == 2 else (6.0, 6.0, 6.0))


def test_background_is_exactly_zero_and_the_brain_is_not():
    image, label, _ = make(noise=0.2, bias_field=0.5)
    inside = image != 0
    assert (inside == inside[0]).all()
    assert 0.1 < inside[0].mean() < 0.7
    assert inside[0][label[0] > 0].all()


@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_structures_are_nested_and_present(profile):
    for number in range(4):
        _, (whole, core, enhancing), _ = make(
            number, settings=BrainSim(name="brainsim"), profile=profile, satellites=0.5
        )
        assert whole.any()
        assert (core <= whole).all()
        assert (enhancing <= core).all()


def test_same_bits_in_another_process_and_order():
    code = "from tests.learning.data.test_brainsim import digest; print(digest(2), digest(0))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True,
        check=True, env={"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert done.stdout.split() == [digest(2), digest(0)]


def test_more_cases_and_sites_change_no_image():
    alone = BRAINSIM.index(SETTINGS, {"north": site()}, 1)["north"].cases[0]
    many = {"south": site(), "north": site(cases=30, profile="a")}
    among = BRAINSIM.index(SETTINGS, many, 1)["north"].cases[0]
    first = BRAINSIM.load(SETTINGS, site(), alone, 1)[0]
    assert np.array_equal(first, BRAINSIM.load(SETTINGS, site(cases=30), among, 1)[0])
    for other in (make(1), make(name="south"), make(seed=2)):
        assert not np.array_equal(first, other[0])


def test_a_modality_is_the_same_alone():
    everything = make()[0]
    alone = make(settings=SETTINGS.model_copy(update={"modalities": ("flair",)}))[0]
    assert np.array_equal(alone[0], everything[3])


def test_missing_modality_is_replaced_by_flair():
    image, clean = make(missing="t1ce")[0], make()[0]
    assert np.array_equal(image[1], image[3])
    assert np.array_equal(image[[0, 2, 3]], clean[[0, 2, 3]])
    only = SETTINGS.model_copy(update={"modalities": ("t1ce",)})
    assert np.array_equal(make(settings=only, missing="t1ce")[0][0], image[3])
    assert np.array_equal(make(missing="t1ce", missing_share=0.0)[0], clean)


@pytest.mark.parametrize("number", range(4))
def test_annotators_draw_wider_or_tighter_on_the_same_image(number):
    sizes = []
    for annotator in ("-2 mm", "0 mm", "2 mm"):
        image, label, _ = make(number, settings=BrainSim(name="brainsim"), annotator=annotator)
        assert np.array_equal(image, make(number, settings=BrainSim(name="brainsim"))[0])
        assert (label[1] <= label[0]).all()
        assert (label[2] <= label[1]).all()
        sizes.append(label.sum(axis=(1, 2, 3)))
    assert (np.diff(sizes, axis=0)[:, 0] > 0).all()
    assert (np.diff(sizes, axis=0)[:, 1] > 0).all()


def test_low_grade_tumors_do_not_enhance():
    _, (whole, core, enhancing), _ = make(settings=BrainSim(name="brainsim"), low_grade=1.0)
    assert whole.any()
    assert core.any()
    assert not enhancing.any()


def test_tumors_are_about_as_large_as_said():
    edges = []
    for number in range(4):
        _, label, spacing_mm = make(number, settings=WHOLE, tumor_diameter=["50 mm", "50 mm"])
        edges.append((6 * label[0].sum() * np.prod(spacing_mm) / np.pi) ** (1 / 3))
    assert 40 < np.mean(edges) < 58


def test_spots_show_in_flair_and_in_no_label():
    (clean, outline, _), (spotted, same, _) = make(), make(hyperintensities=30.0)
    assert np.array_equal(outline, same)
    changed = spotted != clean
    assert changed[3].any()
    assert not changed[:2].any()


def zscore(image):
    inside = image[image != 0]
    return (inside - inside.mean()) / inside.std()


@pytest.mark.parametrize(
    "habit",
    [{"contrast": 0.5}, {"gamma": 1.5}, {"noise": 0.1}, {"blur": "3 mm"}, {"bias_field": 0.4},
     {"slice_thickness": "6 mm"}, {"shift": ["8 mm", "-4 mm"]}],
    ids=lambda habit: next(iter(habit)),
)  # fmt: skip
def test_habits_survive_normalization(habit):
    plain, habitual = make()[0][3], make(**habit)[0][3]
    if np.array_equal(plain != 0, habitual != 0):
        assert np.abs(zscore(plain) - zscore(habitual)).mean() > 0.03
    else:
        assert habit.keys() & {"slice_thickness", "shift"}


def test_gain_does_not_survive_normalization():
    assert np.allclose(zscore(make()[0][3]), zscore(make(gain=3.0)[0][3]), atol=1e-4)


def test_profiles_apply_and_explicit_keys_win():
    assert site(profile="d").noise == PROFILES["d"]["noise"]
    assert site(profile="d", noise=0.3).noise == 0.3
    assert site(profile="d", noise=0.3).blur == 1.2


@pytest.mark.parametrize("profile", PROFILES)
def test_settings_survive_json(profile):
    for settings in (site(profile=profile, noise=0.3, shift=["-2 mm", "1 mm"]), WHOLE):
        assert type(settings).model_validate_json(settings.model_dump_json()) == settings


def test_three_dimensions_have_a_smaller_default_size():
    assert BrainSim(name="brainsim", dims=3).size == 48
    assert BrainSim(name="brainsim").size == 96


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cases": 3, "tumor_diameter": ["40 mm", "30 mm"]}, "write two sizes from 6 to 100 mm"),
        ({"cases": 3, "annotator": "1.5"}, '"1.5" has no unit; write "1.5 mm"'),
        ({"cases": 3, "profile": "e"}, "'a', 'b', 'c' or 'd'"),
        ({"cases": 3, "missing": "flair"}, "'t1', 't1ce' or 't2'"),
        ({}, "Field required"),
    ],
)
def test_bad_habits(settings, message):
    with pytest.raises(ValidationError) as error:
        BrainSimSite.model_validate(settings)
    assert message in str(error.value)


def test_a_modality_twice():
    with pytest.raises(ValidationError, match="modalities: t1, t1 has one twice"):
        BrainSim(name="brainsim", modalities=("t1", "t1"))


def test_index_splits_by_patient_and_counts_items():
    found = BRAINSIM.index(SETTINGS, {"north": site(cases=20), "unseen": site(cases=2, test_only=True)}, 1)
    assert [found["north"].count(part) for part in ("train", "val", "test")] == [12, 3, 5]
    assert found["north"].num_items("train") == 36
    assert found["unseen"].count("test") == 2
    with pytest.raises(ScenarioError, match=r"^sites.0: tiny has 2 patients, too few for 3 splits; "):
        BRAINSIM.index(SETTINGS, {"tiny": site(cases=2)}, 1)


def test_fingerprint_names_everything_that_shapes_a_case():
    def mark(settings=SETTINGS, name="north", seed=1, **habits):
        return BRAINSIM.index(settings, {name: site(**habits)}, seed)[name].fingerprint

    larger = SETTINGS.model_copy(update={"size": 64})
    marks = [mark(), mark(larger), mark(name="south"), mark(seed=2), mark(noise=0.1), mark(cases=5)]
    assert len(set(marks)) == len(marks)
    assert mark() == mark()


def test_contrast_of_the_sequences():
    means = {name: dict(zip(("fluid", "gray", "white", "dead", "edema", "rim"), row, strict=True))
             for name, row in brainsim_scanner.MEANS.items()}  # fmt: skip
    assert means["t1"]["white"] > means["t1"]["gray"] > means["t1"]["fluid"]
    assert means["t2"]["fluid"] > means["t2"]["gray"] > means["t2"]["white"]
    image, label, _ = make(settings=BrainSim(name="brainsim"), noise=0.0)
    healthy = (label[0] == 0) & (image[0] > 0)
    assert image[1][label[2] > 0].mean() > 1.2 * image[1][healthy].mean()  # T1ce: the rim
    assert image[3][label[0] > 0].mean() > 1.2 * image[3][healthy].mean()  # FLAIR: the tumor


def test_naming_data_sets_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from simulator.registry import registry\n"
        "from simulator.learning.data.brainsim import BRAINSIM, BrainSim, BrainSimSite\n"
        "registry('datasets')\n"
        "s = BrainSim(name='brainsim')\n"
        "BRAINSIM.index(s, {'n': BrainSimSite(cases=9)}, 1); BRAINSIM.describe(s)\n"
        "heavy = {'torch', 'monai', 'scipy', 'nibabel', 'PIL', 'tifffile', 'polars', 'networkx'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

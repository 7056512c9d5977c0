import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.learning.data.splits import SplitSettings, ready_made, split_patients

SHARES = SplitSettings()


def split(patients, settings=SHARES, site="north", **more):
    return split_patients(patients, site=site, settings=settings, where="sites.0", **more)


@given(
    num=st.integers(3, 60),
    val=st.sampled_from([0.0, 0.01, 0.15, 0.4]),
    test=st.sampled_from([0.0, 0.01, 0.25, 0.55]),
    seed=st.integers(0, 3),
)
def test_every_patient_once_and_every_split_with_a_share_nonempty(num, val, test, seed):
    names = [f"p{i}" for i in range(num)]
    parts = split(names, SplitSettings(val=val, test=test, seed=seed))
    assert set(parts) == set(names)
    found = list(parts.values())
    assert found.count("train") >= 1
    assert (found.count("val") >= 1) == (val > 0)
    assert (found.count("test") >= 1) == (test > 0)


def test_shares_are_met():
    found = list(split([f"p{i}" for i in range(40)]).values())
    assert (found.count("train"), found.count("val"), found.count("test")) == (24, 6, 10)


def test_depends_on_names_site_and_seed_alone():
    names = [f"p{i}" for i in range(30)]
    assert split(names) == split(names[::-1] + names)
    assert split(names) != split(names, site="south")
    assert split(names) != split(names, SplitSettings(seed=1))


def test_another_patient_moves_few():
    names = [f"p{i}" for i in range(40)]
    before, after = split(names), split([*names, "new"])
    assert sum(before[name] != after[name] for name in names) <= 2


@pytest.mark.parametrize(("num", "found"), [(1, "1 patient"), (2, "2 patients")])
def test_too_few_patients(num, found):
    names = [f"p{i}" for i in range(num)]
    with pytest.raises(ScenarioError) as error:
        split(names, site="EZ")
    assert str(error.value) == (
        f"sites.0: EZ has {found}, too few for 3 splits; leave the site out or give it test_only: true"
    )
    assert set(split(names, site="EZ", test_only=True).values()) == {"test"}


def test_shares_that_leave_nothing():
    with pytest.raises(ValueError, match=r"val 0.5 and test 0.5 leave nothing to train with"):
        SplitSettings(val=0.5, test=0.5)


def test_ready_made_split_is_kept_and_val_taken_from_train():
    given_splits = {f"p{i}": "test" if i < 4 else "train" for i in range(12)}
    parts = ready_made(given_splits, site="north", settings=SHARES, where="sites.0")
    assert {name for name, part in parts.items() if part == "test"} == {"p0", "p1", "p2", "p3"}
    assert list(parts.values()).count("val") == 1
    complete = given_splits | {"p11": "val"}
    assert ready_made(complete, site="north", settings=SHARES, where="sites.0") == complete


def test_ready_made_split_with_another_word():
    with pytest.raises(ScenarioError, match=r'^sites.0: p1 has split "training"; write train, val or test$'):
        ready_made({"p1": "training"}, site="north", settings=SHARES, where="sites.0")

import pytest

from simulator.errors import ScenarioError
from simulator.learning.data.declared import DECLARED, Declared, DeclaredSite

SETTINGS = Declared(
    name="declared", channels=("t1", "t2"), structures=("WT",), spatial_dims=3, item_shape=(128, 128, 64)
)


def test_counts_are_what_was_declared():
    sites = {"a": DeclaredSite(train=3, val=1, test=2), "b": DeclaredSite(train=0, test=5)}
    stacks = SETTINGS.model_copy(update={"items_per_case": 4})
    found = DECLARED.index(stacks, sites, 1)
    assert [found["a"].count(part) for part in ("train", "val", "test")] == [3, 1, 2]
    assert found["b"].num_items("test") == 20
    assert len({case.case for case in found["a"].cases}) == 6
    assert found["a"].fingerprint != found["b"].fingerprint
    assert DECLARED.load is None
    meta = DECLARED.describe(SETTINGS)
    assert (meta.channels, meta.spatial_dims, meta.item_shape) == (("t1", "t2"), 3, (128, 128, 64))


def test_a_site_without_cases():
    with pytest.raises(ScenarioError, match=r"^sites.1.data: b has no case; declare at least one$"):
        DECLARED.index(SETTINGS, {"a": DeclaredSite(train=1), "b": DeclaredSite(train=0)}, 1)


def test_shape_and_dims_agree():
    with pytest.raises(ValueError, match="item_shape has 2 numbers; spatial_dims 3 needs 3"):
        Declared(name="declared", channels=("t1",), structures=("WT",), spatial_dims=3, item_shape=(8, 8))

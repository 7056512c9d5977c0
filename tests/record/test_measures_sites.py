import pytest

from simulator.record.measures_sites import paired_difference, site_table
from tests.record.runs_for_tests import dice, made_run


def scored(label, seeds, **by_site):
    rows = [dice(site, value, selection="selected") for site, value in by_site.items()]
    return made_run(label, seeds=seeds, metrics=rows)


GROUPS = {
    "gcml": [scored("gcml", (1, 1), a=0.8, b=0.6), scored("gcml", (2, 2), a=0.9, b=0.7)],
    "local": [scored("local", (1, 1), a=0.7, b=0.7), scored("local", (2, 2), a=0.6, b=0.6)],
}


def test_gains_are_paired_by_seed_and_the_reference_has_none():
    table = site_table(GROUPS)
    assert table.cells["a", "gcml"].over_local.mean == pytest.approx(0.2)
    assert table.cells["b", "gcml"].over_local.mean == pytest.approx(0.0)
    assert table.cells["a", "local"].over_local is None
    assert table.cells["a", "gcml"].over_pooled is None
    assert table.mean["gcml"].dice.mean == pytest.approx(0.75)
    assert table.worst["gcml"].dice.mean == pytest.approx(0.65)


def test_another_network_seed_still_pairs_by_the_learning_seed_but_another_learning_seed_does_not():
    alone = {"gcml": [scored("gcml", (1, 5), a=0.8)], "local": [scored("local", (1, 1), a=0.7)]}
    assert site_table(alone).cells["a", "gcml"].over_local.mean == pytest.approx(0.1)
    alone["gcml"] = [scored("gcml", (3, 1), a=0.8)]
    assert site_table(alone).cells["a", "gcml"].over_local is None


def test_two_local_labels_are_no_reference():
    two = GROUPS | {"local-2": [scored("local", (1, 1), a=0.1, b=0.1)]}
    assert site_table(two).cells["a", "gcml"].over_local is None


def test_paired_difference_of_means_and_worst_sites():
    assert paired_difference(GROUPS, "gcml", "local", worst=False).mean == pytest.approx(0.1)
    assert paired_difference(GROUPS, "gcml", "local", worst=True).mean == pytest.approx(0.0)


def test_runs_without_scores_have_no_column():
    table = site_table({"plan": [made_run("plan")]})
    assert (table.labels, table.sites) == ((), ())

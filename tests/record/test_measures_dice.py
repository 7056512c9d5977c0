import pytest

from simulator.record.measures_dice import case_scores, selected_table, structure_table
from tests.record.runs_for_tests import dice, made_run


def test_a_case_is_the_mean_of_its_structures_and_a_site_of_its_cases():
    rows = [dice("s", v, case=c, structure=k, selection="selected") for c, k, v in
            (("1", "x", 0.2), ("1", "y", 0.4), ("2", "x", 0.9))]  # fmt: skip
    run = made_run(metrics=rows)
    assert case_scores(run, selection="selected", split="test")["dice"].to_list() == pytest.approx([0.3, 0.9])
    assert selected_table(run)["dice"].to_list() == pytest.approx([0.6])
    assert dict(structure_table(run).select("structure", "dice").iter_rows()) == pytest.approx(
        {"x": 0.55, "y": 0.4}
    )


def test_distances_are_those_of_found_structures_only():
    rows = [dice("s", 0.5, selection="selected")]
    rows += [row | {"metric": "hd95_mm", "value": v, "status": k, "case": c} for row in rows for c, v, k in
             (("a", 4.0, "ok"), ("b", 99.0, "missed"), ("c", None, "ok"))]  # fmt: skip
    table = selected_table(made_run(metrics=rows))
    assert table["hd95_mm"].to_list() == [4.0]
    assert table["assd_mm"].to_list() == [None]

"""What many runs say alike is said once."""

import pytest

from simulator.record.gathered import gathered


def runs(text, *values, method="fedavg"):
    return [(f"{method}-seed{place}", text.format(value)) for place, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("no test case at site1", [0] * 4, "no test case at site1"),
        ("{} x: sites waited", [12, 2, 10, 4], "2 to 12 x: sites waited"),
        ("b began after {}", ["40.2 s", "2.05 min", "1.5 min", "45 s"], "b began after 40.2 s to 2.05 min"),
        ("it lost {}", ["999.9 kB", "0 B", "1.2 MB", "0 B"], "it lost 0 B to 1.2 MB"),
        ("{} of 1,200 rounds", ["1,100", "900", "80", "7"], "7 to 1,100 of 1,200 rounds"),
        ("only {} of the cases", ["86%", "9%", "51%", "86%"], "only 9 to 86% of the cases"),
    ],
)
def test_numbers_become_ranges_by_size(text, values, said):
    assert gathered(runs(text, *values), 8) == [("4 of 8 runs (fedavg-…)", said)]


def test_all_runs_need_no_names_and_few_are_told_one_by_one():
    few, many = runs("{} x", 1, 2, 2), runs("{} s", 1, 2, 3, 4, method="gcml")
    assert gathered([*few, *many], 4) == [*few, ("all 4 runs", "1 to 4 s")]


def test_names_with_digits_are_no_numbers_and_labels_without_a_common_part_are_named_by_the_first():
    notes = [(f"run{place}", f"site{place} is late") for place in range(9)]
    assert gathered(notes, 9) == notes
    mixed = [(label, "late") for label in ("gcml", "fedavg", "local", "swarm")]
    assert gathered(mixed, 9) == [("4 of 9 runs (gcml, …)", "late")]

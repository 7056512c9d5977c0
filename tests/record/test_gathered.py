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


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("gone: {}", ["lake", "hill2", "hill", "hill"], "gone: hill, hill2 or lake"),
        ("{{at: 5 s}} for {}", ["lake", "hill", "hill", "hill"], "{at: 5 s} for hill or lake"),
        ("{} of lakes-end", ["1 s at lake", "3 s at hill", "2 s at lake", "2 s at lake"], None),
    ],
)
def test_nodes_become_a_choice(text, values, said):
    wanted = "1 to 3 s at hill or lake of lakes-end" if said is None else said
    assert gathered(runs(text, *values), 8, ["hill", "lake", "hill2"]) == [("4 of 8 runs (fedavg-…)", wanted)]


def test_other_faults_and_other_words_stay_apart():
    notes = [(f"run{place}", f"{{at: {place} s}} never fired") for place in range(5)]
    notes += [(f"run{place}", "3 late" if place % 2 else "hill late") for place in range(6)]
    assert sorted(gathered(notes, 9, ["hill"])) == sorted(notes)

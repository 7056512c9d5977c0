import pytest

from simulator.report.fault_marks import marks
from simulator.scenario.schema import FAULT_VERBS
from tests.record.runs_for_tests import made_run


# changes of the server are marked by their events, which no fault may have asked for
@pytest.mark.parametrize("verb", [verb for verb in FAULT_VERBS if verb != "fail_over"])
def test_every_fault_that_struck_has_words(verb):
    rows = [
        {"fault": place, "verb": verb, "node": node, "time_s": 5.0, "status": "fired"}
        for place, node in enumerate(["north", None])
    ]
    found = marks([made_run(faults=rows)])
    assert [mark.time_s for mark in found] == [5.0, 5.0]
    assert sum("north" in mark.text for mark in found) == 1
    assert all(mark.text and mark.text == mark.text.strip() for mark in found)

"""A state that a line held up arrives after the one that was sent later."""

import pytest

from tests.support import run

ROUNDS = "rounds: 5, quorum: 2, grace: 10 s, round_deadline: 200 s, server_patience: 5 min"


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "apfl"])
@pytest.mark.parametrize("at", ["0 s", "40 s", "80 s", "130 s"])
def test_a_site_does_not_go_back_to_a_state_that_was_overtaken(tmp_path, name, at):
    text = f"algorithm: {{name: {name}, {ROUNDS}}}\nfaults: [{{at: {at}, for: 55 s, partition: c}}]\n"
    result = run(tmp_path, text, "network.transport.preset=tcp-cubic")
    worked_on = [row[3] for row in result.world.work if row[0] == "c" and row[3] is not None]
    assert worked_on == sorted(worked_on)
    assert worked_on[-1] >= 3

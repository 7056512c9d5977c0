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


DOUBLED = "message_duplication: 1.0, deliver_duplicates: true, message_reordering: 0.5"
TWICE = f"network.transport={{preset: ideal, {DOUBLED}}}"


def test_an_answer_that_comes_twice_is_taken_once(tmp_path):
    """The passive site ends first and says so to those who ask."""
    text = "algorithm: {name: adpsgd, rounds: 6}\n"
    result = run(tmp_path, text, TWICE, "sites.b.seconds_per_item=0.1 s")
    assert result.end_reason == "all protocols ended"
    told = [row[2] for row in result.world.trace.events if row[3] == "partner_has_ended"]
    assert sorted(told) == ["a", "c"]


def test_a_request_that_comes_twice_is_answered_alike(tmp_path):
    """Else its sender may hear the refusal of the second first, and the receiver waits in vain."""
    text = "algorithm: {name: gcml, rounds: 12, schedule: bernoulli, max_redraws: 0}\n"
    for seed in range(1, 9):
        result = run(tmp_path, text, TWICE, f"seed.network={seed}")
        events = [row[3] for row in result.world.trace.events]
        assert "refused" in events
        assert "nothing_received" not in events

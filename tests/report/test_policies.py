"""Whom a run waits for and how long, in a planner's words."""

import pytest

from simulator.report.policies import policy

DEADLINE = {"round_deadline": "3600.0 s", "quorum": 1}
PATIENT = {"server_patience": "10800.0 s"}


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (DEADLINE, ["In every round the server waits for all 8 hospitals, but for 1 h at most."]),
        (
            {**DEADLINE, "cohort": 0.5},
            ["In every round the server waits for the 4 hospitals it asked, but for 1 h at most."],
        ),
        (
            {**DEADLINE, "quorum": "n-1", "grace": "60.0 s"},
            [
                "In every round the server waits until 7 of 8 hospitals have answered and 1 min longer, but "
                "for 1 h at most; then it goes on without the rest."
            ],
        ),
        (
            {**DEADLINE, "quorum": "n", "grace": "60.0 s"},
            [
                "In every round the server waits until 8 of 8 hospitals have answered and 1 min longer, but "
                "for 1 h at most; then it goes on without the rest."
            ],
        ),
        (
            {**DEADLINE, "quorum": "50 %", "grace": "60.0 s"},
            [
                "In every round the server waits until 50 % of 8 hospitals have answered and 1 min longer, "
                "but for 1 h at most; then it goes on without the rest."
            ],
        ),
        (
            {**DEADLINE, **PATIENT, "prune_after": 2, "when_server_lost": "train_alone"},
            [
                "In every round the server waits for all 8 hospitals, but for 1 h at most.",
                "Who is silent for 2 rounds is asked no more.",
                "A hospital that hears nothing for 3 h trains on alone.",
            ],
        ),
        (
            {"receive_timeout": "3600.0 s"},
            ["There is no server. A hospital waits for another's model for 1 h at most."],
        ),
        ({"rounds": 20}, []),
    ],
)
def test_patience_in_words(section, said):
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in policy(section, 8)] == said

"""What a node starts from after a crash, by its machine's checkpoints and by the phase it crashed in."""

from collections import Counter

import pytest

from tests.support import run, scripted

LOCAL = "algorithm: {name: local, rounds: 8}\n"


def trained(result, name, status="done"):
    return [row[3] for row in result.world.work if row[0] == name and row[1] == "train" and row[6] == status]


@pytest.mark.parametrize(
    ("policy", "again"),
    [
        ("every mark", []),
        ("every task", []),
        ("2 rounds", [4]),  # rounds 0 to 3 were kept, round 4 was not
        ("3 rounds", [3, 4]),
        ("never", [0, 1, 2, 3, 4]),
    ],
)
def test_a_crash_loses_what_its_disk_does_not_keep(tmp_path, policy, again):
    """Site a trains 10 s a round and crashes in its sixth."""
    result = run(
        tmp_path, LOCAL + "faults: [{at: 55 s, for: 5 s, crash: a}]\n", f"sites.a.checkpoint={policy}"
    )
    counts = Counter(trained(result, "a"))
    assert sorted(round_ for round_, count in counts.items() if count > 1) == again
    assert len(counts) == 8
    assert trained(result, "a", "lost") == [5]
    other = run(tmp_path, LOCAL)
    assert trained(result, "b") == trained(other, "b")


def test_finished_tasks_are_found_not_done_again(monkeypatch, tmp_path):
    def site(node, cfg):
        if node.name != "a":
            return (yield node.sleep(0))
        model = yield node.compute(node.learner.init)
        for epoch in range(3):
            model = yield node.compute(node.learner.train, model, epochs=1, first_epoch=epoch)

    for policy, end in (("every task", 45.0), ("every mark", 65.0), ("never", 65.0)):
        with scripted(monkeypatch, site):
            text = "algorithm: {name: scripted}\nfaults: [{at: 25 s, for: 10 s, crash: a}]\n"
            result = run(tmp_path, text, f"sites.a.checkpoint={policy}")
        assert result.virtual_time_s == end, policy


PHASES = {"training": "15 s", "sending": "13.5 s", "receiving": "1 s", "idle": "35 s"}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("policy", ["every task", "every mark", "2 rounds", "never"])
def test_a_crash_in_every_phase_ends_in_the_full_budget(tmp_path, phase, policy):
    """Site a receives until 3 s, trains until 13 s, sends until 14 s and waits for the others until 44 s; for
    the phase of training, site c trains then.
    """
    name = "c" if phase == "training" else "a"
    text = "algorithm: {name: fedavg, rounds: 3}\n"
    text += f"faults: [{{at: {PHASES[phase]}, for: 4 s, crash: {name}}}]\n"
    result = run(tmp_path, text, f"sites.{name}.checkpoint={policy}")
    assert result.end_reason == "all protocols ended"
    rounds = Counter(row[2] for row in result.world.trace.events if row[3] == "round")
    assert rounds == {"a": 3, "b": 3, "c": 3}
    assert bool(trained(result, name, "lost")) == (phase == "training")

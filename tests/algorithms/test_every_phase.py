"""Every registered algorithm × every fault × every phase in which it strikes: nobody hangs, the others go on.

The phases are looked up in a run without faults: in the middle of training, of sending, of receiving, and
of doing neither. All runs are plans.
"""

from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest

from simulator.registry import registry
from tests.support import run

ALGORITHMS = registry("algorithms")
ROUNDS = 5
MORE = {
    "fedgs": ", local_epochs: 1",
    "fedrep": ", local_epochs: 2",
    "fedsm": ", selector: small_cnn",
    "gcml": ", receive_timeout: 5 min",
    "scaffold": ", any_optimizer: true",
}
PHASES = ("training", "sending", "receiving", "idle")
FAULTS = {
    "crash for good": ("c", "at: {0} s, crash: c"),
    "crash": ("c", "at: {0} s, crash: c, for: 45 s"),
    "leave": ("c", "at: {0} s, leave: c"),
    "disconnect": ("c", "at: {0} s, disconnect: c, for: 150 s"),
    "flap": ("c", "from: {0} s, to: {1} s, flap: c, down: 3 s, up: 4 s"),
    "late join": ("c", "at: {0} s, join: c"),
    "server crash for good": ("server", "at: {0} s, crash: server"),
    "server crash": ("server", "at: {0} s, crash: server, for: 45 s"),
}
STANDS_STILL = {"pooled", "dml"}  # the sites do nothing themselves


def variants(name):
    """The algorithm as it is, with each answer to a lost server, and with its other policies at work."""
    fields = ALGORITHMS[name].settings.model_fields
    yield ""
    for policy in get_args(fields["when_server_lost"].annotation) if "when_server_lost" in fields else ():
        if policy != "stop":
            yield f", when_server_lost: {policy}"
    strict = {"quorum": "n-1", "late_updates": "accept", "prune_after": "1", "grace": "5 s"}
    policies = {key: value for key, value in strict.items() if key in fields}
    if "overlay_repair" in fields and name not in {"avgpush", "proxyfl"}:  # nothing to mend on theirs
        policies |= {"overlay_repair": "ring"} | ({"overlay": "given"} if name == "sgp" else {})
    if name == "hierarchical-fedavg":  # an edge has an heir
        policies.pop("prune_after")
    if policies:
        sending = "sending: {retries: 2, backoff: 5 s, timeout: 1 min}"
        yield "".join(f", {key}: {value}" for key, value in policies.items()) + f", {sending}"


CASES = [(name, variant) for name in ALGORITHMS for variant in variants(name)]


def plan(name, variant, faults=""):
    text = f"algorithm: {{name: {name}, rounds: {ROUNDS}{MORE.get(name, '')}{variant}}}\nfaults: [{faults}]\n"
    with TemporaryDirectory() as folder:
        return run(Path(folder), text)


@cache
def instants(name, variant, victim):
    """An instant of every phase that the victim knows, after a third of a run without faults if it can be."""
    calm = plan(name, variant)
    if victim not in calm.world.nodes:
        return {}
    third = calm.virtual_time_s / 3
    work = [(row[4], row[5]) for row in calm.world.work if row[0] == victim]
    moves = [row for row in calm.ledger.rows("transfers") if not row[6]]
    sent = [(row[9], row[10]) for row in moves if row[2] == victim]
    got = [(row[9], row[10]) for row in moves if row[3] == victim]
    busy = sorted([*work, *sent, *got])
    gaps, until = [], 0.0
    for begin, end in busy:
        gaps += [(until, begin)] if begin > until else []
        until = max(until, end)
    spans = {"training": work, "sending": sent, "receiving": got, "idle": gaps}
    found = {}
    for phase, intervals in spans.items():
        all_ = [(begin + end) / 2 for begin, end in intervals if end > begin]
        found |= {phase: next((at for at in all_ if at >= third), all_[-1])} if all_ else {}
    return found


def rounds_of(result):
    return Counter(seen.site for seen in result.world.trace.observations)


def check(name, variant, fault, phase, at):
    victim, text = FAULTS[fault]
    result = plan(name, variant, "{" + text.format(f"{at:.4f}", f"{at + 60:.4f}") + "}")
    where = f"{fault} while {phase} at {at:.3f} s"
    assert result.end_reason == "all protocols ended", where
    assert {row[5] for row in result.world.trace.faults} <= {"fired", "no effect"}, where
    assert result.virtual_time_s < 12 * 3600, where
    if name in STANDS_STILL:
        return
    counts = rounds_of(result)
    if victim == "c" and name != "cyclic":
        done = {counts[other] for other in "ab"}  # a grace may drop the slower one in every round
        assert max(done) == ROUNDS, (where, counts)
        assert done == {ROUNDS} or "grace" in variant, (where, counts)
    if fault == "server crash for good":
        lost = {row[2] for row in result.world.trace.events if row[3] == "server_lost"}
        assert lost, where
        if "when_server_lost" in variant:  # an asynchronous server may have died with the last report
            trained = {row[0]: row[3] for row in result.world.work if row[3] is not None}
            assert {trained[site] >= ROUNDS - 1 for site in "abc"} == {True}, (where, trained)
        else:
            last = {seen.site: seen.round for seen in result.world.trace.observations}
            assert all(last.get(site, -1) < ROUNDS - 1 for site in lost), (where, last)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_nobody_hangs_and_the_others_go_on(name, variant):
    """Every fault, each in another phase."""
    for number, fault in enumerate(FAULTS):
        found = instants(name, variant, FAULTS[fault][0])
        if found:
            phase = list(found)[(number + len(name)) % len(found)]
            check(name, variant, fault, phase, found[phase])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_nobody_hangs_in_any_phase(name, variant):
    """Every fault in every phase."""
    for fault in FAULTS:
        for phase, at in instants(name, variant, FAULTS[fault][0]).items():
            check(name, variant, fault, phase, at)


def test_the_phases_are_found():
    for name, variant in CASES:
        found = instants(name, variant, "c")
        assert "training" in found or name in STANDS_STILL, name
        if name not in {"local", *STANDS_STILL}:
            assert {"sending", "receiving"} & set(found), name

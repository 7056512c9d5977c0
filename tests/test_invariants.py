"""What holds on every step of random scenarios: all verbs, topologies and methods, without training."""

import math
import re
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.simulation import simulate
from simulator.work.executors import PlanExecutor
from tests.algorithms.test_failures import SERVER_BASED, SERVERLESS
from tests.support import study

METHODS = [
    *SERVERLESS,
    *(
        one.replace("}", ", site_timeout: 10 min}") if "fedasync" in one or "fedbuff" in one else one
        for one in SERVER_BASED
    ),
    "{name: cyclic, rounds: 6}",
    "{name: dml, rounds: 3}",
    "{name: pooled, rounds: 3}",
]
NOT_DOING = {"lost", "refused", "available", "unavailable", "fail_over", "maintenance", "maintenance_over"}
"""Events at a node that its protocol has no part in."""


class Watching(PlanExecutor):
    """Computes nothing; keeps the weights of every mean."""

    def __init__(self):
        super().__init__()
        self.weights = {}

    def submit(self, job):
        super().submit(job)
        if "weights" in job.params:
            self.weights[job.key] = (job.task, job.params["weights"], len(job.inputs))


def moment(low, high):
    return st.integers(low, high).map(lambda s: f"'uniform({s} s, {s} s)'")


SITE = st.sampled_from(["a", "b", "c", "tag:all", "tag:two"])
NODE = st.sampled_from(["a", "b", "c", "server", "tag:two"])
AT, LONG = (
    moment(0, 400),
    st.sampled_from(["7 s", "45 s", "10 min", "2 h", "exp(1 min)", "weibull(2 min, 0.7)"]),
)
FAULT = st.one_of(
    st.builds("{{at: {}, for: {}, {}: {}}}".format, AT, LONG, st.sampled_from(["crash", "disconnect"]), NODE),
    st.builds("{{at: {}, {}: {}}}".format, AT, st.sampled_from(["crash", "leave", "disconnect"]), SITE),
    st.builds("{{at: {} s, join: {}}}".format, st.integers(0, 200), st.sampled_from("abc")),
    st.builds("{{at: {}, for: {}, flap: {}, down: exp(5 s), up: exp(20 s)}}".format, AT, LONG, NODE),
    st.builds(
        "{{at: {}, for: {}, partition: {}}}".format, AT, LONG, st.sampled_from(["a", "'a b'", "'a; b; c'"])
    ),
    st.builds("{{at: {}, for: {}, straggle: {}, factor: {}}}".format, AT, LONG, NODE, st.integers(2, 20)),
    st.builds(
        "{{at: {}, for: {}, set: {{site: {}, bandwidth: 500 kbit/s, speed: 0.3}}}}".format, AT, LONG, NODE
    ),
    st.builds(
        "{{at: {}, for: {}, corrupt: {{site: {}, probability: {}}}}}".format,
        AT,
        LONG,
        NODE,
        st.sampled_from([0.2, 1]),
    ),
    st.builds(
        "{{at: {}, for: {}, churn: {}, rate: 20 %/min{}}}".format,
        AT,
        LONG,
        SITE,
        st.sampled_from(["", ", replacement: exp(30 s)"]),
    ),
    st.builds(
        "{{every: {}, for: exp(20 s), {}: {}}}".format,
        st.sampled_from(["exp(2 min)", "3 min, jitter: 1 min"]),
        st.sampled_from(["crash", "disconnect"]),
        SITE,
    ),
    st.builds("{{at: {}, fail_over: {}}}".format, AT, st.sampled_from(["a", "server"])),
)
PLACE = st.tuples(
    st.sampled_from(["star", "ring", "[[a, b], [b, c]]", "complete"]),
    st.sampled_from(["every mark", "every task", "2 rounds", "never"]),
    st.sampled_from([None, "compute-only", "line-only", "offline"]),
    st.sampled_from(
        [
            "{preset: ideal}",
            "{preset: tcp-cubic}",
            "{preset: tcp-bbr, restart: offset, damage: 0.1}",
            "{tier: window, retries: 0, stall_timeout: 5 s}",
            "{preset: ideal, message_loss: 0.1, message_duplication: 0.5, message_reordering: 0.3, "
            "deliver_duplicates: true}",
        ]
    ),
    st.sampled_from(["{}", "{kind: topk, fraction: 0.1, encode_rate: 1 MB/s, decode_rate: 2 MB/s}"]),
)
TIMES = '"site,start,transitions (s)\\na,on,60,90,200,230\\n"'
AVAILABLE = f"{{trace: {{csv: {TIMES}, at_end: repeat, period: 10 min}}, means: %s}}"


def play(folder, algorithm, faults, place, seed):
    """Plan one scenario; return (result, weights of means)."""
    overlay, checkpoint, means, transport, codec = place
    text = f"algorithm: {algorithm}\nfaults: [{', '.join(faults)}]\n"
    overrides = [
        f"seed.network={seed}",
        "stop.virtual_time=3 d",  # a site may crash faster than it works, and a year of that takes minutes
        f"network.overlay={overlay}" if overlay != "star" else "network.overlay={kind: star, hub: b}",
        f"network.transport={transport}",
        f"network.codec={codec}",
        "server.standby=a",
        "sites.a.tags=[two]",
        "sites.b.tags=[two]",
        f"sites.c.checkpoint={checkpoint}",
    ]
    overrides += [f"sites.b.availability={AVAILABLE % means}"] if means else []
    point = study(folder, text, *overrides).points[0]
    executor = Watching()
    return simulate(point.label, point.scenario, executor, "plan"), executor.weights


def check(result, weights, checkpoint, faults):
    events = result.world.trace.events
    assert result.end_reason == "all protocols ended" or may_wait_for_ever(faults), result.end_reason
    time_is_monotone(result, events)
    bytes_are_conserved(result)
    nothing_from_or_to_the_dead(result, events)
    for task, shares, num_inputs in weights.values():
        assert math.isclose(math.fsum(shares), 1.0, rel_tol=1e-9), (task, shares)
        assert len(shares) <= num_inputs
    versions_are_monotone(events, set() if checkpoint.startswith("every") else {"c"})
    every_fault_is_seen(result)


def may_wait_for_ever(faults):
    """Who crashes again and again waits anew each time, in vain where others are gone for good."""
    again = any("every:" in one and " crash:" in one for one in faults)
    for_good = any(" for:" not in one and re.search("crash|leave|disconnect", one) for one in faults)
    return again and for_good


def time_is_monotone(result, events):
    times = [row[1] for row in events]
    assert times == sorted(times)
    assert [row[0] for row in events] == list(range(len(events)))
    end = result.virtual_time_s
    for rows, start in ((result.world.work, 4), (result.ledger.rows("transfers"), 9)):
        for row in rows:
            assert 0 <= row[start] <= row[start + 1] <= end * (1 + 1e-9)
    for _, _, start_s, end_s in result.world.trace.outages:
        assert 0 <= start_s <= end_s <= end


def bytes_are_conserved(result):
    result.ledger.check()
    crossed = defaultdict(int)
    for row in result.ledger.rows("transfers"):
        nbytes, carried, status, route = row[7], row[8], row[11], row[13]
        assert 0 <= carried <= nbytes or row[6]
        assert status != "delivered" or carried == nbytes
        for link in route.split():
            crossed[link] += carried
    for row in result.ledger.rows("links"):
        assert row[6] == crossed[row[0]], row[0]


def down_spans(result):
    """Open intervals in which a machine is not there."""
    spans = defaultdict(list)
    for node, what, start_s, end_s in result.world.trace.outages:
        if what in {"crash", "leave"}:
            spans[node].append((start_s, end_s))
    return spans


def nothing_from_or_to_the_dead(result, events):
    spans, end = down_spans(result), result.virtual_time_s
    verbs = {row[2] for row in result.world.trace.faults}
    machine = result.world.succession.machine_of
    back = {node for _, time_s, node, event, *_ in events if time_s == end and event in {"recover", "join"}}

    def is_dead(node, time_s):
        return any(
            start < time_s < stop or (start < time_s == stop == end and machine(node) not in back)
            for start, stop in spans[machine(node)]
        )

    for _, time_s, node, event, *_ in events:
        if event not in verbs | NOT_DOING:
            assert not is_dead(node, time_s), (node, event, time_s)
    for node, task, _, _, start_s, end_s, status, *_ in result.world.work:
        if status == "done":
            assert not any(start_s < stop and start < end_s for start, stop in spans[machine(node)]), (
                node,
                task,
            )
    for row in result.ledger.rows("transfers"):
        if row[11] == "delivered":
            assert not is_dead(row[3], row[10]), row
            assert not is_dead(row[2], row[9]), row


def versions_are_monotone(events, forgetful):
    last = {}
    for _, _, node, event, round_, *_ in events:
        if event == "fail_over":  # the standby may lack the last round: sites work on the one before
            last.clear()
        elif event in {"crash", "leave", "join", "recover"}:
            last.pop((node, "aggregated"), None)
            if node in forgetful or event in {"leave", "join"}:
                last.pop((node, "round"), None)
        if event in {"aggregated", "round"} and round_ is not None:
            assert round_ >= last.get((node, event), -1), (node, event, round_)
            last[node, event] = round_


def every_fault_is_seen(result):
    seen = {row[0] for row in result.world.trace.faults}
    assert seen == set(range(len(result.scenario.faults)))
    for row in result.world.trace.faults:
        assert row[5] in {"fired", "no effect", "never fired", "not applicable"}
        assert row[5] == "fired" or row[6], row


def searched(folder, examples, methods):
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],  # shrinking takes minutes; add Phase.shrink to look into a failure
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(methods), st.lists(FAULT, max_size=5), PLACE, st.integers(1, 1000))
    def holds(algorithm, faults, place, seed):
        try:
            result, weights = play(folder, algorithm, faults, place, seed)
        except ScenarioError:  # who joins must have left, drawn or not
            reject()
        check(result, weights, place[1], faults)
        again, _ = play(folder, algorithm, faults, place, seed)
        assert again.world.trace.text() == result.world.trace.text()

    holds()


def test_invariants_hold_in_random_scenarios(tmp_path):
    searched(tmp_path, 200, METHODS)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_invariants_hold_for_every_method(tmp_path, method):
    searched(tmp_path, 40, [method])

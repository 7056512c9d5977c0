"""Churn, stragglers, corruption, fail-over and jitter; and what is reported of faults that did nothing."""

import pytest

from simulator.rng import stream
from simulator.scenario.schema import Fault
from simulator.scenario.targets import tags_of
from simulator.scenario.times import parse_distribution
from tests.support import run, scripted

TICKS = "algorithm: {name: scripted}\n"


def ticking(monkeypatch, tmp_path, faults, *overrides, until=1000):
    """Let every site tick every 10 s; return (simulation, (site, time, is a newcomer) of every start)."""
    starts = []

    def site(node, cfg):
        starts.append((node.name, node.now, not node.durable))
        node.durable["been"] = True
        while node.now < until:
            yield node.sleep(10)

    with scripted(monkeypatch, site):
        return run(tmp_path, f"{TICKS}faults: {faults}\n", *overrides), starts


def fired(result, verb):
    return [(row[3], row[4]) for row in result.world.trace.faults if row[2] == verb and row[5] == "fired"]


def test_churn_takes_its_share_and_newcomers_begin_with_nothing(monkeypatch, tmp_path):
    text = '[{from: 0 s, to: 1000 s, churn: "tag:all", rate: 25 %/min, replacement: exp(20 s)}]'
    result, starts = ticking(monkeypatch, tmp_path, text)
    leaves, joins = fired(result, "leave"), fired(result, "join")
    assert 3 < len(leaves) < 25, "three sites, 1,000 s, each gone after four minutes on average"
    assert [one for one in starts if one[1] > 0] == [(name, time, True) for name, time in joins]
    _crashed, again = ticking(monkeypatch, tmp_path, "[{at: 15 s, for: 5 s, crash: a}]")
    assert ("a", 20.0, False) in again
    for one in leaves:
        assert not [
            row
            for row in result.world.trace.events
            if row[2] == one[0] and row[1] == one[1] and row[3] == "join"
        ]


def test_without_replacement_who_leaves_is_gone_for_good(monkeypatch, tmp_path):
    result, starts = ticking(monkeypatch, tmp_path, "[{at: 0 s, churn: [a, b, c], rate: 50 %/min}]")
    leaves = fired(result, "leave")
    assert len(leaves) == len({name for name, _ in leaves}) == 3
    assert len(starts) == 3
    assert result.warnings == ()


def test_a_churn_that_takes_nobody_is_reported_once(monkeypatch, tmp_path):
    result, _ = ticking(monkeypatch, tmp_path, '[{from: 1 s, to: 2 s, churn: "tag:all", rate: 1 %/d}]')
    assert len(result.warnings) == 3
    assert "never fired for a: the run ended at 1000 s" in result.warnings[0]
    result, _ = ticking(
        monkeypatch, tmp_path, "[{at: 0 s, churn: [a, b], rate: 30 %/min}, {at: 1 s, churn: c, rate: 1 %/d}]"
    )
    assert [text[-30:] for text in result.warnings] == ["for c: the run ended at 1000 s"]


def test_a_straggler_is_slow_by_its_factor_while_it_lasts(tmp_path):
    text = "algorithm: {name: local, rounds: 1}\nfaults: [{at: 4 s, for: 12 s, straggle: a, factor: 3}]\n"
    result = run(tmp_path, text)
    work = {row[0]: row[5] for row in result.world.work if row[1] == "train"}
    assert work == {"a": 18.0, "b": 40.0, "c": 30.0}, "4 s done, 12 s for 4 s, 2 s more"


@pytest.mark.parametrize("where", ["site: a, direction: up", "link: a.up"])
def test_payloads_on_a_corrupt_line_arrive_damaged_while_it_lasts(tmp_path, where):
    text = "algorithm: {name: fedavg, rounds: 1}\n"
    text += "faults: [{from: 13.5 s, to: 30 s, corrupt: {%s, probability: 1}}]\n"
    result = run(tmp_path, text % where, "network.transport.backoff=10 s")
    tries = [(row[9], row[11], row[12]) for row in result.ledger.rows("transfers") if row[2] == "a"]
    assert tries == [
        (13.0, "failed", "checksum"),  # under way when it begins
        (24.0, "failed", "checksum"),
        (45.0, "delivered", ""),
    ]
    assert result.warnings == ()
    calm = run(tmp_path, (text % where).replace("probability: 1", "probability: 0.000001"))
    assert calm.warnings[0].endswith("had no effect on a: nothing was damaged") or "a.up" in calm.warnings[0]


def test_a_planned_fail_over_moves_the_server_at_its_instant(tmp_path):
    text = "algorithm: {name: fedavg, rounds: 4}\n"
    text += "faults: [{at: 60 s, fail_over: b}, {at: 110 s, fail_over: server}]\n"
    result = run(tmp_path, text, "server.standby=b")
    moves = [
        (row[1], row[2], row[5]) for row in result.world.trace.events if row[3] == "fail_over" and row[5]
    ]
    assert moves == [(60.0, "server@b", "server"), (110.0, "server", "server@b")]
    assert result.warnings == ()
    assert [row[2] for row in result.world.trace.events if row[3] == "aggregated"][-1] == "server"


def test_times_with_jitter_keep_their_grid(monkeypatch, tmp_path):
    line = "[{every: 100 s, jitter: 20 s, for: 5 s, disconnect: a}]"
    result, _ = ticking(monkeypatch, tmp_path, line, until=3000)
    times = [time for _, time in fired(result, "disconnect")]
    nominal = [100 + 105 * number for number in range(len(times))]
    assert len(times) > 20
    off = [time - due for time, due in zip(times, nominal, strict=True)]
    assert all(-20 <= one <= 20 for one in off)
    assert min(off) < -10
    assert max(off) > 10


@pytest.mark.parametrize(
    ("text", "mean"),
    [("weibull(10 s, 1)", 10.0), ("weibull(10 s, 2)", 8.862), ("weibull(1 min, 0.5)", 120.0)],
)
def test_weibull_has_the_mean_of_its_formula(text, mean):
    draw, rng = parse_distribution(text, "duration"), stream(1, "weibull")
    assert sum(draw(rng) for _ in range(20_000)) / 20_000 == pytest.approx(mean, rel=0.05)


DONE = "its protocol had ended"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{at: 500 s, crash: a}", DONE),
        ("{at: 500 s, leave: a}", DONE),
        ("{at: 500 s, disconnect: a}", DONE),
        ("{at: 500 s, for: 5 s, flap: a, down: 1 s, up: 1 s}", DONE),
        ("{at: 500 s, straggle: a, factor: 2}", DONE),
        ("{at: 500 s, set: {site: a, speed: 0.5}}", DONE),
        ("{at: 500 s, churn: a, rate: 500 %/min}", DONE),
        ("{at: 500 s, set: {site: a, latency: 1 s}}", DONE),
        ("{at: 500 s, corrupt: {site: a, probability: 1}}", "nothing was damaged"),
        ("{at: 10 s, leave: b}, {at: 500 s, for: 5 s, crash: b}", "was already down"),
        ("{at: 10 s, leave: b}, {at: 500 s, disconnect: b}", "was already down"),
        ("{at: 'exp(1 s)', for: 1 s, crash: b}, {at: 500 s, recover: b}", "was already up"),
        ("{at: 'exp(1 s)', for: 1 s, disconnect: b}, {at: 500 s, reconnect: b}", "was not disconnected"),
        ("{at: 10 s, leave: b}, {at: 500 s, partition: b}", "all that are left are in one group"),
        ("{at: 2000 s, crash: b}", "never fired for b: the run ended at 1000 s"),
        ("{at: 2000 s, partition: b}", "never fired for b: the run ended at 1000 s"),
        (
            "{at: 2000 s, corrupt: {link: b.up, probability: 1}}",
            "never fired for b.up: the run ended at 1000 s",
        ),
    ],
)
def test_what_did_nothing_is_reported(monkeypatch, tmp_path, line, reason):
    """Site a ends at 100 s, the others at 1000 s."""

    def site(node, cfg):
        yield node.sleep(100 - node.now if node.name == "a" else 1000 - node.now)

    with scripted(monkeypatch, site):
        result = run(tmp_path, f"{TICKS}faults: [{line}]\n")
    number = line.count("{at")
    (warning,) = result.warnings
    assert warning.endswith(reason)
    statuses = {row[5] for row in result.world.trace.faults if row[0] == number - 1}
    assert statuses <= {"no effect", "never fired"}


@pytest.mark.parametrize(
    ("lines", "lasting"),
    [
        ("{at: 'uniform(10 s, 11 s)', for: 20 s, crash: b}, {at: 20 s, for: 30 s, crash: b}", 1),
        ("{at: 10 s, for: 20 s, crash: b}, {at: 20 s, for: 30 s, disconnect: b}", 1),
        ("{at: 10 s, for: 20 s, leave: b}, {at: 20 s, for: 30 s, straggle: b, factor: 2}", 1),
        ("{at: 10 s, for: 20 s, leave: b}, {at: 20 s, for: 30 s, set: {site: b, latency: 1 s}}", 1),
        ("{at: 'uniform(40 s, 41 s)', join: b}, {at: 20 s, for: 60 s, crash: b}", 1),
    ],
)
def test_what_began_while_its_node_was_away_and_outlasts_that_has_an_effect(
    monkeypatch, tmp_path, lines, lasting
):
    def site(node, cfg):
        yield node.sleep(max(0.0, 100 - node.now))

    with scripted(monkeypatch, site):
        result = run(tmp_path, f"{TICKS}faults: [{lines}]\n")
    assert not result.warnings
    begun, ended = (row for row in result.world.trace.faults if row[0] == lasting)
    assert (begun[5], begun[6]) == ("fired", "began while it was away")
    assert ended[5] == "fired"


def test_a_site_is_among_all():
    assert tags_of(())["all"] == ()
    assert Fault.model_validate({"at": "1 s", "crash": "tag:all"}).crash == "tag:all"


def test_a_newcomer_takes_no_place_that_was_taken_again(monkeypatch, tmp_path):
    """Its site has come back by a line of its own before the replacement does, and keeps what it has."""
    seen = []

    def site(node, cfg):
        node.durable["since"] = node.now
        yield node.sleep(150 - node.now)
        seen.append((node.name, dict(node.durable)))
        yield node.sleep(1000)

    churn = "{at: 10 s, for: 20 s, churn: a, rate: 60000 %/min, replacement: 100 s}"
    text = f"algorithm: {{name: scripted}}\nfaults: [{churn}, {{at: 50 s, join: a}}]\n"
    with scripted(monkeypatch, site):
        run(tmp_path, text)
    assert dict(seen)["a"] == {"since": 50.0}

"""The verbs of the protocol interface, and what a protocol sees of failures."""

import re

import pytest

from simulator.api import ReceiveTimeout, TransferFailed
from tests.support import run, scripted

# 250,000 parameters in fp32 = 1,000,000 bytes; 8 Mbit/s = 1,000,000 bytes/s: a model takes 1 s
# between a and b, 2 s from c. One epoch: a 10 s, b 40 s, c 30 s.


@pytest.fixture
def play(monkeypatch, tmp_path):
    """Run protocols given per site name on sites a, b, c; return (simulation, log)."""

    def start(roles, faults="[]", *overrides):
        log = []

        def site(node, cfg):
            if node.name in roles:
                yield from roles[node.name](node, lambda *what: log.append((round(node.now, 6), *what)))

        with scripted(monkeypatch, site):
            text = f"algorithm: {{name: scripted}}\nfaults: {faults}\n"
            return run(tmp_path, text, *overrides), log

    return start


def begin(node):
    return node.compute(node.learner.init)


def test_compute_takes_the_modeled_time_and_send_the_time_of_the_bytes(play):
    def a(node, say):
        model = yield begin(node)
        model = yield node.compute(node.learner.train, model, epochs=2, first_epoch=0)
        say("trained")
        yield node.send("b", "model", model, round=3)
        say("delivered")

    def b(node, say):
        message = yield node.receive("model")
        say("received", message.src, message.header["round"], message.model.task)

    result, log = play({"a": a, "b": b})
    assert log == [(20.0, "trained"), (21.0, "received", "a", 3, "train"), (21.0, "delivered")]
    assert result.end_reason == "all protocols ended"
    assert result.ledger.totals() == {"delivered": 1_000_000, "failed": 0, "in_flight": 0}


def test_receive_times_out_and_does_not_eat_a_later_message(play):
    def a(node, say):
        try:
            yield node.receive("model", timeout_s=5)
        except ReceiveTimeout as timeout:
            say("timeout", timeout.args)
        yield node.sleep(60)
        say("found", [message.src for message in node.drain("model")])

    def b(node, say):
        model = yield begin(node)
        yield node.sleep(6)
        node.post("a", "model", model)

    _, log = play({"a": a, "b": b})
    assert log == [(5.0, "timeout", ("model", 5)), (65.0, "found", ["b"])]


def test_messages_come_oldest_first_and_by_kind(play):
    def a(node, say):
        yield node.sleep(10)
        say((yield node.receive("x")).header["n"], (yield node.receive("y")).header["n"])
        say([message.header["n"] for message in node.drain("x")])
        say(node.drain("x"))

    def b(node, say):
        for n, kind in enumerate("xyxx"):
            yield node.send("a", kind, n=n)

    _, log = play({"a": a, "b": b})
    assert log == [(10.0, 0, 1), (10.0, [2, 3]), (10.0, [])]


def test_a_handler_answers_while_the_protocol_computes(play):
    def a(node, say):
        node.on("ping", lambda message: node.post(message.src, "pong"))
        model = yield begin(node)
        yield node.compute(node.learner.train, model, epochs=1, first_epoch=0)
        say("trained")

    def b(node, say):
        yield node.sleep(3)
        node.post("a", "ping")
        yield node.receive("pong", timeout_s=1)
        say("answered")

    _, log = play({"a": a, "b": b})
    assert [what for _, what in log] == ["answered", "trained"]
    assert log[0][0] < 4


def test_a_crash_loses_work_and_mail_but_not_what_is_durable(play):
    def a(node, say):
        say("starts", node.durable.get("done", 0), len(node.drain("note")))
        model = yield begin(node)
        for epoch in range(node.durable.get("done", 0), 3):
            model = yield node.compute(node.learner.train, model, epochs=1, first_epoch=epoch)
            node.durable["done"] = epoch + 1
        say("ends")

    def b(node, say):
        yield node.sleep(15)
        node.post("a", "note")

    result, log = play({"a": a, "b": b}, "[{at: 25 s, crash: a}, {at: 100 s, recover: a}]")
    assert log == [(0.0, "starts", 0, 0), (100.0, "starts", 2, 0), (110.0, "ends")]
    assert [row[6] for row in result.world.work if row[1] == "train"] == ["done", "done", "lost", "done"]
    lost = next(row for row in result.world.work if row[6] == "lost")
    assert (lost[4], lost[5]) == (20.0, 25.0)
    assert lost[7] == pytest.approx(0.5 * result.world.work[1][7]), "half of the epoch was done"


def test_a_crash_loses_work_that_still_waits_for_the_processor(play):
    def a(node, say):
        model = yield begin(node)
        node.compute(node.learner.train, model, epochs=1, first_epoch=0)
        yield node.compute(node.learner.train, model, epochs=1, first_epoch=1)

    result, _ = play({"a": a}, "[{at: 5 s, crash: a}]")
    rows = [(row[4], row[5], row[6]) for row in result.world.work if row[1] == "train"]
    assert rows == [(0.0, 5.0, "lost"), (5.0, 5.0, "lost")]
    assert result.world.work[-1][7] == 0.0


def test_work_beyond_the_end_of_the_run_is_recorded_up_to_it(play):
    def a(node, say):
        model = yield begin(node)
        model = yield node.compute(node.learner.train, model, epochs=1, first_epoch=0)
        yield node.compute(node.learner.train, model, epochs=1, first_epoch=1)

    result, _ = play({"a": a}, "[]", "stop.virtual_time=12.5 s")
    first, second = (row for row in result.world.work if row[1] == "train")
    assert (first[5], first[6]) == (10.0, "done")
    assert (second[4], second[5], second[6]) == (10.0, 12.5, "running")
    assert second[7] == pytest.approx(0.25 * first[7])


def test_messages_of_one_instant_come_by_the_name_of_their_sender(play):
    def a(node, say):
        yield node.sleep(10)
        say([(message.src, message.header["n"]) for message in node.drain("x")])

    def c(node, say):
        for n in range(2):
            node.post("a", "x", n=n)
        yield node.sleep(2)
        node.post("a", "x", n=2)

    def b(node, say):
        yield node.sleep(0)  # after c
        yield node.sleep(2)
        node.post("a", "x", n=0)

    _, log = play({"a": a, "b": b, "c": c}, "[]", "network.transport.control_size=0 B")
    assert log == [(10.0, [("c", 0), ("c", 1), ("b", 0), ("c", 2)])]


def test_a_crash_of_the_peer_fails_the_transfer_with_the_bytes_carried(play):
    def a(node, say):
        model = yield begin(node)
        try:
            yield node.send("b", "model", model)
        except TransferFailed as failure:
            say(failure.reason)

    def b(node, say):
        yield node.sleep(50)

    result, log = play({"a": a, "b": b}, "[{at: 0.25 s, crash: b}]")
    assert log == [(0.25, "peer crashed")]
    assert result.ledger.totals() == {"delivered": 0, "failed": 250_000, "in_flight": 0}
    assert [row[3] for row in result.world.trace.events if row[3] == "lost"] == ["lost"]


def test_posting_to_the_dead_is_only_recorded(play):
    def a(node, say):
        model = yield begin(node)
        yield node.sleep(1)
        node.post("b", "model", model)
        yield node.sleep(1)
        say("goes on")

    result, log = play({"a": a}, "[{at: 0.5 s, crash: b}]")
    assert log == [(2.0, "goes on")]
    assert [row[3] for row in result.world.trace.events if row[3] == "lost"] == ["lost"]


def test_a_late_joiner_starts_with_nothing_durable(play):
    def a(node, say):
        say("starts", dict(node.durable))
        yield node.sleep(1)

    _, log = play({"a": a}, "[{at: 5 s, join: a}]")
    assert log == [(5.0, "starts", {})]


def test_waiting_for_ever_for_the_dead_is_a_named_deadlock(play):
    def a(node, say):
        yield node.receive("model")

    def b(node, say):
        yield node.sleep(3)

    result, _ = play({"a": a, "b": b})
    assert result.end_reason == "deadlock: a wait without a timeout for messages that cannot come"
    assert result.warnings == (result.end_reason,)
    assert result.virtual_time_s == 3.0


def test_endless_faults_do_not_keep_a_finished_run_alive(play):
    def a(node, say):
        yield node.sleep(100)

    text = "[{every: exp(7 s), for: exp(2 s), disconnect: b}]"
    result, _ = play({"a": a}, text)
    assert result.virtual_time_s == 100.0
    assert len([row for row in result.world.trace.faults if row[5] == "no effect"]) > 3, "b has ended"


def test_a_fault_that_never_fires_is_reported(play):
    def a(node, say):
        yield node.sleep(10)

    result, _ = play({"a": a}, "[{at: 1 h, crash: a}]")
    assert [row[5] for row in result.world.trace.faults] == ["never fired"]
    assert len(result.warnings) == 1
    assert "never fired for a: the run ended at 10 s" in result.warnings[0]


def test_the_run_stops_at_the_declared_virtual_time(play):
    def a(node, say):
        yield node.sleep(1000)

    result, _ = play({"a": a}, "[]", "stop.virtual_time=30 s")
    assert (result.virtual_time_s, result.end_reason) == (30.0, "virtual time of stop reached")


@pytest.mark.parametrize(("until", "happened"), [("30 s", 3), ("9 s", 0), ("29 s", 2)])
def test_what_happens_at_the_declared_virtual_time_belongs_to_the_run(play, until, happened):
    def a(node, say):
        model = yield begin(node)
        for epoch in range(10):
            model = yield node.compute(node.learner.train, model, epochs=1, first_epoch=epoch)
            say(epoch)

    result, log = play({"a": a}, "[]", f"stop.virtual_time={until}")
    assert (f"{result.virtual_time_s:g} s", len(log)) == (until, happened)


def test_streams_are_named_so_another_site_changes_nobodys_draws(play):
    draws = {}

    def role(node, say):
        draws.setdefault(node.name, []).append(node.rng("peer").random())
        draws[node.name].append(node.common_rng("pairs", 0).random())
        yield node.sleep(1)

    play({"a": role})
    alone = draws.pop("a")
    play({"a": role, "b": role})
    assert draws["a"] == alone
    assert draws["a"][0] != draws["b"][0]
    assert draws["a"][1] == draws["b"][1]


def test_a_protocol_that_lets_a_failed_transfer_escape_is_a_defect(play):
    def a(node, say):
        model = yield begin(node)
        yield node.send("b", "model", model)

    with pytest.raises(RuntimeError, match="let TransferFailed"):
        play({"a": a}, "[{at: 0.25 s, crash: b}]")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            lambda node: node.compute(node.learner.train, begin(node), epochs=1),
            "write yield before what gave it",
        ),
        (lambda node: node.send("b", "model", begin(node)), "node.send takes references to outcomes, not "),
        (lambda node: node.post("b", "model", 5), "node.post takes references to outcomes, not int"),
        (lambda node: 5, "the protocol of a yields 5; yield what node.compute, send, receive or sleep give"),
        (lambda node: None, "the protocol of a yields None; yield what"),
    ],
)
def test_a_slip_in_a_protocol_is_told_in_its_words(play, wrong, said):
    def a(node, say):
        yield wrong(node)

    with pytest.raises(TypeError, match=re.escape(said)):
        play({"a": a})

"""Who is the server: replicas, detection, and the standby that takes over."""

import pytest

from simulator.errors import ScenarioError
from tests.support import run, scripted

FEDAVG = "algorithm: {name: fedavg, rounds: 4, round_deadline: 200 s, server_patience: 5 min}\n"


def story(result, *events):
    return [(row[2], row[3], row[4]) for row in result.world.trace.events if row[3] in events]


def rounds(result):
    return [(row[2], row[4]) for row in result.world.trace.events if row[3] == "aggregated"]


def test_a_site_takes_over_from_its_last_replica_when_the_server_has_been_silent_long_enough(tmp_path):
    text = FEDAVG + "faults: [{at: 60 s, crash: server}]\n"
    result = run(tmp_path, text, "server.standby=a", "server.detect_after=20 s")
    takeover = next(row for row in result.world.trace.events if row[3] == "fail_over")
    assert (takeover[1], takeover[2], takeover[5]) == (80.0, "server@a", "server")
    assert rounds(result) == [("server", 0), *[("server@a", round_) for round_ in (1, 2, 3)]]
    assert result.end_reason == "all protocols ended"
    replicas = [row for row in result.ledger.rows("transfers") if row[4] == "replica"]
    assert [(row[2], row[3], row[8], row[6]) for row in replicas] == [
        ("server", "a", 256, True),
        ("server", "a", 4 * 249_992, False),
    ]
    assert all({row[2], row[3]} != {"a"} for row in result.ledger.rows("transfers")), "nothing to itself"
    alone = run(tmp_path, text)
    assert rounds(alone) == [("server", 0)]


@pytest.mark.parametrize(
    ("faults", "servers"),
    [
        ("{at: 60 s, crash: server, for: 25 s}", ["server"] * 4),  # back in time
        ("{at: 60 s, crash: server, for: 60 s}", ["server", *["server@a"] * 3]),
        ("{at: 60 s, disconnect: server, for: 100 s}", ["server", *["server@a"] * 3]),
        ("{at: 60 s, crash: [server, a]}", ["server", *["server@b"] * 3]),
        # the former server is a standby when it is back, with what it was sent meanwhile
        (
            "{at: 60 s, for: 60 s, crash: server}, {at: 145 s, crash: [a, b]}",
            ["server"] + ["server@a"] * 2 + ["server"],
        ),
        # nobody is there for a while: the first that comes back goes on
        ("{at: 60 s, crash: [server, a, b]}, {at: 150 s, recover: b}", ["server", *["server@b"] * 3]),
    ],
)
def test_the_line_of_succession(tmp_path, faults, servers):
    result = run(tmp_path, FEDAVG + f"faults: [{faults}]\n", "server.standby=[a, b]")
    assert [name for name, _ in rounds(result)] == servers
    assert [round_ for _, round_ in rounds(result)] == [0, 1, 2, 3]


def test_what_a_replaced_server_still_sends_reaches_nobody(tmp_path):
    text = FEDAVG + "faults: [{at: 45 s, disconnect: server, for: 35 s}]\n"
    result = run(
        tmp_path,
        text,
        "server.standby=standby",
        "standby={speed: 1 TFLOP/s, link: {up: 8 Mbit/s, down: 8 Mbit/s, latency: 0 ms}}",
    )
    assert story(result, "refused") == [(name, "refused", 1) for name in "abc"]
    # the replica of round 0 was cut off too, so that its work is done again
    assert rounds(result) == [("server", 0), *[("standby", round_) for round_ in range(4)]]


@pytest.mark.parametrize(
    ("parted", "servers"),
    [
        ("server", ["server", *["server@a"] * 3]),  # all others can do without it
        ("'server c; a b'", ["server", *["server@a"] * 3]),
        ("a", ["server"] * 4),  # the standby alone is no reason to leave the others without a server
        ("'server b c; a'", ["server"] * 4),
    ],
)
def test_a_standby_takes_over_across_a_partition_with_more_sites_on_its_side(tmp_path, parted, servers):
    result = run(
        tmp_path,
        FEDAVG + f"faults: [{{at: 60 s, for: 300 s, partition: {parted}}}]\n",
        "server.standby=a",
    )
    assert [name for name, _ in rounds(result)] == servers
    assert result.end_reason == "all protocols ended"


@pytest.mark.parametrize("at", range(40, 75, 2))
def test_a_planned_fail_over_repeats_no_round(tmp_path, at):
    text = FEDAVG + f"faults: [{{at: {at} s, fail_over: a}}, {{at: 160 s, fail_over: server}}]\n"
    result = run(tmp_path, text, "server.standby=a")
    assert [round_ for _, round_ in rounds(result)] == [0, 1, 2, 3]
    assert {name for name, _ in rounds(result)} == {"server", "server@a"}
    assert len([row for row in result.world.work if row[1] == "train"]) == 12, "nothing is trained twice"


def test_a_standby_lost_during_a_planned_fail_over_leaves_the_server_in_place(tmp_path):
    moments = [row[1] for row in run(tmp_path, FEDAVG).world.trace.events if row[3] == "aggregated"]
    faults = f"{{at: {moments[0] + 0.5} s, fail_over: a}}, {{at: {moments[0] + 0.8} s, crash: a}}"
    result = run(tmp_path, FEDAVG + f"faults: [{faults}]\n", "server.standby=a")
    assert rounds(result) == [("server", round_) for round_ in range(4)]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("server.standby=d", 'server.standby: no site "d"'),
        ("server.standby=standby", "add a machine"),
        ("server.standby=[a, b, a]", r"server.standby.2: a for the second time"),
        (
            "standby={speed: 1 TFLOP/s, link: {up: 8 Mbit/s, down: 8 Mbit/s, latency: 0 ms}}",
            "takes over from nobody",
        ),
    ],
)
def test_a_standby_that_cannot_be_is_refused(tmp_path, override, message):
    with pytest.raises(ScenarioError, match=message):
        run(tmp_path, FEDAVG, override)


def test_every_durable_state_of_a_server_is_replicated(tmp_path):
    """The state of methods with more than one model beside each other reaches the standby whole."""
    for name in (
        "fedsm, selector: linear",
        "fedbuff",
        "fedgs, local_epochs: 1",
        "hierarchical-fedavg",
        "scaffold",
    ):
        more = ["task.optimizer={name: sgd, lr: 0.1}"] if name == "scaffold" else []
        text = f"algorithm: {{name: {name}, rounds: 4}}\nfaults: [{{at: 150 s, crash: server}}]\n"
        result = run(tmp_path, text, "server.standby=a", *more)
        assert result.end_reason == "all protocols ended", name
        assert "server_lost" not in {row[3] for row in result.world.trace.events}, name


def test_a_replica_that_was_lost_is_sent_again_though_newer_state_waited_behind_it(monkeypatch, tmp_path):
    """The second state is durable while the first is on its way (until 1 s) and is lost; at 20 s the server
    goes on, so the standby has the second when the server dies.
    """
    seen = []

    def server(node, cfg):
        seen.append((node.name, node.now, node.durable.get("state", (None, 0))[1]))
        if node.name != "server":
            return
        model = yield node.compute(node.learner.init)
        node.durable["state"] = (model, 1)
        yield node.sleep(0.5)
        node.durable["state"] = (model, 2)
        yield node.sleep(20)
        yield node.sleep(1000)

    def site(node, cfg):
        yield node.sleep(500)

    faults = "{at: 0.8 s, for: 3 s, disconnect: a}, {at: 60 s, crash: server}"
    text = f"algorithm: {{name: scripted}}\nfaults: [{faults}]\n"
    impatient = ("network.transport.stall_timeout=1 s", "network.transport.retries=0")
    with scripted(monkeypatch, site, server):
        run(tmp_path, text, "server.standby=a", *impatient)
    assert seen[-1] == ("server@a", 90.0, 2)


def test_a_replica_that_comes_when_its_standby_leads_changes_nothing(monkeypatch, tmp_path):
    """It is cut off at 10.5 s, half of it there, and goes on at 50.5 s; the standby leads since 40.5 s."""
    seen = []

    def server(node, cfg):
        model = yield node.compute(node.learner.init)
        if node.name != "server":
            node.durable["led"] = True
            yield node.sleep(60)
            seen.append((node.now, dict(node.durable)))
            return
        node.durable["round"] = (model, 1)
        yield node.sleep(10)
        node.durable["round"] = ((yield node.compute(node.learner.train, model, epochs=0, first_epoch=0)), 2)
        yield node.sleep(1000)

    def site(node, cfg):
        yield node.sleep(500)

    text = "algorithm: {name: scripted}\nfaults: [{at: 10.5 s, for: 40 s, disconnect: server}]\n"
    with scripted(monkeypatch, site, server):
        result = run(tmp_path, text, "server.standby=a", "network.transport.stall_timeout=2 min")
    late = [row for row in result.ledger.rows("transfers") if row[4] == "replica" and row[2] == "server"]
    assert late[-1][11] == "delivered"
    assert late[-1][10] > 50
    ((now, durable),) = seen
    assert now == 100.5
    assert durable["led"]
    assert durable["round"][1] == 1


def test_a_standby_on_a_machine_that_has_not_joined_does_not_take_over(tmp_path):
    text = FEDAVG + "faults: [{at: 40 s, fail_over: a}, {at: 60 s, crash: server}, {at: 120 s, join: a}]\n"
    result = run(tmp_path, text, "server.standby=a", "server.detect_after=20 s")
    (planned,) = [row for row in result.world.trace.faults if row[2] == "fail_over"]
    assert planned[6] == "a is out of reach"
    takeover = next(row for row in result.world.trace.events if row[3] == "fail_over" and row[5])
    assert (takeover[1], takeover[2]) == (120.0, "server@a")

"""``medgossip network``: what it prints, its exit codes, its messages."""

import copy
import json

import pytest

from simulator import cli
from simulator.errors import ExitCode
from tests.network.test_cases import CASE
from tests.support import HEADER, SITES

SCENARIO = HEADER + SITES + "algorithm: {name: gossip-averaging, epochs: 4}\n"


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run a command of the group in a folder with ``cases.json`` and ``x.yaml``."""
    monkeypatch.chdir(tmp_path)
    alone = copy.deepcopy(CASE) | {"id": "one", "group": "single", "flows": CASE["flows"][:1]}
    alone["reference"] = {"linux": [1.2], "ns3": [1.1]}
    (tmp_path / "cases.json").write_text(json.dumps({"cases": [CASE, alone]}))
    (tmp_path / "x.yaml").write_text(SCENARIO)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.app(["network", *arguments])
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return run


def test_check_prints_groups_kinds_and_all(call):
    code, out, err = call("check", "cases.json")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "tier share against linux: relative error, median / 90th percentile"
    assert [line.split("  ")[0] for line in lines[2:7]] == [
        "group shared",
        "group single",
        "one flow, lossless",
        "several flows, lossless",
        "all",
    ]


def test_check_says_what_it_skips(call):
    code, out, err = call("check", "cases.json", "--system", "ns3")
    assert code == 0
    assert "one flow, lossless  1       1      8.3 / 8.3 %" in out
    assert err == "skipped 1: it has no column ns3: two\n"


def test_limits_hold_for_the_cases_chosen(call):
    limits = ("--makespan-median", "9%", "--flow-p90", "8%", "--mean-max", "8.2 %")
    code, _, err = call("check", "cases.json", "--system", "ns3", "--kind", "single", *limits)
    assert code == 1
    assert err.splitlines() == [
        "ns3: per flow, 90th percentile: 8.333 % is above 8 %",
        "ns3: case mean, worst: 8.333 % is above 8.2 %",
    ]
    assert call("check", "cases.json", "--system", "ns3", "--kind", "single", "--flow-max", "9%")[0] == 0


def test_check_writes_every_flow(call, tmp_path):
    call("check", "cases.json", "--json", "out.json")
    (system,) = json.loads((tmp_path / "out.json").read_text())["systems"]
    two = next(case for case in system["cases"] if case["id"] == "two")
    assert [(flow["flow"], flow["reference_s"]) for flow in two["flows"]] == [(0, 4.4), (1, 4.0)]
    assert two["flows"][0]["predicted_s"] == pytest.approx(4.2, abs=0.05)
    assert {part["name"]: part["num_flows"] for part in system["summary"]}["all"] == 3


def test_a_file_that_cannot_be_written_is_told_before_the_table(call):
    code, out, err = call("check", "cases.json", "--json", "nowhere/out.json")
    assert (code, out) == (ExitCode.ENVIRONMENT, "")
    assert err.startswith("cannot write nowhere/out.json: No such file or directory; choose another file")


def test_check_as_markdown(call):
    _, out, _ = call("check", "cases.json", "--tier", "share", "--system", "ns3", "--markdown")
    assert "| cases | number | flows | tier share | ns3 |\n|---|---|---|---|---|\n" in out
    assert out.count("| one flow, lossless | 1 | 1 |") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x.yaml",), "x.yaml: not a file of network cases"),
        (("none.json",), "none.json: not a file of network cases (No such file or directory)"),
        (("cases.json", "--against", "linus"), '--against linus: no case has "linus"; did you mean linux?'),
        (("cases.json", "--group", "x"), '--group x: no case has "x"; known are shared, single'),
        (
            ("cases.json", "--kind", "loss"),
            "cases.json: no case can be scored (none is of this kind and group)",
        ),
        (("cases.json", "--system", "linux"), "--system linux: compared with itself"),
        (("cases.json", "--flow-p90", "3"), '"3" is not a limit; write for example 3%'),
    ],
)
def test_check_refuses(call, arguments, message):
    code, _, err = call("check", *arguments)
    assert code == 2
    assert message in err


def test_ping_of_one_pair(call):
    code, out, _ = call("ping", "x.yaml", "--from", "c", "--to", "a", "--set", "sites.c.link.latency=20 ms")
    assert code == 0
    assert out.splitlines() == [
        "link    from   to     bandwidth  latency  loss   state",
        "c.up    c      @core  4 Mbit/s   20 ms    0.000  up",
        "a.down  @core  a      8 Mbit/s   0 us     0.000  up",
        "round trip: 40 ms without queues",
        "bottleneck: 4 Mbit/s (c.up)",
    ]


def test_a_pair_may_be_named_without_options(call):
    assert call("ping", "x.yaml", "c", "a") == call("ping", "x.yaml", "--from", "c", "--to", "a")
    size = ("--size", "1MB")
    assert call("transfer", "x.yaml", "c", "a", *size) == call(
        "transfer", "x.yaml", "--from", "c", "--to", "a", *size
    )


def test_ping_of_all_pairs(call):
    code, out, _ = call("ping", "x.yaml", "--from", "c")
    assert code == 0
    assert "c                 4 Mbit/s  4 Mbit/s  4 Mbit/s" in out
    found = json.loads(call("ping", "x.yaml", "--json")[1])["pairs"]
    assert len(found) == 12
    assert {pair["bottleneck"] for pair in found if pair["src"] == "c"} == {"c.up"}


CUT = ("--set", "faults=[{at: 2 h, crash: c}]", "--at", "3h")


def test_a_pair_that_is_cut(call):
    code, out, _ = call("ping", "x.yaml", "--from", "c", "--to", "a", *CUT)
    assert (code, out.splitlines()[-1]) == (1, "no answer: c has crashed")
    code, out, _ = call("transfer", "x.yaml", "--size", "1MB", "--from", "c", "--to", "a", *CUT)
    assert code == 1
    assert "peer crashed" in out
    code, out, _ = call("ping", "x.yaml", "--to", "a", *CUT)
    assert (code, out.splitlines()[-1]) == (0, "cut: c has crashed")
    code, out, _ = call("transfer", "x.yaml", "--size", "1MB", "--to", "a", *CUT)
    assert code == 0
    assert out.splitlines()[1:] == ["b           1 s", "c           peer crashed", "server      1 s"]


def test_transfers_named_run_at_once(call):
    names = ("--from", "a", "--from", "b", "--to", "server")
    _, out, _ = call("transfer", "x.yaml", "--size", "10 MB", *names, "--concurrent", "2")
    assert out.splitlines()[-1] == "all delivered after 40 s"
    assert out.count("delivered\n") == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ping", "x.yaml", "--from", "sever"), '--from sever: no node "sever"; did you mean server?'),
        (("ping", "x.yaml", "--from", "a", "--to", "a"), "--to a: the sender itself; name two nodes"),
        (("ping", "x.yaml", "a"), "a: a pair is two nodes; name more with --from and --to"),
        (("ping", "x.yaml", "a", "b", "--to", "c"), "a b: a pair is two nodes; name more with --from"),
        (("ping", "y.yaml"), "y.yaml"),
        (("ping", "x.yaml", "--at", "3"), '"3" has no unit; write "3 ms"'),
        (("transfer", "x.yaml", "--size", "5 m"), '"m" is not a unit of size'),
        (("ping", "x.yaml", "--set", "sites.a.link.up=0 B/s"), "carries nothing"),
    ],
)
def test_questions_that_cannot_be_asked(call, arguments, message):
    code, _, err = call(*arguments)
    assert code == 2
    assert message in err


def test_runs_whose_networks_differ_need_a_choice(call, tmp_path):
    (tmp_path / "x.yaml").write_text(SCENARIO + "sweep: {sites.a.link.up: [1 Mbit/s, 2 Mbit/s]}\n")
    code, _, err = call("ping", "x.yaml")
    assert (code, "differ; choose one with --only RUN" in err) == (2, True)
    label = err.split("networks of ")[1].split(" and ")[0]
    assert call("ping", "x.yaml", "--only", label)[0] == 0

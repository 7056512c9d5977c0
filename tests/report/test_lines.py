"""What a planner reads of machines and lines, worked out by hand."""

from simulator.plans import plan_with_report
from simulator.record.measures_run import load_run
from simulator.report.lines import assumptions, loads
from tests.record.runs_for_tests import made_run
from tests.support import study

# a round: the model of 1 MB to each of three sites, and from each of them
FEDAVG = "algorithm: {name: fedavg, rounds: 4, round_deadline: 2 min, server_patience: 1 h}\n"


def planned(tmp_path, text):
    _, page = plan_with_report(study(tmp_path, text), tmp_path / "runs")
    return load_run(page.parent / "fedavg"), page.read_text(encoding="utf-8").replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_every_line_has_its_bytes_and_how_much_of_it_they_take(tmp_path):
    """Five models down and four up: of 179 s 5 s and 4 s at 1 MB/s, 8 s up at c with half of that."""
    run, page = planned(tmp_path, FEDAVG)
    assert round(run.virtual_time_s) == 179
    rows = {row[0]: [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in row[1:]] for row in loads(run).rows}
    assert list(rows) == ["a", "b", "c", "server"]
    assert rows["a"] == rows["b"] == ["4 MB", "5 MB", "2.2 %", "2.8 %"]
    assert rows["c"] == ["4 MB", "5 MB", "4.5 %", "2.8 %"]
    assert rows["server"][:2] == ["15 MB", "12 MB"]
    assert "What the lines carried" in page


def test_machines_and_lines_are_told_with_their_units(tmp_path):
    run, page = planned(tmp_path, FEDAVG)
    rows = {row[0]: row[1:] for row in assumptions([run]).rows}
    assert rows["c"] == ("30", "measured", "3 GFLOP/s", "4 Mbit/s", "8 Mbit/s", "0 us")
    assert rows["server"] == ("–", "declared speed", "1 TFLOP/s", "8 Mbit/s", "8 Mbit/s", "0 us")
    assert "What was assumed" in page


def test_runs_with_other_lines_have_no_common_assumptions_and_a_run_without_models_no_loads(tmp_path):
    site = {"site": "a", "role": "site", "flop_per_s": 1.0, "up_bytes_per_s": 1.0, "latency_s": 0.1}
    slow = made_run(sites=[site])
    assert assumptions([slow, slow]).rows[0][3:6] == ("1 FLOP/s", "8 bit/s", "unlimited")
    assert assumptions([slow, made_run(sites=[site | {"up_bytes_per_s": 2.0}])]) is None
    link = {"link": "a.up", "src": "a", "dst": "@core", "carried_nbytes": 0}
    assert loads(made_run(links=[link])) is None

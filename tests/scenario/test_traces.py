"""Trace files: read into the scenario, with the file and line of what is wrong in them."""

import pytest

from simulator.errors import ScenarioError
from simulator.scenario import digest
from simulator.scenario.clock import window
from simulator.scenario.dump import dump
from simulator.scenario.traces import bin_mahimahi, parse_csv
from tests.scenario.conftest import BASE

LINE = "network: {conditions: [{site: north, trace: {file: t/up.csv, at_end: hold}}]}\n"
RADIO = "network: {conditions: [{site: north, mahimahi: {file: t/radio, step: 500 ms, at_end: repeat}}]}\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "t").mkdir()
    return tmp_path / "t"


def test_a_file_becomes_part_of_the_scenario(load, folder):
    """The run's copy holds the table, reads back to the same, and its digest follows the file."""
    (folder / "up.csv").write_text("time (s),bandwidth (Mbit/s)\n0,20\n60,10\n", encoding="utf-8")
    scenario = load(BASE + LINE).points[0].scenario
    trace = scenario.network.conditions[0].trace
    assert (trace.source, trace.file) == ("t/up.csv", None)
    assert parse_csv(trace.csv).values == {"bandwidth": (2.5e6, 1.25e6)}
    (folder / "up.csv").unlink()
    assert load(dump(scenario)).points[0].scenario == scenario
    (folder / "up.csv").write_text("time (s),bandwidth (Mbit/s)\n0,20\n60,11\n", encoding="utf-8")
    assert digest(load(BASE + LINE).points[0].scenario) != digest(scenario)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time (s),loss\n0,0\n9,0\n8,0\n", '4: time "8" goes back; every row must be later than'),
        ("time (s),loss\n0,0\n0,0\n", '3: time "0" stands still'),
        ("time (s),loss\n0,0\n1e-7,0\n", '3: time "1e-7" is less than 1 ms after the row before'),
        ("time (s),loss\n0,0\n1\n", "3: 1 values for 2 columns"),
        ("time (s),loss\n0,x\n", '2: loss "x" is not a number; write a share below 1, 0 for none'),
        ("time (s),loss\n0,nan\n", '2: loss "nan" must be finite and not negative; write a share below 1'),
        ("time (s),latency (ms)\n-1,0\n", '2: time "-1" must be finite and not negative; write when'),
        ("time (s),latency (ms)\n0,-3\n", '2: latency "-3" must be finite and not negative; write a delay'),
        ("time (s),speed (m)\n", '1: no column "speed (m)"'),
        ("time (h),bandwidth (Mbps)\n", '1: "Mbps" is not a unit of bandwidth'),
        ("loss,time (s)\n", "1: the first column is not time"),
        ("time (s)\n0\n", "1: nothing but time"),
        ("time (s),loss\n", "1: no rows"),
        ("", "1: the first column is not time"),
        ("time (s),loss,loss (%)\n", "1: loss for the second time"),
    ],
)
def test_the_line_of_a_table(load, folder, text, message):
    (folder / "up.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load(BASE + LINE)
    start = "x.yaml:17:52: network.conditions.0.trace.file: t/up.csv:"
    assert str(caught.value).startswith(start + message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\n5\n4\n", '3: time "4" goes back'),
        ("0\nx\n", '2: "x" is not a time in whole milliseconds; write one'),
        ("0\n", "1: a trace without length"),
        ("", "1: a trace without length"),
        ("999999999999\n", "1: 2,000,000,000 steps, at most 20,000"),
    ],
)
def test_the_line_of_a_packet_delivery_trace(load, folder, text, message):
    (folder / "radio").write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load(BASE + RADIO)
    start = "x.yaml:17:55: network.conditions.0.mahimahi.file: t/radio:"
    assert str(caught.value).startswith(start + message)


def test_packets_are_counted_by_steps():
    """3 chances in the first 0.5 s, none in the second, 2 in the last 0.25: the one at the very end,
    where the trace begins again, is the last step's. 1504 bytes each."""
    table, period_s = bin_mahimahi(["0", "0", "499", "1000", "1250"], 0.5)
    assert period_s == 1.25
    assert parse_csv(table).times == (0.0, 0.5, 1.0)
    assert parse_csv(table).values == {"bandwidth": (9024.0, 0.0, 12032.0)}


def test_a_packet_delivery_trace_becomes_a_table(load, folder):
    (folder / "radio").write_text("0\n700\n1000\n", encoding="utf-8")
    trace = load(BASE + RADIO).points[0].scenario.network.conditions[0].trace
    assert (trace.period, trace.at_end, trace.source) == (1.0, "repeat", "t/radio")


def test_windows_over_midnight():
    assert window("18:00-06:00", weekly=False) == ((64800.0, 86400.0), (0.0, 21600.0))
    assert window("Sun 23:00-01:00", weekly=True) == ((601200.0, 604800.0), (0.0, 3600.0))
    assert window("Mon 23:00-24:00", weekly=True) == ((82800.0, 86400.0),)

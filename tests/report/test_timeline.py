import json

import pytest

from simulator.record.measures_run import load_run
from simulator.report.timeline import write_trace
from tests.report.fixtures import Shape, write_run


@pytest.fixture(params=["fedavg", "gcml", "plan"])
def trace(request, tmp_path):
    shape = Shape(rounds=4, overlays=False, plan=request.param == "plan")
    folder = write_run(tmp_path / "run", "gcml" if request.param == "plan" else request.param, shape=shape)
    path = write_trace(load_run(folder))
    assert path == folder / "trace.json"
    return json.loads(path.read_text())


def test_every_event_has_what_the_format_asks_for(trace):
    needed = {
        "M": {"name", "args"}, "X": {"name", "cat", "dur", "args"}, "i": {"name", "s"},
        "s": {"id", "cat", "name"}, "f": {"id", "cat", "name", "bp"},
    }  # fmt: skip
    assert {event["ph"] for event in trace["traceEvents"]} == needed.keys()
    for event in trace["traceEvents"]:
        assert needed[event["ph"]] | {"pid", "tid", "ts"} <= event.keys()
        assert isinstance(event["ts"], int)
        assert event["ts"] >= 0
        assert event.get("dur", 0) >= 0


def test_times_are_microseconds_and_in_order(trace):
    timed = [event for event in trace["traceEvents"] if event["ph"] != "M"]
    assert [e["ts"] for e in timed] == sorted(e["ts"] for e in timed)
    outage = next(e for e in timed if e["name"] == "disconnect")
    assert (outage["ts"], outage["dur"]) == (200_000_000, 60_000_000)


def test_spans_of_one_thread_never_overlap(trace):
    ends = {}
    for event in (e for e in trace["traceEvents"] if e["ph"] == "X"):
        thread = (event["pid"], event["tid"])
        assert event["ts"] >= ends.get(thread, 0)
        ends[thread] = event["ts"] + event["dur"]


def test_threads_and_processes_are_named_once(trace):
    named = [(e["pid"], e["tid"]) for e in trace["traceEvents"] if e["ph"] == "M"]
    assert len(named) == len(set(named))
    assert {(e["pid"], e["tid"]) for e in trace["traceEvents"] if e["ph"] != "M"} <= set(named)


def test_an_arrow_joins_a_slice_of_the_sender_to_one_of_the_receiver(trace):
    slices = {(e["pid"], e["tid"], e["ts"]): e for e in trace["traceEvents"] if e["ph"] == "X"}
    ends = {(e["pid"], e["tid"], e["ts"] + e["dur"]) for e in slices.values()}
    starts = {e["id"]: e for e in trace["traceEvents"] if e["ph"] == "s"}
    arrivals = [e for e in trace["traceEvents"] if e["ph"] == "f"]
    assert {e["id"] for e in arrivals} == starts.keys()
    for arrival in arrivals:
        start = starts[arrival["id"]]
        assert slices[start["pid"], start["tid"], start["ts"]]["args"]["status"] == "delivered"
        assert (arrival["pid"], arrival["tid"], arrival["ts"]) in ends
        assert start["pid"] != arrival["pid"]


def test_details_that_are_not_json_numbers_survive(tmp_path):
    from simulator.record.tables_io import write_table

    folder = write_run(tmp_path / "run", "gcml", shape=Shape(rounds=1, overlays=False))
    write_table(folder, "events", [(0, 1.0, "north", "x", None, None, '{"loss": NaN}')])
    (event,) = (
        e for e in json.loads(write_trace(load_run(folder)).read_text())["traceEvents"] if e["ph"] == "i"
    )
    assert event["args"]["detail"] == {"loss": "NaN"}

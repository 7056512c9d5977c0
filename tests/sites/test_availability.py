"""Windows of the day and week, time zones, and traces: when machines work and when their lines are up."""

import json
import math

import pytest

from simulator.api import TransferFailed
from simulator.errors import ScenarioError
from simulator.scenario.availability import Availability, AvailabilityTrace
from simulator.scenario.presences import parse_json, parse_presences
from simulator.sites.compute import Calendar, Processor
from tests.support import SITES, run, scripted

H = 3600.0
NIGHTS = "{daily: ['20:00-06:00'], starts_at: '12:00', means: %s}"


def changes(calendar, until_s):
    """Return (hours, open from then on) of every change."""
    found, now = [], 0.0
    while True:
        now, opens = calendar.next_change(now)
        if now > until_s:
            return found
        found.append((now / H, opens))


def trace(csv, **more):
    return Calendar.from_spec(Availability(trace=AvailabilityTrace(csv=csv, **more)))


def test_nights_and_weekends_by_local_time():
    spec = Availability(
        daily=("20:00-06:00",),
        weekly=("Sat 00:00-24:00", "Sun 00:00-24:00"),
        starts_at="Thu 22:00",
        time_zone="+02:00",
    )  # the run begins on Friday at midnight, local time
    calendar = Calendar.from_spec(spec)
    assert calendar.is_open(0.0)
    # Friday until 6, from 20 over the weekend until Monday at 6, then nights
    assert changes(calendar, 100 * H) == [(6, False), (20, True), (78, False), (92, True)]
    assert calendar.finish(5 * H, 3 * H) == 22 * H
    assert calendar.finish(0.0, 200 * H) == pytest.approx(200 * H + _closed(200))


def _closed(hours):
    """Closed hours before so many open ones are over, counted hour by hour from Friday, 0:00."""
    closed = clock = 0
    while hours:
        day, hour = divmod(clock, 24)
        is_open = hour < 6 or hour >= 20 or (4 + day) % 7 in {5, 6}
        hours, closed, clock = hours - is_open, closed + (not is_open), clock + 1
    return closed * H


def test_a_trace_is_held_or_comes_again():
    table = "site,start,transitions (h)\na,on,2,5,6\n"
    held = trace(table, at_end="hold")
    assert changes(held, 100 * H) == [(2, False), (5, True), (6, False)]
    assert held.finish(H, 2 * H) == 6 * H
    assert held.finish(H, 2.5 * H) == math.inf
    again = trace(table, at_end="repeat", period="8 h")
    assert changes(again, 20 * H) == [
        (2, False), (5, True), (6, False), (8, True), (10, False), (13, True), (14, False), (16, True),
        (18, False),
    ]  # fmt: skip
    later = trace(table, at_end="repeat", period="8 h", start="7 h")
    assert changes(later, 4 * H) == [(1, True), (3, False)]
    assert trace("site,start,transitions (s)\na,on\n", at_end="hold").next_change(0.0) == (math.inf, True)


def test_work_that_will_never_be_done_is_done_in_part():
    processor = Processor(2.0, trace("site,start,transitions (s)\na,on,10\n", at_end="hold"))
    assert processor.finish(0.0, 40.0) == math.inf
    assert processor.part_done(0.0, math.inf, 5.0, 40.0) == 0.25
    assert processor.part_done(0.0, math.inf, 500.0, 40.0) == 0.5


def test_json_of_both_kinds_says_the_same_as_csv():
    ours = {"a": {"start": "on", "transitions": [7200, 18000]}}
    fedscale = {"a": {"active": [0, 18000], "inactive": [7200, 90000], "finish_time": 86400, "duration": 1}}
    table = parse_presences("site,start,transitions (h)\na,on,2,5\n")["a"]
    assert parse_json(json.dumps(ours))["a"] == table
    found = parse_json(json.dumps(fedscale))["a"]
    assert (found.is_on, found.transitions, found.period_s) == (True, (7200.0, 18000.0, 86400.0), 86400.0)


@pytest.mark.parametrize(
    ("means", "trained", "sent"),
    [("compute-only", 8 * H + 10, 0.0), ("line-only", 10.0, 8 * H), ("offline", 8 * H + 10, 8 * H)],
)
def test_what_unavailable_means(monkeypatch, tmp_path, means, trained, sent):
    """The run begins at noon; site a is there from 20:00. A send waits for the line, work for the window."""
    seen = {}

    def site(node, cfg):
        if node.name != "a":
            return (yield node.sleep(0))
        model = yield node.compute(node.learner.init)
        yield node.compute(node.learner.train, model, epochs=1)
        seen["trained"] = node.now
        yield node.send("b", "model", model)
        seen["sent"] = node.now

    overrides = (
        f"sites.a.availability={NIGHTS % means}",
        "network.transport={preset: ideal, stall_timeout: 1 d, give_up: 1 d}",
    )
    with scripted(monkeypatch, site):
        result = run(tmp_path, "algorithm: {name: scripted}\n", *overrides)
    assert seen["trained"] == trained
    assert seen["sent"] == pytest.approx(max(trained, sent) + 1.0)
    events = [(row[1], row[3]) for row in result.world.trace.events if row[3].endswith("available")]
    both = [(0.0, "unavailable"), (8 * H, "available")]
    assert events == ([] if means == "compute-only" else both)
    outages = [row for row in result.world.trace.outages if row[1] == "unavailable"]
    assert outages == ([] if means == "compute-only" else [("a", "unavailable", 0.0, 8 * H)])


def test_a_disconnection_and_an_absence_do_not_end_each_other(monkeypatch, tmp_path):
    arrived = []

    def site(node, cfg):
        while node.name == "a" and node.now < 70:
            yield node.sleep(40 if not arrived else 70 - node.now)
            try:
                yield node.send("b", "note")
                arrived.append(round(node.now))
            except TransferFailed as failure:
                arrived.append(failure.reason)
        yield node.sleep(max(0.0, 200 - node.now))

    availability = (
        '{trace: {csv: "site,start,transitions (s)\\na,on,20,60\\n", at_end: hold}, means: line-only}'
    )
    faults = "faults: [{from: 22 s, to: 30 s, disconnect: a}]\n"
    with scripted(monkeypatch, site):
        result = run(
            tmp_path, "algorithm: {name: scripted}\n" + faults, f"sites.a.availability={availability}"
        )
    assert arrived == ["link down", 70.0]
    assert result.world.trace.outages == [("a", "disconnect", 22.0, 30.0), ("a", "unavailable", 20.0, 60.0)]


FILES = {
    "t.csv": "site,start,transitions (h)\na,on,2\nb,off,3\n",
    "t.json": '{"a": {"active": [0], "inactive": [7200], "finish_time": 86400}}',
    "bad.csv": "site,start,transitions (h)\na,on,2,1\n",
    "head.csv": "site,state\n",
    "bad.json": "{",
}


@pytest.mark.parametrize(
    ("availability", "message"),
    [
        ("{trace: {file: t.csv, at_end: hold}}", ""),
        ("{trace: {file: t.json, at_end: repeat}}", ""),
        ("{trace: {file: t.csv, at_end: hold, row: c}}", 'trace.file: t.csv has no row "c"'),
        ("{trace: {file: none.csv, at_end: hold}}", 'no file "none.csv"'),
        ("{trace: {file: t.csv, at_end: repeat}}", "no period; write after what time"),
        ("{trace: {file: bad.csv, at_end: hold}}", "bad.csv:2: 3600 s does not come after 7200 s"),
        ("{trace: {file: head.csv, at_end: hold}}", "head.csv:1: the header is not"),
        ("{trace: {file: bad.json, at_end: hold}}", "bad.json:1: "),
        ("{trace: {at_end: hold}}", "no table"),
        ("{}", "never available"),
        ("{daily: ['20:00-06:00'], trace: {file: t.csv, at_end: hold}}", "daily says when already"),
        ("{weekly: ['Sat 00:00-24:00']}", "has no day, and windows of the week need one"),
        ("{daily: ['20:00-06:00'], time_zone: CET}", '"CET" is not an offset'),
        ("{trace: {file: t.csv, at_end: hold}, starts_at: '03:00'}", "a trace knows no time of day"),
    ],
)
def test_availability_from_files_and_what_is_wrong_with_it(tmp_path, availability, message):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    text = "algorithm: {name: local, rounds: 1}\n"
    given = SITES.replace("  - name: a\n", f"  - name: a\n    availability: {availability}\n")
    if message:
        with pytest.raises(ScenarioError, match=message):
            run(tmp_path, text, sites=given)
        return
    kept = run(tmp_path, text, sites=given).scenario.sites[0].availability.trace
    assert kept.csv.startswith("site,start,transitions (s)\na,on,7200")
    assert (kept.source, kept.file) == ("t.csv" if "t.csv" in availability else "t.json", None)

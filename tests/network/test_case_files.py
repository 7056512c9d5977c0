"""Malformed files of cases: what is told, word for word."""

import copy
import json

import pytest

from simulator.errors import ScenarioError
from simulator.network.case_files import read
from tests.network.test_cases import CASE


def link(case):
    return case["topology"]["links"][0]


MISTAKES = [
    (lambda c: c.pop("tcp"), "tcp: missing; add it"),
    (lambda c: link(c).update(bandwidth=-5.0), "topology.links.0.bandwidth: -5.0 must be above 0.0"),
    (lambda c: link(c).update(bandwidth_rev=0), "topology.links.0.bandwidth_rev: 0 must be above 0.0"),
    (lambda c: link(c).update(loss=1.0), "topology.links.0.loss: 1.0 must be below 1.0"),
    (lambda c: link(c).update(latency="10 ms"), 'topology.links.0.latency: expected a number, found "10 ms"'),
    (lambda c: link(c).update(dst="c"), 'topology.links.0.dst: no node "c"; known are a, b'),
    (lambda c: c["flows"][1].update(route=["m"]), 'flows.1.route.0: no link "m"; known are l'),
    (lambda c: c["flows"][0].update(dst="bb"), 'flows.0.dst: no node "bb"; did you mean b?'),
    (lambda c: c["flows"][0].update(route=["l~"]), "flows.0.route.0: l~ begins at b, but the flow is at a"),
    (
        lambda c: c["flows"][0].update(route=["l", "l~"]),
        "flows.0.route: ends at a, but the flow goes to b; add links",
    ),
    (lambda c: c["flows"][2].pop("rate"), "flows.2.rate: missing; a udp flow needs its rate in bit/s"),
    (
        lambda c: c["flows"][2].update(rate=8e6),
        "flows: udp takes 8e+06 bit/s of l, which has 8e+06; tcp needs something of it too",
    ),
    (
        lambda c: c["events"].extend({"t": t, "kind": "down", "link": "l"} for t in (5, 4)),
        "events.1.t: 4.0 s is before the event above it, 5.0 s; put them in order",
    ),
    (
        lambda c: c["events"].append({"t": 5, "kind": "bw", "link": "l", "bandwidth": 1e7}),
        "events.0.bandwidth_rev: missing; an event bw needs it",
    ),
    (
        lambda c: c["events"].append({"t": 5, "kind": "dwon", "link": "l"}),
        'events.0.kind: "dwon" is unknown; did you mean down?',
    ),
    (
        lambda c: c["reference"].update(ns3=[1.0]),
        "reference.ns3: 1 times for 3 flows; one each is needed",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), MISTAKES, ids=lambda m: m if isinstance(m, str) else "")
def test_a_mistake_is_told_with_its_place(tmp_path, spoil, message):
    case, path = copy.deepcopy(CASE), tmp_path / "cases.json"
    spoil(case)
    path.write_text(json.dumps({"cases": [CASE | {"id": "good"}, case]}))
    with pytest.raises(ScenarioError) as error:
        read(path)
    assert str(error.value) == f"{path}: case two: {message}"


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"cases": []}', '{"cases": {"id": 1}}'])
def test_another_file(tmp_path, text):
    path = tmp_path / "cases.json"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r'not a file of network cases .*; a JSON file with "cases"'):
        read(path)


def test_no_file(tmp_path):
    with pytest.raises(ScenarioError, match="No such file"):
        read(tmp_path / "cases.json")


def test_two_cases_of_one_name(tmp_path):
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": [CASE, CASE]}))
    with pytest.raises(ScenarioError, match="case two: id: a second case of this name; rename one"):
        read(path)

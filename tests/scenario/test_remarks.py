"""Settings of the network that nothing looks at are told with their place; those that matter are not."""

import pytest

from simulator.scenario.locate import show
from simulator.scenario.remarks import idle_settings
from tests.scenario.conftest import BASE

LOSSY = (
    BASE.replace("latency: 8 ms}", "latency: 8 ms, loss: 0.01, buffer: 1 MB, jitter: 1 ms}")
    + """\
server: {speed: unlimited, link: {up: 1 Gbit/s, down: 1 Gbit/s, latency: 0 s, loss: 0, jitter: 0 s}}
network:
  relays:
    - {name: hub, link: {up: 1 Gbit/s, down: 1 Gbit/s, latency: 1 ms}}
  routes: [{via: hub, between: all}]
  conditions:
    - {site: north, trace: {csv: "time_s,loss\\n0,0.1\\n5,0.2\\n", at_end: hold}}
faults:
  - {at: 1 h, set: {site: south, loss: 0.5}}
"""
)
KEYS = ["loss", "buffer", "jitter"]


def told(study):
    (point,) = study.points
    return [show(point.tree, finding)[1] for finding in idle_settings(point.scenario)]


@pytest.mark.parametrize(
    ("setting", "under", "keys"),
    [
        ("tier=simgrid", "tier simgrid", KEYS),
        ("tier=simgrid-cm02", "tier simgrid-cm02", KEYS),
        ("preset=ideal", "preset ideal", KEYS),
        ("preset=tcp-bbr", "preset tcp-bbr in tier share", ["buffer"]),
        ("preset=tcp-cubic", "", []),
        ("tier=window", "", []),
    ],
)
def test_what_has_no_effect_under_a_tier_or_preset_is_told(load, setting, under, keys):
    columns = {"loss": 59, "buffer": 71, "jitter": 85}
    more = {"loss": 3, "buffer": 1, "jitter": 1}
    effects = dict.fromkeys(KEYS, "has no effect") | {"jitter": "delays control messages only"}
    assert told(load(LOSSY, f"network.transport.{setting}")) == [
        f"x.yaml:10:{columns[key]}: sites.0.link.{key}: {effects[key]} under {under} "
        f"(and in {more[key]} more); remove it, or choose another {under.split()[0]}"
        for key in keys
    ]


def test_a_relay_that_no_route_names_is_told(load):
    text = LOSSY.replace("  routes: [{via: hub, between: all}]\n", "")
    assert told(load(text)) == [
        "x.yaml:20:14: network.relays.0.name: no route goes by way of hub; "
        "add routes: [{via: hub, between: …}]"
    ]

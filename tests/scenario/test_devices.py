import pytest

from simulator.errors import ScenarioError
from simulator.scenario.devices import DEVICES, SUSTAINED_SHARE
from simulator.sites.devices import sustained_flop_per_s


@pytest.mark.parametrize("name", list(DEVICES))
def test_a_device_sustains_the_share_assumed_for_its_class(name):
    device = DEVICES[name]
    assert 1e10 < device.sustained_flop_per_s < device.peak_flop_per_s < 1e16
    assert device.sustained_flop_per_s == device.peak_flop_per_s * SUSTAINED_SHARE[device.kind]
    assert device.source
    assert sustained_flop_per_s(name) == device.sustained_flop_per_s


def test_an_unknown_device_is_refused():
    with pytest.raises(ScenarioError, match=r'no device "rtx-3091"; did you mean rtx-3090\?'):
        sustained_flop_per_s("rtx-3091")


def test_names_are_sorted_within_the_catalog_and_all_classes_are_used():
    assert {device.kind for device in DEVICES.values()} == set(SUSTAINED_SHARE)
    assert len(DEVICES) >= 15

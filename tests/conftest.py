"""What every test leaves behind as it found it."""

import sys

import pytest
from hypothesis import HealthCheck, settings

# how busy the machine is says nothing about the code
settings.register_profile("medgossip", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("medgossip")


@pytest.fixture(autouse=True)
def numeric_state():
    """Undo what preparing a process for training changes: it must not leak into other tests."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_flush_denormal(False)

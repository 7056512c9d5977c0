"""What every test leaves behind as it found it."""

import sys

import pytest


@pytest.fixture(autouse=True)
def numeric_state():
    """Undo what preparing a process for training changes: it must not leak into other tests."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_flush_denormal(False)

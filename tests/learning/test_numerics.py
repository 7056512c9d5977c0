import subprocess
import sys

import pytest
import torch

from simulator.errors import SetupError
from simulator.learning.numerics import WORKER_ENVIRONMENT, numeric_mode, pick_device


def test_the_mode_names_what_decides_bits():
    mode = numeric_mode("bf16", "cpu")
    assert torch.__version__ in mode
    assert torch.backends.cpu.get_cpu_capability() in mode
    assert "bf16" in mode
    assert mode != numeric_mode("fp32", "cpu")


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == "cpu"
    with pytest.raises(SetupError, match="use --device cpu"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (pick_device("auto"), pick_device("cuda"), pick_device("cpu")) == ("cuda", "cuda", "cpu")


def test_a_process_is_set_up_and_what_plans_need_is_free_of_torch():
    script = """
import sys
import simulator.learning.architectures, simulator.learning.numerics as numerics
assert numerics.WORKER_ENVIRONMENT and "torch" not in sys.modules and "monai" not in sys.modules
numerics.setup_process()
import torch, torch.utils.deterministic
assert torch.get_num_threads() == 1
assert torch.are_deterministic_algorithms_enabled()
assert not torch.utils.deterministic.fill_uninitialized_memory
assert float(torch.tensor([1e-40]) * 1) == 0.0, "denormals are flushed"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_worker_environment_is_text():
    assert all(isinstance(text, str) for pair in WORKER_ENVIRONMENT.items() for text in pair)

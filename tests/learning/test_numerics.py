import errno
import subprocess
import sys

import pytest
import torch

from simulator.errors import SetupError
from simulator.learning.numerics import (
    WORKER_ENVIRONMENT,
    check_memory_sufficed,
    free_gpu_memory,
    is_out_of_memory,
    numeric_mode,
    pick_device,
)


def test_the_mode_names_what_decides_bits():
    mode = numeric_mode("bf16", "cpu")
    assert torch.__version__ in mode
    assert torch.backends.cpu.get_cpu_capability() in mode
    assert "bf16" in mode
    assert mode != numeric_mode("fp32", "cpu")


def test_on_a_gpu_the_mode_names_its_kind_and_libraries(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 92000)
    assert "cuda 13.0 cudnn 92000 H200, fp32" in numeric_mode("fp32", "cuda")


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == "cpu"
    with pytest.raises(SetupError, match="use --device cpu"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (pick_device("auto"), pick_device("cuda"), pick_device("cpu")) == ("cuda", "cuda", "cpu")


@pytest.mark.parametrize(
    ("error", "starved"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA driver error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), False),
        (ValueError("out of memory"), False),
    ],
    ids=str,
)
def test_lack_of_memory_is_known_by_its_class_or_text(error, starved):
    assert is_out_of_memory(error) == starved


def test_a_process_that_lacked_memory_on_a_gpu_does_not_go_on(monkeypatch):
    stats = {"num_ooms": 0}
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda: stats)
    check_memory_sufficed("cuda")
    stats["num_ooms"] = 1
    with pytest.raises(torch.OutOfMemoryError, match="gives other bits"):
        check_memory_sufficed("cuda")
    check_memory_sufficed("cpu")


def test_torchs_own_lack_of_the_machines_memory_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    ("visible", "found"), [(None, {"0": 1, "2": 3}), ("5,GPU-x, 7", {"5": 1, "7": 3}), ("5", {"5": 1})]
)
def test_gpus_of_one_kind_are_used_by_their_names(monkeypatch, visible, found):
    kinds = ["A", "B", "A"][: len(visible.split(",")) if visible else 3]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(kinds))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: kinds[number])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: (number + 1, 99))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert free_gpu_memory() == found


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


STEPS = """
import sys
import torch
from torch import nn
from simulator.learning.optimizers import make_optimizer
from simulator.scenario.task import Optimizer

def steps():
    found = []
    for text in ({"name": "sgd", "momentum": 0.9, "weight_decay": 0.1}, {"name": "sgd"}, {"name": "adamw"},
                 {"name": "adam", "amsgrad": True}):
        torch.manual_seed(0)
        layer = nn.Linear(5, 3)
        optimizer = make_optimizer(Optimizer.model_validate(text | {"lr": 0.1}), list(layer.parameters()))
        for _ in range(3):
            optimizer.zero_grad()
            (layer(torch.ones(2, 5)) ** 2).sum().backward()
            optimizer.step()
        found.append(layer.weight.detach().clone())
    return found
"""


def test_optimizers_step_as_torchs_do_and_leave_its_compiler_out(tmp_path):
    script = (
        STEPS
        + """
from simulator.learning.numerics import setup_process
setup_process()
ours = steps()
assert "torch._dynamo" not in sys.modules and "torch._inductor" not in sys.modules
torch.save(ours, sys.argv[1])
"""
    )
    plain = (
        STEPS
        + """
torch.set_num_threads(1)
theirs = steps()
assert "torch._dynamo" in sys.modules, "the patch is not needed any more"
ours = torch.load(sys.argv[1])
assert len(ours) == 4 and all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
"""
    )
    for text in (script, plain):
        subprocess.run([sys.executable, "-c", text, str(tmp_path / "weights")], check=True)


def test_the_worker_environment_is_text():
    assert all(isinstance(text, str) for pair in WORKER_ENVIRONMENT.items() for text in pair)

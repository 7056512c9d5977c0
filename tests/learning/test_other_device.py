"""What a GPU would refuse, found without one: tensors of two devices in one operation, gradients that are
not reproducible there, and steps that wait for the device.
"""

import json
import subprocess
import sys

import pytest

from simulator.registry import registry
from tests.learning import far_runs

pytestmark = pytest.mark.slow  # and the process of the stand-in has once been aborted, for an unknown reason

NOT_REPRODUCIBLE = {
    "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward", "_ctc_loss_backward",
    "_embedding_bag_dense_backward", "_upsample_bicubic2d_aa_backward", "_upsample_bilinear2d_aa_backward",
    "adaptive_max_pool2d_backward", "avg_pool3d_backward", "bincount", "cudnn_grid_sampler_backward",
    "fractional_max_pool2d_backward", "fractional_max_pool3d_backward", "grid_sampler_2d_backward",
    "grid_sampler_3d_backward", "histc", "index_reduce", "index_reduce_", "max_pool3d_with_indices_backward",
    "max_unpool2d", "max_unpool3d", "median", "nanmedian", "nll_loss2d_forward", "put", "put_",
    "reflection_pad1d_backward", "reflection_pad3d_backward", "replication_pad1d_backward",
    "replication_pad2d_backward", "replication_pad3d_backward", "scatter", "scatter_", "scatter_reduce",
    "scatter_reduce_", "upsample_bicubic2d_backward", "upsample_bilinear2d_backward",
    "upsample_linear1d_backward", "upsample_trilinear3d_backward",
}  # fmt: skip
"""Operations whose CUDA kernels raise in torch's deterministic mode, some for certain arguments only: the
callers of ``Context::alertNotDeterministic`` in libtorch_cuda.so and libtorch_cpu.so of torch 2.13.0.
"""
TASKS = ["apfl", "fedasync", "fedgs", "fedrep", "fedsm", "gcml", "moon", "proxyfl", "scaffold"]
"""Algorithms that have between them every way of training and evaluating of their own."""
CHECKED = [*TASKS, *(f"{name}-{dims}" for name in far_runs.NETWORKS for dims in (2, 3)), "windows", "no room"]
REST = [*sorted(set(registry("algorithms")) - set(TASKS)), "sd-utnet"]
RESIZED = {"sanet-2", "sanet-3", "segresnet-2", "segresnet-3", "sd-utnet"}
"""Networks that interpolate, which is rounded differently elsewhere than on a CPU."""


def runs(folder, *names):
    command = [sys.executable, "-m", "tests.learning.far_runs", str(folder), *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def check(name, found):
    assert not found["errors"]
    assert found["num_results"] >= 10
    assert not NOT_REPRODUCIBLE & found["operations"].keys()
    if name != "sd-utnet":  # random numbers of its own, and batches of a few noisy images: it drifts
        assert found["largest_difference"] <= (0.01 if name in RESIZED else 0)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return runs(tmp_path_factory.mktemp("far"), *CHECKED, "few steps", "many steps")


@pytest.mark.parametrize("name", CHECKED)
def test_it_runs_elsewhere_than_on_the_cpu(found, name):
    check(name, found[name])


def test_the_check_can_fail(found):
    assert NOT_REPRODUCIBLE & found["refused"]["operations"].keys() == {"max_pool3d_with_indices_backward"}


def test_no_step_waits_for_the_device(found):
    few, many = (found[f"{number} steps"]["operations"] for number in ("few", "many"))
    assert many["convolution_backward"] > few["convolution_backward"]
    assert many["fetch"] == few["fetch"] > 0


def test_all_methods_and_the_largest_network_run_elsewhere(tmp_path):
    for name, result in runs(tmp_path, *REST).items():
        if name in REST:
            check(name, result)

"""Everything that only a GPU can show: ``pytest -m cuda`` on a machine that has one."""

import io
import multiprocessing

import numpy as np
import pytest
import torch

from simulator import observations
from simulator.learning.cases import CaseCache
from simulator.learning.context import Context
from simulator.learning.numerics import (
    GPU_CONTEXT_NBYTES,
    WORKER_ENVIRONMENT,
    free_gpu_memory,
    is_out_of_memory,
    limit_gpu_memory,
    room_for_cases,
    setup_process,
)
from simulator.learning.training import initial, train
from simulator.progress import PlainProgress
from simulator.run import execute, make_executor
from simulator.scenario import load_study
from simulator.simulation import simulate
from simulator.work.executors import PoolExecutor
from simulator.work.pools import ProcessPool
from simulator.work.slots import Slots
from simulator.work.store import Store
from tests.learning import far_runs, toy
from tests.learning.toy import toy_registry
from tests.work.test_executors import job, quiet

__all__ = ["toy_registry"]

DEVICE = "cuda"
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
NETWORKS = {
    "unet": {"name": "unet", "channels": [8, 16], "num_res_units": 1},
    "unet, batch norm": {"name": "unet", "channels": [8, 16], "norm": "batch", "dropout": 0.1},
    "dynunet": {"name": "dynunet", "channels": [8, 16, 32], "residual": True},
    "segresnet": {"name": "segresnet", "blocks_down": [1, 1, 1]},
    "sanet": {"name": "sanet", "width": 8, "blocks": [1, 1, 1]},
}
SGD = {"name": "sgd", "lr": 0.01, "momentum": 0.9, "clip_norm": None}
TOLERANCE = {"fp32": 1e-3, "bf16": 0.05}


@pytest.fixture(autouse=True)
def as_a_worker():
    setup_process()


def trained(recipe, bundles, device):
    """A model after an epoch on a device, and its losses."""
    ctx = Context(recipe, "north", 1, *toy.as_data(bundles), device)
    outcome = train(ctx, initial(ctx), epochs=1, first_epoch=0)
    return outcome.arrays["model"], [*outcome.meta["loss"], *ctx.validate(outcome)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_the_same_bits_twice_and_nearly_those_of_the_cpu(
    toy_registry, name, dims, precision
):
    data = {"name": "toy", "dims": dims, "size": 16}
    recipe = toy.recipe(dataset=data, optimizer=SGD, precision=precision, augment=["flip", "noise"])
    recipe["network"] = NETWORKS[name]
    bundles = [toy.prepared(recipe)]
    first, losses = trained(recipe, bundles, DEVICE)
    second, again = trained(recipe, bundles, DEVICE)
    assert np.array_equal(first, second)
    assert losses == again
    if "dropout" not in NETWORKS[name]:  # whose random numbers are the GPU's own
        model, expected = trained(recipe, bundles, "cpu")
        close = TOLERANCE[precision]
        np.testing.assert_allclose(losses[:2], expected[:2], rtol=close)
        np.testing.assert_allclose(first, model, atol=close)


def results(folder, parts, jobs):
    """All that a scenario computes, by key, and what was told."""
    folder.mkdir()
    path = folder / "one.yaml"
    path.write_text(far_runs.SCENARIO.format(**far_runs.USUAL | {"name": "one"} | parts), encoding="utf-8")
    point, told = load_study(str(path)).points[0], []
    executor = make_executor(Store(folder / "store"), jobs, DEVICE, tell=told.append)
    simulated = simulate(point.label, point.scenario, executor, "cuda")
    try:
        errors = executor.finish([one.key for one in observations.rounds(simulated, executor)], quiet)
        assert not errors
        return {key: executor.store.get(key).arrays for key in executor.executed}, told
    finally:
        executor.close()


FEDGS = "{name: fedgs, rounds: 1, local_epochs: 1}"
SCENARIOS = {
    "gcml": {"algorithm": "{name: gcml, rounds: 2}"},
    "fedsm": {"algorithm": "{name: fedsm, rounds: 1, selector: vgg11}", "size": 32},
    "fedgs": {"algorithm": FEDGS, "network": "{name: sd-utnet}", "size": 128},
    "utnet": {"network": "{name: utnet}", "size": 128, "more": "precision: bf16"},
    "sanet": {"network": far_runs.NETWORKS["sanet"], "dims": 3, "more": "loss: jaccard_focal"},
}


@pytest.mark.parametrize("parts", SCENARIOS.values(), ids=SCENARIOS)
def test_one_worker_and_three_give_the_same_bits(tmp_path, parts):
    one, told = results(tmp_path / "one", parts, 1)
    three, more = results(tmp_path / "three", parts, 3)
    assert told[0].startswith("GPU: 1 site at a time, ")
    assert ": 3 sites at a time, " in more[0]
    assert one.keys() == three.keys()
    for key in one:
        for name in one[key]:
            assert np.array_equal(one[key][name], three[key][name], equal_nan=name != "model"), (key, name)


def test_a_command_trains_and_reports(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(far_runs.SCENARIO.format(**far_runs.USUAL | {"name": "one"}), encoding="utf-8")
    shown = io.StringIO()
    result = execute(
        load_study(str(path)), out=tmp_path, jobs=2, device=DEVICE, store=tmp_path / "store",
        progress=PlainProgress(shown),
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.report.is_file()
    assert "sites at a time" in shown.getvalue()


def _in_a_process(function, *args):
    """What a function returns in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def _asks_for_too_much():
    limit_gpu_memory(2e9)
    kept = torch.empty(10**9, dtype=torch.uint8, device="cuda")
    try:
        torch.empty(10**9, dtype=torch.uint8, device="cuda")
    except RuntimeError as error:
        return kept.nbytes, is_out_of_memory(error), room_for_cases("cuda")
    return kept.nbytes, False, 0.0


def test_a_process_keeps_to_its_part():
    kept, refused, room = _in_a_process(_asks_for_too_much)
    assert (kept, refused) == (10**9, True)
    assert room == pytest.approx((2e9 - GPU_CONTEXT_NBYTES) / 4, rel=1e-3)


def _taken_beside_tensors():
    setup_process()
    before = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    for layer, shape in (
        (torch.nn.Conv3d(4, 8, 3), (2, 4, 32, 32, 32)),
        (torch.nn.ConvTranspose2d(4, 8, 2, 2), (8, 4, 64, 64)),
        (torch.nn.Linear(64, 64), (64, 64)),
    ):
        images = torch.ones(shape, device="cuda", requires_grad=True)
        with torch.autocast("cuda", torch.bfloat16):
            layer.cuda()(images).float().square().mean().backward()
    torch.cuda.synchronize()
    return before - torch.cuda.mem_get_info()[0] - torch.cuda.memory_reserved()


def test_what_a_process_takes_beside_its_tensors_is_not_more_than_is_set_aside():
    free = torch.cuda.mem_get_info()[0]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        grown = pool.apply(_taken_beside_tensors)
        reserved = pool.apply(torch.cuda.memory_reserved)
        taken = free - torch.cuda.mem_get_info()[0] - reserved
    assert grown <= taken <= GPU_CONTEXT_NBYTES


def test_out_of_memory_costs_a_retry_in_a_larger_part(tmp_path):
    """Two workers cannot both have 3 GB in tensors of 5 GB; one can."""
    told, store, gpu = [], Store(tmp_path), next(iter(free_gpu_memory()))
    pool = ProcessPool(store, DEVICE, 2, WORKER_ENVIRONMENT, Slots(count=2, gpus=(gpu,), nbytes=5e9))
    executor = PoolExecutor(store, pool, tell=told.append)
    for name in ("a0", "b0"):
        executor.submit(job(name, function="allocate_there", nbytes=3 * 10**9))
    executor.submit(job("c0", "a0", "b0"))
    executor.submit(job("d0", function="allocate_there", nbytes=5 * 10**9))
    try:
        assert executor.finish(["c0"], quiet) == {}
        assert {line.partition(": ")[2] for line in told} == {"out of memory; again, 1 at a time from now on"}
        errors = executor.finish(["d0"], quiet)
    finally:
        executor.close()
    assert "OutOfMemoryError" in str(errors["d0"])
    assert executor.tally.executed == {"allocate_there": 2, "add": 1}


def test_cases_that_find_no_room_train_from_the_machines_memory(toy_registry, monkeypatch):
    recipe = toy.recipe()
    bundles = [toy.prepared(recipe)]
    expected, _ = trained(recipe, bundles, DEVICE)
    monkeypatch.setattr(
        "simulator.learning.context.CACHE", CaseCache(lambda device: 0.0 if device == DEVICE else 1e9)
    )
    found, _ = trained(recipe, bundles, DEVICE)
    assert np.array_equal(found, expected)

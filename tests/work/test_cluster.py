"""A real Dask scheduler and two worker processes on this machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from simulator.api import Bundle
from simulator.errors import ScenarioError, SetupError
from simulator.work.cluster import connect
from simulator.work.executors import PoolExecutor
from simulator.work.store import Store
from tests.test_end_to_end import write
from tests.test_survival import call, tables
from tests.work.test_executors import job, quiet

pytest.importorskip("dask_jobqueue", reason='needs pip install "medgossip[cluster]"')
dask_config = pytest.importorskip("dask.config")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def processes():
    started = []

    def start(module, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *arguments]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "20s",
        }
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def cluster(processes, tmp_path):
    """The address of a scheduler, and a function that starts a worker."""
    file = tmp_path / "scheduler.json"
    processes("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    address = json.loads(file.read_text())["address"]

    def worker(threads=1):
        return processes(
            "dask_worker", address, "--nthreads", str(threads), "--no-nanny", "--memory-limit", "0"
        )

    return address, worker


@pytest.fixture
def executor(cluster, tmp_path):
    executor = executor_of(cluster[0], tmp_path / "store")
    yield executor
    executor.close()


def executor_of(address, folder):
    store = Store(folder)
    return PoolExecutor(store, connect(address, store=store, device="cpu", num_workers=0))


def test_a_worker_killed_in_mid_task_costs_its_task_only(cluster, executor, tmp_path):
    first, second = cluster[1](), cluster[1]()
    names, marker = [f"{letter}0" for letter in "abcd"], tmp_path / "marker"
    for name in names:
        executor.submit(job(name, function="hang_once", marker=str(marker)))
    executor.submit(job("e0", *names))

    def kill():
        deadline = time.monotonic() + 120
        while not (text := marker.read_text() if marker.exists() else "") and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(int(text), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert executor.finish(["e0"], quiet) == {}
    killer.join()
    assert [first.poll(), second.poll()].count(-signal.SIGKILL) == 1
    assert executor.tally.executed == {"hang_once": 4, "add": 1}
    assert np.array_equal(executor.value("e0").arrays["model"], np.full(3, 5, dtype=np.float32))
    pids = {executor.value(name).meta["pid"] for name in names}
    assert pids <= {first.pid, second.pid}, "the work was done there, not here"


def test_what_one_run_did_another_finds_and_a_failure_is_told(cluster, executor, tmp_path):
    cluster[1]()
    for one in [job("a0"), job("b0", "a0", function="fail"), job("c0", "a0")]:
        executor.submit(one)
    errors = executor.finish(["b0", "c0"], quiet)
    assert "ZeroDivisionError: no such luck" in str(errors["b0"])
    again = executor_of(cluster[0], tmp_path / "store")
    again.submit(job("a0"))
    again.submit(job("d0", "a0"))
    assert again.finish(["d0"], quiet) == {}
    again.close()
    assert (again.tally.executed, again.tally.reused) == ({"add": 1}, {"add": 1})


def test_what_another_process_has_begun_is_left_to_it(cluster, executor, tmp_path):
    cluster[1]()
    for one in [job("a0", flop=9.0), job("b0"), job("c0", "a0", "b0")]:
        executor.submit(one)
    claim = executor.store.claim("a0")

    def progress(task, done, total):
        if done == 1:  # b, although a is more urgent
            executor.store.put("a0", Bundle(arrays={"model": np.full(3, 7, dtype=np.float32)}))
            claim.release(remove=True)

    assert executor.finish(["c0"], progress) == {}
    # c = a + b + 1 = 7 + 1 + 1
    assert np.array_equal(executor.value("c0").arrays["model"], np.full(3, 9, dtype=np.float32))
    assert (executor.tally.executed, executor.tally.reused) == ({"add": 2}, {"add": 1})


def test_a_worker_that_would_give_other_results_is_refused(cluster, executor):
    cluster[1](threads=2)
    executor.submit(job("a0"))
    with pytest.raises(SetupError, match="2 threads; start it with --nthreads 1"):
        executor.finish(["a0"], quiet)


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ("localhost:8786", ScenarioError, "write tcp://HOST:PORT of a Dask scheduler, or slurm"),
        ("slurm", ScenarioError, "say with --jobs how many workers to ask for"),
        ("tcp://127.0.0.1:9", SetupError, "no scheduler answers .*start one with: dask scheduler"),
    ],
)
def test_what_is_no_cluster_is_told(tmp_path, monkeypatch, where, error, message):
    monkeypatch.setattr("simulator.work.cluster._CONNECT_S", 1)
    with pytest.raises(error, match=message):
        connect(where, store=Store(tmp_path), device="cpu", num_workers=0)


@pytest.mark.parametrize(
    ("cores", "message"),
    [(None, "cores or memory of a job are missing; describe a job in .*jobqueue.yaml"),
     (1, "no sbatch here; run the command where jobs are submitted")],
)  # fmt: skip
def test_slurm_that_cannot_start_a_job_is_told(tmp_path, monkeypatch, cores, message):
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        dask_config.set({"jobqueue.slurm.cores": cores, "jobqueue.slurm.memory": "4 GB"}),
        pytest.raises(SetupError, match=message),
    ):
        connect("slurm", store=Store(tmp_path), device="cpu", num_workers=1)


SBATCH = """#!/bin/sh
job=$(mktemp); cp "$1" "$job"
setsid sh "$job" > "$job.log" 2>&1 < /dev/null &
echo "Submitted batch job $!"
"""


def test_a_study_on_slurm_gives_the_bits_of_this_process(tmp_path):
    """SLURM's commands are stand-ins that start the job scripts here; all else is real."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in {"sbatch": SBATCH, "scancel": '#!/bin/sh\nkill -- "-$1"\n'}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    settings = {"CORES": "1", "MEMORY": "'4 GB'", "INTERFACE": "lo"}
    environment = {
        **os.environ,
        **{f"DASK_JOBQUEUE__SLURM__{name}": value for name, value in settings.items()},
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
    }
    path = write(tmp_path, dims=2, size="size: 16, slices: 1", patch="")
    options = {"there": ["--cluster", "slurm", "--jobs", 2], "here": ["--jobs", 1]}
    found = {}
    for place, more in options.items():
        store = tmp_path / place / "store"
        code, _, err = call("run", path, "--out", tmp_path / place, "--store", store, *more, env=environment)
        assert code == 0, err
        (folder,) = (tmp_path / place).glob("tiny-*")
        found[place] = tables(folder)
        assert not list(store.glob("cluster-*"))
    assert found["there"] == found["here"]

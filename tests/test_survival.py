"""Studies that are interrupted, and those of which a part is finished, from the command line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.test_end_to_end import FLAT, write

ROOT = Path(__file__).parents[1]
TIMELESS = ("events", "transfers", "metrics")


def start(*arguments, **options):
    command = [sys.executable, "-c", "from simulator.cli import main; main()", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen(command, cwd=ROOT, **pipes, **options)


def call(*arguments, **options):
    process = start(*arguments, **options)
    out, err = process.communicate()
    return process.returncode, out, err


def tables(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for name in TIMELESS
        for path in folder.glob(f"*/{name}.parquet")
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    path = write(folder, **FLAT)
    code, out, err = call("run", path, "--out", folder / "runs", "--store", folder / "store", "--jobs", 1)
    assert code == 0, err
    return path, folder / "store", Path(re.search("results: (.*)", out)[1])


def wait_for_results(store, count):
    deadline = time.monotonic() + 120
    while len(list(store.glob("??/*.safetensors"))) < count and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_stop_says_how_to_go_on_and_that_gives_the_same_bits(whole, tmp_path, number):
    path, _, undisturbed = whole
    process = start("run", path, "--out", tmp_path / "runs", "--store", tmp_path / "store", "--jobs", 2)
    wait_for_results(tmp_path / "store", 14)
    os.killpg(process.pid, number)  # the terminal, or a cluster's manager, tells workers too
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "once more to stop at once" in err
    (folder,) = (tmp_path / "runs").glob("tiny-*")
    told = f"go on with: medgossip resume {folder} --store {tmp_path / 'store'}"
    assert err.splitlines()[-1] == f"interrupted; finished work is kept, {told}"
    assert not list((tmp_path / "store").rglob("*.partial"))
    code, out, _ = call("status", folder)
    assert (code, out.splitlines()[-1]) == (0, f"{folder}: not running; 3 unfinished")
    code, _, err = call("resume", folder, "--store", tmp_path / "store", "--jobs", 1)
    assert code == 0, err
    assert tables(folder) == tables(undisturbed)


def test_two_commands_with_one_store_share_the_work(whole, tmp_path):
    path, _, undisturbed = whole
    store = tmp_path / "store"
    first, second = (
        start("run", path, "--out", tmp_path / str(jobs), "--store", store, "--jobs", jobs) for jobs in (1, 2)
    )
    wait_for_results(store, 14)
    first.send_signal(signal.SIGSTOP)
    wait_for_results(store, 24)
    assert len(list(store.glob("??/*.safetensors"))) >= 24, (
        "what the first has begun keeps nobody from the rest"
    )
    first.send_signal(signal.SIGCONT)
    told = [process.communicate() for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), told
    executed = [int(re.search("^tasks: (.*) computed", out, re.MULTILINE)[1]) for out, _ in told]
    assert sum(executed) == len(list(store.glob("??/*.safetensors")))
    for out, _ in told:
        assert tables(Path(re.search("results: (.*)", out)[1])) == tables(undisturbed)


def test_asked_twice_it_stops_at_once(whole, tmp_path):
    process = start("run", whole[0], "--out", tmp_path / "runs", "--store", tmp_path / "store", "--jobs", 1)
    wait_for_results(tmp_path / "store", 14)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    process.communicate()
    assert process.returncode == 130
    assert time.monotonic() - begun < 10


def test_a_damaged_file_is_named_and_its_work_done_again(whole, tmp_path):
    path, store, undisturbed = whole
    # evaluations are read for the tables, whatever else is known
    victim = min(store.glob("??/*.safetensors"), key=lambda one: one.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.write_bytes(bytes(data))
    code, out, err = call("run", path, "--out", tmp_path, "--store", store, "--jobs", 1)
    assert code == 0, err
    told = f"warning: damaged, set aside, and computed again: {store / 'quarantine' / victim.name}"
    assert told in err.splitlines()
    assert re.search("^tasks: 1 computed, ", out, re.MULTILINE)
    assert tables(Path(re.search("results: (.*)", out)[1])) == tables(undisturbed)


def test_finished_runs_are_kept_and_only_the_failed_one_is_tried_again(whole):
    _, store, folder = whole
    before = {one: one.stat().st_mtime_ns for one in folder.glob("*/metrics.parquet")}
    code, _, err = call("resume", folder, "--store", store, "--jobs", 1)
    assert (code, err) == (0, "")
    assert {one: one.stat().st_mtime_ns for one in before} == before
    assert call("retry", folder, "--store", store)[0] == 2
    manifest = folder / "local" / "manifest.json"
    manifest.write_text(
        json.dumps(json.loads(manifest.read_text()) | {"status": "failed", "error": "no luck"})
    )
    assert "1 failed, 2 ok" in call("status", folder)[1]
    code, _, err = call("retry", folder, "--store", store, "--jobs", 1)
    assert code == 0
    assert "simulating 1 run(s) in virtual time; 2 finished before" in err
    after = {one: one.stat().st_mtime_ns for one in before}
    assert [one.parent.name for one in before if before[one] != after[one]] == ["local"]


def test_what_a_study_takes_is_known_from_the_one_before(whole):
    path, store, folder = whole
    code, out, err = call("run", path, "--out", folder.parent, "--store", store, "--jobs", 1)
    assert (code, err) == (0, ""), "the whole study is finished: nothing is done"
    code, out, err = call("sweep", path, "--plan", "--out", folder.parent, "--store", store)
    assert [line.split()[1] for line in out.splitlines()[1:4]] == ["finished"] * 3
    code, out, err = call("gc", "--store", store, "--older", "0 s", "--keep", folder, "--dry-run")
    assert code == 0, err
    assert re.search(r"results +\d+ .* kept", out)
    assert call("gc", "--older", "0")[0::2] == (
        2, '--older 0: "0" has no unit; write "0 ms"\n',
    )  # fmt: skip
    nowhere = store / "nowhere"
    assert call("gc", "--store", nowhere) == (
        2, "", f"{nowhere}: no store there; name the one that you run with by --store\n",
    )  # fmt: skip
    assert not nowhere.exists()

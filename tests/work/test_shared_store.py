"""Several processes on one store, some of them killed; files damaged, forged, or too large for the disk."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xxhash

from simulator.api import Bundle
from simulator.work.durable import left_over
from simulator.work.locks import is_held, take_lock, try_lock
from simulator.work.store import Store
from tests.work.test_store import KEY, bundle

ROOT = Path(__file__).parents[2]
PROLOGUE = """
import sys, time, resource
from pathlib import Path
import numpy as np
from simulator.api import Bundle
from simulator.work.store import Store
folder = Path(sys.argv[1])
store = Store(folder)
"""


def start(program, folder):
    command = [sys.executable, "-c", PROLOGUE + program, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def age(store, key):
    os.utime(store.path(key), (1, 1))


def clean(store, **options):
    settings = {"older_s": 60.0, "needed": (), "now_s": time.time(), "dry_run": False} | options
    return store.clean(**settings)


def test_what_a_live_run_needs_stays_until_it_is_killed(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, bundle())
    process = start(f"store.lease.add(['{KEY}']); print('ready', flush=True); time.sleep(60)", tmp_path)
    assert process.stdout.readline() == "ready\n"
    age(store, KEY)
    assert (store.evict(0), clean(store).num_old) == (0, 0)
    kill(process)
    assert clean(store, dry_run=True).num_old == 1
    assert clean(store, needed={KEY}).num_old == 0
    assert KEY in store
    age(store, KEY)
    assert store.evict(0) == 1
    assert list((tmp_path / "leases").glob("*.keys")) == []


def test_a_killed_writer_leaves_nothing_that_counts(tmp_path):
    program = f"""
import os
os.fsync = lambda _: (print('ready', flush=True), time.sleep(60))
store.put('{KEY}', Bundle(arrays={{'model': np.zeros(9)}}, meta={{}}))
"""
    store = Store(tmp_path)
    (tmp_path / KEY[:2]).mkdir()
    process = start(program, tmp_path)
    assert process.stdout.readline() == "ready\n"
    assert list(left_over(tmp_path)) == [], "its writer lives"
    kill(process)
    assert KEY not in store
    assert len(list(left_over(tmp_path))) == 1
    assert clean(store).num_left == 1
    assert list((tmp_path / KEY[:2]).iterdir()) == []


EXECUTOR = """
import simulator.learning.context
from simulator.errors import Interrupted
from simulator.work import elsewhere
from simulator.work.executors import PoolExecutor
from simulator.work.pools import InlinePool
from tests.work.test_executors import job
stopping = []
def tell(text):
    print(text, flush=True)
executor = PoolExecutor(store, InlinePool(store, "cpu"), lambda: bool(stopping), tell)
def submit(*names, after=()):
    for name in names:
        executor.submit(job(name, *after, function="slow", value=1))
def finish(*names):
    assert executor.finish(names, lambda *_: None) == {}
    print(sum(executor.tally.executed.values()), sum(executor.tally.reused.values()), flush=True)
"""
GO = """
print("ready", flush=True)
while not (folder / "go").exists():
    time.sleep(0.01)
"""


def both_tell(program, folder):
    """What two processes that begin together print: how many jobs each executed, and reused."""
    both = [start(EXECUTOR + program, folder) for _ in range(2)]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    (folder / "go").touch()
    told = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert list((folder / "locks").iterdir()) == []
    return list(zip(*(map(int, text.split()) for text in told), strict=True))


def test_two_processes_do_the_same_work_once(tmp_path):
    chain = """
for number in range(5):
    submit(f"{number}a", after=[f"{number - 1}a"] if number else [])
"""
    executed, reused = both_tell(f"{chain}{GO}finish('4a')", tmp_path)
    assert (sum(executed), sum(reused)) == (5, 5)
    assert np.array_equal(Store(tmp_path).get("4a").arrays["model"], np.full(3, 5, dtype=np.float32))


def test_two_processes_share_what_they_both_need(tmp_path):
    """Ten jobs in the same order of urgency: none waits while there is another one to do."""
    names = [f"{letter}0" for letter in "abcdefghij"]
    executed, reused = both_tell(f"submit(*{names}){GO}finish(*{names})", tmp_path)
    assert (sum(executed), sum(reused)) == (10, 10)
    assert min(executed) >= 3


@pytest.fixture
def holder(tmp_path):
    """A process that has begun a job, and stands still."""
    process = start("claim = store.claim('a0'); print('ready', flush=True); time.sleep(600)", tmp_path)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGSTOP)
    yield process
    kill(process)


def test_a_process_that_stands_still_is_waited_for_last_and_not_for_ever(tmp_path, holder):
    program = """
elsewhere._TELL_S, elsewhere._PATIENCE_S = 0.5, 1.0
submit('a0', 'b0'); submit('c0', after=['a0', 'b0'])
begun = time.process_time(), time.monotonic()
finish('c0')
print(time.process_time() - begun[0], time.monotonic() - begun[1], flush=True)
"""
    process = start(EXECUTOR + program, tmp_path)
    told = process.communicate()[0].splitlines()
    assert told[:2] == ["slow at a: waits for another process that has begun it", "3 0"]
    cpu_s, wall_s = map(float, told[2].split())
    assert wall_s > 1.2, "b, then patience, then a and c"
    assert cpu_s < 0.25, "waiting is no work"


def test_who_waits_for_another_process_goes_on_when_that_one_is_killed(tmp_path, holder):
    process = start(f"{EXECUTOR}elsewhere._TELL_S = 0.2\nsubmit('a0'); finish('a0')", tmp_path)
    assert "waits for another process" in process.stdout.readline()
    holder.kill()
    assert process.communicate()[0] == "1 0\n"


def test_who_waits_for_another_process_can_be_stopped_at_once(tmp_path, holder):
    program = """
import signal
signal.signal(signal.SIGINT, lambda *_: stopping.append(1))
elsewhere._TELL_S = 0.2
submit('a0')
try:
    finish('a0')
except Interrupted:
    print("interrupted")
"""
    process = start(EXECUTOR + program, tmp_path)
    assert "waits for another process" in process.stdout.readline()
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.communicate()[0] == "interrupted\n"
    assert time.monotonic() - begun < 60, "not the ten minutes that it would wait"


PUT = f"store.put('{KEY}', Bundle(arrays={{'model': np.random.default_rng(0).normal(size=100_000)}}))"
NEED = "store.need(f'{number:040}' for number in range(10_000))"


@pytest.mark.parametrize("act", [PUT, NEED])
def test_what_is_too_large_for_the_disk_is_told_and_leaves_nothing(tmp_path, act):
    (tmp_path / KEY[:2]).mkdir()
    process = start(f"resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n{act}", tmp_path)
    told = process.communicate()[0]
    assert "SetupError: cannot write to the store" in told
    assert "make room with medgossip gc, or choose another with --store" in told
    assert list((tmp_path / KEY[:2]).iterdir()) == []


@pytest.mark.parametrize("claim", [2**34, 2**45])
def test_a_file_that_claims_too_much_takes_no_memory(tmp_path, claim):
    store = Store(tmp_path)
    store.put(KEY, bundle())
    forge(store.path(KEY), packed={"model": ["U8", [claim]]})
    assert store.get(KEY) is None
    found = clean(store, dry_run=True)
    assert found.damaged == (store.path(KEY).name,)
    assert clean(store).damaged == found.damaged
    assert store.quarantined() == []


def forge(path, **changes):
    """Change a file's metadata, and set its checksum to fit."""
    content = path.read_bytes()[:-16]
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] |= {name: json.dumps(value) for name, value in changes.items()}
    text = json.dumps(header).encode()
    changed = len(text).to_bytes(8, "little") + text + content[8 + length :]
    path.write_bytes(changed + xxhash.xxh3_128(changed).digest())


def test_a_sound_file_of_something_else_is_damage_too(tmp_path):
    from safetensors.numpy import save

    store = Store(tmp_path)
    store.put(KEY, bundle())
    other = save({"x": np.zeros(3)})
    store.path(KEY).write_bytes(other + xxhash.xxh3_128(other).digest())
    assert store.get(KEY) is None


def test_a_result_that_could_not_be_read_back_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.work.blobs._ALWAYS_NBYTES", 1000)
    with pytest.raises(ValueError, match="is no model"):
        Store(tmp_path).put(KEY, Bundle(arrays={"model": np.zeros(1_000_000)}))


def test_locks_are_one_at_a_time_and_their_files_mean_nothing(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    assert not is_held(path)
    lock = take_lock(path)
    assert is_held(path)
    assert try_lock(path) is None
    lock.release(remove=True)
    assert not path.exists()
    with take_lock(path):
        assert is_held(path)
    assert not is_held(path)

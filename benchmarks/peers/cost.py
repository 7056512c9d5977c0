"""What a driver and all processes that it starts cost."""

import ctypes
import os
import resource
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.environments import Peer
from simulator.learning.numerics import WORKER_ENVIRONMENT

ROOT = Path(__file__).parents[2]
LIMIT_S = 1800
SILENT = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Let what a driver leaves behind become this process's child, so that its time counts too."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of a driver and all that it started: seconds, bytes (of shared memory, a process's part), and the
    weights at the end.
    """

    wall_s: float
    cpu_s: float
    first_step_s: float
    cpu_from_there_s: float
    peak_nbytes: int
    weights: np.ndarray


def measure(python: str, peer: Peer, steps: int, rounds: int) -> Cost:
    """Run a driver.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    with tempfile.TemporaryDirectory(dir=".") as name, Path(name, "log").open("w+b") as log:
        mark = Path(name, "mark").resolve()
        settings = {"MEDGOSSIP_PEERS": f"{steps} {rounds} {mark}", "PYTHONPATH": str(ROOT)}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
        process = subprocess.Popen(
            [python, "-m", f"benchmarks.peers.{peer.driver}", *peer.arguments],
            env={**os.environ, **WORKER_ENVIRONMENT, **SILENT, **settings}, cwd=name, stdout=log, stderr=log,
        )  # fmt: skip
        watch = Watch(mark)
        code = process.wait(timeout=LIMIT_S)
        wall_s = time.time() - start
        watch.end()
        reap()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if code:
            log.seek(0)
            told = log.read().decode(errors="replace")
            raise subprocess.CalledProcessError(code, peer.driver, stderr=told)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Cost(
            wall_s=wall_s,
            cpu_s=cpu_s,
            first_step_s=float(mark.read_text().split()[0]) - start,
            cpu_from_there_s=cpu_s - watch.cpu_then_s,
            peak_nbytes=watch.largest_nbytes,
            weights=np.load(f"{mark}.npy"),
        )


def reap() -> None:
    """Wait for what a driver left behind, so that its time counts too."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.1)
        except ChildProcessError:
            return
    for pid in descendants(os.getpid()):
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def descendants(root: int) -> set[int]:
    """Processes that a process has started, and theirs."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, new = set(), {root}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new} - found
        found |= new
    return found


class Watch:
    """Looks at all processes below this one: their largest memory, their processor time at the mark."""

    def __init__(self, mark: Path) -> None:
        self.largest_nbytes, self.cpu_then_s = 0, 0.0
        self._mark, self._over = mark, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(2.0 if self.cpu_then_s else 0.05):
            processes = descendants(os.getpid()) - {os.getpid()}
            if not self.cpu_then_s and self._mark.exists() and self._mark.read_text():
                self.cpu_then_s = sum(map(cpu_of, processes)) - _since(self._mark)
            self.largest_nbytes = max(self.largest_nbytes, sum(map(memory_of, processes)))

    def end(self) -> None:
        """Look no longer."""
        self._over.set()
        self._thread.join()


def _since(mark: Path) -> float:
    """Processor seconds since the first step: the wall's, times the processes that the mark says were busy.

    A driver may write its mark late, with the time of the step in it.
    """
    first_s, *busy = mark.read_text().split()
    return (time.time() - float(first_s)) * int(busy[0] if busy else 1)


def cpu_of(pid: int) -> float:
    """Processor seconds of a process and of those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> int:
    """Bytes of a process, of those it shares with others its part."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))

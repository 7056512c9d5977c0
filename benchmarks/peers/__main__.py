"""The same federated training in medgossip, in a bare loop and in another framework, side by side.

``python -m benchmarks.peers [--only NAME ...] [--envs FOLDER]`` runs both workloads of each: 10 rounds of
20 steps and 25 rounds of 1 step, 8 sites. Another framework gets an environment of its own in FOLDER,
on top of this one's packages; one that cannot be installed is left out, with the reason. Times and
memory are those of all processes that a driver starts.
"""

import argparse
import ctypes
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
import venv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from simulator.learning.numerics import WORKER_ENVIRONMENT
from simulator.record.manifest import hardware

ROOT = Path(__file__).parents[2]
PEERS = {  # driver, its arguments, what to install
    "plain": ("plain", [], ""),
    "ours": ("ours", [], ""),
    "ours, 2 workers": ("ours", ["--jobs", "2"], ""),
    "pfl": ("pfl_driver", [], "pfl[pytorch]==0.6.0"),
}
WORKLOADS = {"full": (20, 10), "one step": (1, 25)}  # steps per exchange, rounds
SITES, LIMIT_S = 8, 1800
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of a driver and all that it started; seconds, and bytes of memory that are its own share."""

    wall_s: float
    cpu_s: float
    first_step_s: float
    cpu_from_there_s: float
    peak_nbytes: int


def environment(name: str, package: str, folder: Path) -> str:
    """Make an environment if need be; return its interpreter.

    Raises:
        subprocess.CalledProcessError: the package cannot be installed.
    """
    if not package:
        return sys.executable
    place = folder / name.lower()
    python = str(place / "bin" / "python")
    if not (place / "done").exists():
        venv.create(place, with_pip=True, clear=True)
        purelib = subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        )
        ours = [path for path in sys.path if path.endswith("site-packages")]
        Path(purelib.strip(), "zz_base.pth").write_text("\n".join(ours), encoding="utf-8")
        command = [python, "-m", "pip", "install", "--quiet", package]
        subprocess.run(command, check=True, capture_output=True, text=True)
        (place / "done").touch()
    return python


def measure(python: str, driver: str, arguments: list[str], steps: int, rounds: int) -> Cost:
    """Run a driver.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    with tempfile.TemporaryDirectory(dir=".") as name, Path(name, "log").open("w+b") as log:
        mark = Path(name, "mark").resolve()
        settings = {"MEDGOSSIP_PEERS": f"{steps} {rounds} {mark}", "PYTHONPATH": str(ROOT)}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
        process = subprocess.Popen(
            [python, "-m", f"benchmarks.peers.{driver}", *arguments],
            env={**os.environ, **WORKER_ENVIRONMENT, **settings}, cwd=name, stdout=log, stderr=log,
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
            raise subprocess.CalledProcessError(code, driver, stderr=told)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Cost(
            wall_s=wall_s,
            cpu_s=cpu_s,
            first_step_s=float(mark.read_text()) - start,
            cpu_from_there_s=cpu_s - watch.cpu_then_s,
            peak_nbytes=watch.largest_nbytes,
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
        looks = 0
        while not self._over.wait(0.05):
            if not self.cpu_then_s and self._mark.exists():
                self.cpu_then_s = sum(map(cpu_of, descendants(os.getpid()) - {os.getpid()}))
            if looks % 4 == 0:
                self.largest_nbytes = max(
                    self.largest_nbytes, sum(map(memory_of, descendants(os.getpid()) - {os.getpid()}))
                )
            looks += 1

    def end(self) -> None:
        """Look no longer."""
        self._over.set()
        self._thread.join()


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


def rows(costs: dict[str, dict[str, Cost]]) -> list[str]:
    """A Markdown table, ratios to the bare loop of the same run; processor time from the first step on."""
    plain = costs["plain"]
    lines = [
        "| | full: wall × plain | full: CPU × plain | 1 step: CPU × plain | ms per exchange beside training "
        "| start to first step, s | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    exchanges = WORKLOADS["one step"][1] * SITES
    for name, cost in costs.items():
        full, one = cost["full"], cost["one step"]
        beside_ms = (one.cpu_from_there_s - plain["one step"].cpu_from_there_s) / exchanges * 1e3
        from_first = {kind: cost[kind].cpu_from_there_s / plain[kind].cpu_from_there_s for kind in WORKLOADS}
        lines.append(
            f"| {name} | {full.wall_s / plain['full'].wall_s:.2f} | {from_first['full']:.2f} "
            f"| {from_first['one step']:.2f} | {beside_ms:.1f} | {full.first_step_s:.1f} "
            f"| {full.peak_nbytes / 1e6:.0f} |"
        )
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--envs", type=Path, default=Path(".peers"), help="folder of their environments")
    parser.add_argument("--rounds", type=int, default=10, help="of the full workload")
    options = parser.parse_args()
    WORKLOADS["full"] = (20, options.rounds)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what a driver leaves behind comes to us
    about = hardware()
    print(f"{date.today()}  {about['processor']}, {about['cores']} cores, Python {platform.python_version()}")
    costs: dict[str, dict[str, Cost]] = {}
    for name in dict.fromkeys(["plain", *options.only]):
        driver, arguments, package = PEERS[name]
        try:
            python = environment(name, package, options.envs.resolve())
            costs[name] = {
                kind: measure(python, driver, arguments, steps, rounds)
                for kind, (steps, rounds) in WORKLOADS.items()
            }
        except subprocess.CalledProcessError as error:
            print(f"{name}: left out: {(error.stderr or str(error)).strip().splitlines()[-1]}", flush=True)
            continue
        print(name, costs[name], flush=True)
    print("\n".join(rows(costs)))


if __name__ == "__main__":
    main()

"""What a user waits for: start of the command line, the engine's share of a run, a warm second run,
and the memory of one process that trains for few or many sites.

Prints ratios and wall seconds of this machine; run it on a quiet one.
"""

import io
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from time import perf_counter

from simulator.record.manifest import hardware

SITE = (
    "{generate: %d, name: hospital, seconds_per_item: 200 ms, data: {cases: 6}, "
    "link: {up: 10 Mbit/s, down: 50 Mbit/s, latency: 10 ms}}"
)
ALGORITHM = "algorithm={name: gcml, rounds: %d}"


def command_line(*arguments: str) -> float:
    """Best wall time of five calls, in seconds."""
    times = []
    for _ in range(5):
        start = perf_counter()
        call = "from simulator.cli import main; main()"
        subprocess.run([sys.executable, "-c", call, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(perf_counter() - start)
    return min(times)


def study(folder: Path, num_sites: int, rounds: int) -> dict[str, float]:
    """Train a quickstart of this size in this process; return its wall times and task counts."""
    from simulator.progress import PlainProgress
    from simulator.run import execute
    from simulator.scenario import load_study

    overrides = [f"sites=[{SITE % num_sites}]", ALGORITHM % rounds, "faults=[]", "evaluation.overlays=0"]
    loaded = load_study("quickstart", overrides)
    result = execute(
        loaded,
        out=folder,
        jobs=1,
        device="cpu",
        store=folder / "store",
        progress=PlainProgress(io.StringIO()),
    )
    manifest = json.loads(next(result.folder.glob("*/manifest.json")).read_text(encoding="utf-8"))
    return {**manifest["wall_s"], **manifest["tasks"]}


def memory(num_sites: int) -> int:
    """Peak resident bytes of a process that trains this many sites."""
    program = (
        "import sys; from pathlib import Path; from benchmarks.overall import study; "
        f"study(Path(sys.argv[1]), {num_sites}, 2)"
    )
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, "-c", program, folder], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"the run with {num_sites} sites failed")
    unit = 1 if platform.system() == "Darwin" else 1024
    return int(usage.ru_maxrss * unit)


def main() -> None:
    """Measure and print a table."""
    about = hardware()
    print(
        f"{date.today()}  {about['processor']}, {about['cores']} cores, Python {platform.python_version()}\n"
    )
    print(f"medgossip --help                {command_line('--help'):6.2f} s")
    print(f"medgossip validate quickstart   {command_line('validate', 'quickstart'):6.2f} s")
    print(f"medgossip plan quickstart       {command_line('plan', 'quickstart'):6.2f} s")
    with tempfile.TemporaryDirectory() as name:
        cold = study(Path(name), 6, 8)
        warm = study(Path(name), 6, 8)
    share = cold["simulate"] / (cold["simulate"] + cold["compute"])
    print(f"engine's share of a training run {share:6.2%}  ({cold['executed']:.0f} tasks)")
    print(f"second run: {warm['executed']:.0f} tasks, {warm['simulate'] + warm['compute']:.2f} s")
    few, many = memory(3), memory(24)
    print(f"peak memory, 3 sites {few / 1e6:.0f} MB, 24 sites {many / 1e6:.0f} MB: {many / few:.2f} x")


if __name__ == "__main__":
    main()

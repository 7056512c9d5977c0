"""What codecs make of a real network's weights: bytes, and speed of encoding and decoding on one core.

A U-Net of about half a million parameters is trained for two and then for one more local epoch on
simulated cases; the difference is between the two. Rates are bytes of the fp32 model per CPU second.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import process_time

import numpy as np

from simulator.api import Bundle
from simulator.codec import decode, encode, form_of
from simulator.learning.numerics import setup_process
from simulator.record.manifest import hardware
from simulator.run import make_executor
from simulator.scenario import load_study
from simulator.scenario.transmission import Codec
from simulator.simulation import simulate
from simulator.work.store import Store

KINDS = ("fp32", "fp16", "bf16", "int8")
SETTINGS = [
    *({"kind": kind} for kind in KINDS),
    *({"kind": kind, "zstd": 1} for kind in KINDS),
    *({"kind": kind, "zstd": 1, "shuffle": False} for kind in ("fp32", "bf16")),
    *({"kind": kind, "zstd": 1, "delta": True} for kind in KINDS),
    {"kind": "topk", "fraction": 0.1, "values": "fp16"},
    {"kind": "topk", "fraction": 0.01, "values": "fp16"},
    {"kind": "topk", "fraction": 0.01, "values": "fp16", "zstd": 1},
    {"kind": "topk", "fraction": 0.01, "values": "int8", "zstd": 1},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One codec on one pair of models."""

    nbytes: int
    encode_bytes_per_s: float
    decode_bytes_per_s: float
    error: float  # largest, over the largest change between the two models


def trained(folder: Path) -> tuple[Bundle, Bundle]:
    """Return a model after two local epochs and after three."""
    overrides = [
        "algorithm={name: local, rounds: 3}",
        "faults=[]",
        "task.network.channels=[16, 32, 64, 128]",
        "task.network.num_res_units=2",
    ]
    point = load_study("quickstart", overrides).points[0]
    executor = make_executor(Store(folder), 1, "cpu")
    run = simulate(point.label, point.scenario, executor, "benchmark")
    keys = [row[2] for row in run.world.work if row[0] == "island" and row[1] == "train"]
    return executor.value(keys[1]), executor.value(keys[2])


def cpu_s(work: Callable[[], object], repeat: int) -> float:
    """CPU seconds of the fastest of several goes."""
    times = []
    for _ in range(repeat):
        start = process_time()
        work()
        times.append(process_time() - start)
    return max(min(times), 1e-9)


def measure(codec: Codec, before: Bundle, after: Bundle, repeat: int) -> Measured:
    """Encode and decode ``after``, as a difference to ``before`` where the codec says so."""
    base = before if codec.uses_delta else None
    form, payload = form_of(after), encode(after, codec, base=base)
    got = decode(payload, form, base=base)
    raw = sum(after.arrays[name].nbytes for name in ("model", "buffers", "counters"))
    change = np.abs(after.arrays["model"] - before.arrays["model"]).max()
    return Measured(
        nbytes=len(payload),
        encode_bytes_per_s=raw / cpu_s(lambda: encode(after, codec, base=base), repeat),
        decode_bytes_per_s=raw / cpu_s(lambda: decode(payload, form, base=base), repeat),
        error=float(np.abs(got.arrays["model"] - after.arrays["model"]).max() / change),
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15)
    repeat = parser.parse_args().repeat
    setup_process()
    with tempfile.TemporaryDirectory() as folder:
        before, after = trained(Path(folder))
    about = hardware()
    print(f"{date.today()}  {about['processor']}, {about['cores']} cores")
    print(f"{len(after.arrays['model']):,} parameters\n")
    whole = len(encode(after, Codec()))
    print("| codec | bytes | ratio | encode MB/s | decode MB/s | largest error / largest change |")
    print("|---|---|---|---|---|---|")
    for settings in SETTINGS:
        found = measure(Codec.model_validate(settings), before, after, repeat)
        text = ", ".join(f"{name}: {str(value).lower()}" for name, value in settings.items())
        print(
            f"| {text} | {found.nbytes:,} | {whole / found.nbytes:.2f} "
            f"| {found.encode_bytes_per_s / 1e6:.0f} | {found.decode_bytes_per_s / 1e6:.0f} "
            f"| {found.error:.2g} |"
        )


if __name__ == "__main__":
    main()

"""Task functions for tests of executors; most need no torch."""

import os
import resource
import signal
import time
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from simulator.api import Bundle
from simulator.errors import Diverged


def add(ctx, *inputs, value):
    total = sum((bundle.arrays["model"] for bundle in inputs), np.zeros(3, dtype=np.float32))
    return Bundle(arrays={"model": total + np.float32(value)}, meta={"pid": os.getpid()})


def fail(ctx, *inputs, **params):
    raise ZeroDivisionError("no such luck")


def diverge(ctx, *inputs, **params):
    raise Diverged("train", "north", "")


def die_once(ctx, *inputs, marker):
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(9)
    return add(ctx, *inputs, value=1)


def killed(ctx, *inputs, counters, times):
    """End as by the system when memory is short, which counts that, up to so many times."""
    text = Path(counters).read_text(encoding="ascii")
    number = int(text.split()[-1])
    if number < 3 + times:
        Path(counters).write_text(
            text.replace(f"oom_kill {number}", f"oom_kill {number + 1}"), encoding="ascii"
        )
        os.kill(os.getpid(), signal.SIGKILL)
    return add(ctx, *inputs, value=1)


def slow(ctx, *inputs, value):
    time.sleep(0.2)
    return add(ctx, *inputs, value=value)


def hang_once(ctx, *inputs, marker):
    try:
        descriptor = os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return add(ctx, *inputs, value=1)
    os.write(descriptor, str(os.getpid()).encode())
    time.sleep(600)
    raise AssertionError("nobody killed it")


def hungry(ctx, *inputs, folder, most):
    """Has memory enough for ``most`` of its kind at a time."""
    mine = Path(folder) / str(os.getpid())
    mine.touch()
    time.sleep(1.0)  # until the others have begun too
    num = len(list(Path(folder).iterdir()))
    if num > most:
        mine.unlink()
        raise MemoryError(f"{num} at a time")
    bundle = add(ctx, *inputs, value=1)
    mine.unlink()
    return bundle


_MACHINE_NBYTES, _WANTED_NBYTES, _PIECE_NBYTES = 2_000_000_000, 1_200_000_000, 100_000_000


@lru_cache(maxsize=1)
def own_nbytes():
    """Addresses that this process used when it was first asked."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def part_of_memory(folder):
    """A limit set by the kernel: this process's part of a machine with 2 GB for all that are at work."""
    mine = Path(folder) / str(os.getpid())
    mine.touch()
    time.sleep(1.0)  # until the others have begun too
    part = _MACHINE_NBYTES // len(list(Path(folder).iterdir()))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (own_nbytes() + part, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        mine.unlink()


def allocate(ctx, *inputs, folder):
    """Take 1.2 GB in tensors of torch."""
    import torch

    own_nbytes()
    with part_of_memory(folder):
        tensors = [
            torch.empty(_PIECE_NBYTES, dtype=torch.uint8) for _ in range(_WANTED_NBYTES // _PIECE_NBYTES)
        ]
        assert sum(tensor.nbytes for tensor in tensors) == _WANTED_NBYTES
    return add(ctx, *inputs, value=1)


def keep_cases(ctx, *inputs, value):
    """Leave 1 GB of cases of another site in memory."""
    from simulator.learning.cases import CACHE

    own_nbytes()
    case = {"case": "c", "split": "train", "spacing_mm": [1.0, 1.0, 1.0]}
    arrays = {"image.0": np.empty((1, 1000, 1000, 1000), dtype=np.uint8), "label.0": np.empty((1, 1, 1, 1))}
    CACHE.get(["others"], lambda keys: [Bundle(arrays=arrays, meta={"cases": [case]})], 3, "cpu")
    return add(ctx, *inputs, value=value)


def kept_cases(ctx, *inputs, value):
    """Tell how many cases of the other site are in memory."""
    from simulator.learning.cases import CACHE

    kept = CACHE.get(["others"], lambda keys: [Bundle(arrays={}, meta={"cases": []})], 3, "cpu")
    return Bundle(arrays={"model": np.zeros(3, dtype=np.float32)}, meta={"num_kept": len(kept)})


def allocate_there(ctx, *inputs, nbytes):
    """Take memory of the device."""
    import torch

    torch.empty(nbytes, dtype=torch.uint8, device=ctx.device)
    return add(ctx, *inputs, value=1)

"""Task functions for tests of executors; they need no torch."""

import os
import time
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

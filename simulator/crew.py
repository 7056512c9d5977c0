"""Processes that work through many small pieces: plans, each a fraction of a second."""

import gc
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TypeVar

from simulator.errors import SetupError
from simulator.network import compiled

T = TypeVar("T")
R = TypeVar("R")

FEW = 16
"""So many pieces are done here: starting another process takes longer."""
CHUNK = 8
"""Pieces handed over at once."""


class Crew:
    """Works through pieces in order, in this process or in ``jobs`` others; the results are the same.

    The function and all that it is given go to other processes, so it is one of a module.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(
        self,
        work: Callable[[Sequence[T]], list[R]],
        pieces: Sequence[T],
        tell: Callable[[int], None] = lambda done: None,
    ) -> list[R]:
        """Return what ``work`` makes of the pieces, a few at a time; ``tell`` hears how many were done.

        Raises:
            SetupError: a process died.
        """
        chunks = [pieces[first : first + CHUNK] for first in range(0, len(pieces), CHUNK)]
        found: list[R] = []
        parts = map(work, chunks) if self._is_alone(len(pieces)) else self._started().map(work, chunks)
        try:
            for part in parts:
                found += part
                tell(len(part))
        except BrokenProcessPool as error:
            raise SetupError(
                "a process that plans was killed, for lack of memory perhaps; try again with --jobs 1"
            ) from error
        return found

    def _is_alone(self, num_pieces: int) -> bool:
        return self._jobs == 1 or (self._pool is None and num_pieces <= FEW)

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_begin)
        return self._pool


def _begin() -> None:
    """Leave Ctrl-C to the process that asks; load the compiled kernel, which pays for many plans, and have
    the garbage collector look no more at what stays for good.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if compiled.available():
        compiled.functions()
    gc.freeze()

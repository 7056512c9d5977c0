"""Where jobs run: in this process or in resident workers, with networks and inputs kept at hand."""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from types import FrameType

from simulator.api import OPTIMIZER, Bundle
from simulator.errors import Diverged, MedgossipError, SetupError, TaskFailed
from simulator.registry import resolve
from simulator.work.jobs import MODEL, Job
from simulator.work.store import Store

_RECENT_NBYTES = 1 << 24  # beyond it, reading from the store again costs little


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job: its size, the error that stopped it, or the inputs it did not find.

    ``missing`` are keys whose results are gone or damaged; the job can run once they are there again.
    ``found``: another process with the same store has done the work meanwhile. ``taken``: one is at it now,
    and nothing was done here. ``starved``: the error is that memory did not suffice; with fewer jobs at a
    time it might.
    """

    key: str
    seconds: float
    nbytes: int
    error: MedgossipError | None = None
    missing: tuple[str, ...] = ()
    found: bool = False
    taken: bool = False
    starved: bool = False


class Unreadable(Exception):
    """Results that should be in the store are gone or damaged; ``args`` are their keys."""


class Bench:
    """Runs jobs one after another; recent results stay in memory, all results go to the store."""

    def __init__(self, store: Store, device: str) -> None:
        self.store = store
        self.device = device
        self._recent: OrderedDict[str, Bundle] = OrderedDict()
        self._recent_nbytes = 0

    def values(self, keys: Sequence[str]) -> list[Bundle]:
        """The results of ``keys``, or their models alone where a key says so.

        Raises:
            Unreadable: some are not in the store although they should be; all of them are named.
        """
        return _all_of(keys, self._value)

    def _read(self, keys: Sequence[str]) -> list[Bundle]:
        """Results straight from the store: what is made of them is kept, they are not.

        Raises:
            Unreadable: see :meth:`values`.
        """
        return _all_of(keys, self.store.get)

    def _value(self, key: str) -> Bundle | None:
        whole = key.removesuffix(MODEL)
        bundle = self._recent.get(whole)
        if bundle is None:
            bundle = self.store.get(whole)
            if bundle is None:
                return None
            self._keep(whole, bundle)
        else:
            self._recent.move_to_end(whole)
        if key == whole:
            return bundle
        return Bundle(
            arrays={name: array for name, array in bundle.arrays.items() if not name.startswith(OPTIMIZER)}
        )

    def _keep(self, key: str, bundle: Bundle) -> None:
        self._recent[key] = bundle
        self._recent_nbytes += sum(array.nbytes for array in bundle.arrays.values())
        while self._recent_nbytes > _RECENT_NBYTES and len(self._recent) > 1:
            _, old = self._recent.popitem(last=False)
            self._recent_nbytes -= sum(array.nbytes for array in old.arrays.values())

    def run(self, job: Job, *, regardless: bool = False) -> Outcome:
        """Do the work, keep the result. Errors are returned, so that one bad job ends one run only.

        What another process with the same store is at is left to it, unless it shall be done ``regardless``.
        """
        start = perf_counter()
        try:
            claim = self.store.claim(job.key)
        except SetupError as error:
            return _failed(job, start, error)
        if claim is None and not regardless:
            return Outcome(key=job.key, seconds=0.0, nbytes=0, taken=True)
        try:
            if job.key in self.store:
                return Outcome(key=job.key, seconds=0.0, nbytes=0, found=True)
            outcome = self._work(job)
            if outcome.starved:
                self._forget()
            return outcome
        finally:
            if claim is not None:
                claim.release(remove=True)

    def _forget(self) -> None:
        """Keep nothing in memory."""
        from simulator.learning.ready import forget

        self._recent.clear()
        self._recent_nbytes = 0
        forget()

    def _work(self, job: Job) -> Outcome:
        # imported here: a plan, and the process that only schedules, never need torch
        from simulator.learning.numerics import check_memory_sufficed, is_out_of_memory
        from simulator.learning.ready import Context

        start = perf_counter()
        try:
            context = Context(dict(job.recipe), job.site, job.seed, job.data, self._read, self.device)
            inputs = [
                bundle if network is None else replace(bundle, network=network)
                for bundle, network in zip_longest(self.values(job.inputs), job.networks)
            ]
            bundle = resolve(job.function)(context, *inputs, **job.params)
            check_memory_sufficed(self.device)
            if bundle.network is not None:
                raise ValueError("its outcome is a model of another network than its first input's")
            if not job.stateful and any(name.startswith(OPTIMIZER) for name in bundle.arrays):
                raise ValueError("declared stateful=False, yet its outcome holds an optimizer's state")
            nbytes = self.store.put(job.key, bundle)
        except Unreadable as error:
            return Outcome(key=job.key, seconds=perf_counter() - start, nbytes=0, missing=error.args)
        except Diverged as error:
            task, site, _ = error.args
            return _failed(job, start, Diverged(task, site, job.describe()))
        except MedgossipError as error:
            return _failed(job, start, error)
        except Exception as error:  # a task is foreign code: its run reports this and ends
            reason = f"{type(error).__name__}: {error}; recipe: {job.describe()}"
            failed = _failed(job, start, TaskFailed(job.task, job.site, reason))
            return replace(failed, starved=True) if is_out_of_memory(error) else failed
        self._keep(job.key, bundle)
        return Outcome(key=job.key, seconds=perf_counter() - start, nbytes=nbytes)


def _all_of(keys: Sequence[str], get: Callable[[str], Bundle | None]) -> list[Bundle]:
    found = {key: get(key) for key in keys}
    missing = dict.fromkeys(key.removesuffix(MODEL) for key, bundle in found.items() if bundle is None)
    if missing:
        raise Unreadable(*missing)
    return [bundle for key in keys if (bundle := found[key]) is not None]


def _failed(job: Job, start: float, error: MedgossipError) -> Outcome:
    return Outcome(key=job.key, seconds=perf_counter() - start, nbytes=0, error=error)


def serve(connection: Connection, root: Path, device: str) -> None:
    """The main loop of a resident worker: a job, its part of the GPU's memory in bytes, 0 for any, and
    whether to do it ``regardless`` come in, an outcome goes out; no job ends it.
    """
    import signal

    from simulator.learning.numerics import limit_gpu_memory, setup_process

    ending: list[int] = []

    def end_soon(number: int, _: FrameType | None) -> None:
        ending.append(number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    signal.signal(signal.SIGTERM, end_soon)  # a cluster's manager sends it to parent and workers alike
    setup_process()
    bench = Bench(Store(root), device)
    parent = os.getppid()
    while True:
        # a parent that was killed closes or resets its end; poll so that an orphan never waits for ever
        while not connection.poll(2.0):
            if ending or os.getppid() != parent:
                return
        try:
            job, memory_nbytes, regardless = connection.recv()
        except (EOFError, ConnectionError):
            return
        if job is None:
            return
        if memory_nbytes:
            limit_gpu_memory(memory_nbytes)
        outcome = bench.run(job, regardless=regardless)
        try:
            connection.send(outcome)
        except ConnectionError:  # nobody waits for it; the result is in the store
            return

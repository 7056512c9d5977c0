"""The loops of :mod:`simulator.network.kernel` and of what it needs, compiled by Numba."""

import hashlib
import inspect
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

from simulator.network import changes, due, filling, kernel, looks, membership, pacing, window

OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
"""How Numba compiles. Nothing here allocates, so nobody need count who holds an array: counting took
longer than all the rest."""
ENTRIES = ("join", "begin", "leave", "advance", "solve")
"""What is called from Python; the rest is part of their machine code."""


def available() -> bool:
    """Whether Numba is installed."""
    return find_spec("numba") is not None


def is_loaded() -> bool:
    """Whether this process has paid for the compiled functions already."""
    return functions.cache_info().currsize > 0


@cache
def functions() -> Any:
    """Return the kernel's functions, compiled when they are first called.

    Machine code is kept beside the source or, where that cannot be written, in the user's cache, under
    a name with a digest of the whole source and its constants: Numba itself would not notice that a
    function which another one calls has changed. Without such a place it lives as long as the process.
    """
    import numba

    modules = (window, changes, due, pacing, looks, membership, filling, kernel)
    scope: dict[str, Any] = {}
    for module in modules:
        scope.update(vars(module))
    numbers = sorted((name, value) for name, value in scope.items() if isinstance(value, int | float))
    text = "".join(inspect.getsource(module) for module in modules) + str((OPTIONS, numbers))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    for function in [function for module in modules for function in _defined_in(module)]:
        name = function.__name__
        copy = FunctionType(function.__code__, scope, f"{name}_{digest}")
        copy.__qualname__ = copy.__name__
        copy.__module__ = kernel.__name__
        scope[name] = numba.njit(copy, **OPTIONS)
        if name in ENTRIES:
            with suppress(RuntimeError):  # no place to keep it
                scope[name].enable_caching()
    return SimpleNamespace(**scope)


def _defined_in(module: ModuleType) -> list[FunctionType]:
    functions = [value for value in vars(module).values() if isinstance(value, FunctionType)]
    return [function for function in functions if function.__module__ == module.__name__]

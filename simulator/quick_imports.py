"""Large imports, with the garbage collector kept away from them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import within this: nobody looks for garbage meanwhile, nor ever again at what was imported.

    torch and MONAI hold a million objects for good. To look through them again and again takes half a
    second while they are imported, and most of a second when the process ends.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()

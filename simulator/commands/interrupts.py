"""Ctrl-C and SIGTERM: once to finish what runs and stop, twice to stop at once."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_TOLD = b"stopping when the running tasks have ended; once more to stop at once\n"


@contextmanager
def stopping_politely() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether the user has asked to stop.

    Raises:
        KeyboardInterrupt: asked for the second time.
    """
    asked: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        os.write(2, _TOLD)  # a stream's buffer may just be in use

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            # who has asked is answered: what is left is a message and the exit code
            signal.signal(number, signal.SIG_IGN if asked else handler)

"""How long runs tell where they stand: a bar in a terminal, a line now and then elsewhere."""

import sys
import time
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Protocol, TextIO

_QUIET_S = 5.0  # between two lines of a log
_NOTE_S = 1.0  # between two notes for other processes
_SURE_S, _SURE_STEPS = 5.0, 5  # below these an estimate would be a guess


class Progress(Protocol):
    """What a run tells while it goes on."""

    def stage(self, text: str) -> None:
        """Begin a part of the run; its count starts again."""

    def total(self, count: int) -> None:
        """Set how many steps the stage has; may grow."""

    def advance(self, text: str) -> None:
        """Finish one step, described by ``text``."""

    def line(self, text: str) -> None:
        """Print a line that stays."""

    def close(self) -> None:
        """End it; may be called twice."""


class PlainProgress:
    """Lines on a stream, at most one every few seconds besides the stages."""

    def __init__(self, stream: TextIO | None = None, *, quiet_s: float = _QUIET_S) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._quiet_s = quiet_s
        self._done = self._total = 0
        self._begun = self._told = time.monotonic()

    def stage(self, text: str) -> None:
        """Print the stage."""
        self._done = self._total = 0
        self._begun = self._told = time.monotonic()
        self.line(text)

    def total(self, count: int) -> None:
        """Set the number of steps."""
        self._total = count

    def advance(self, text: str) -> None:
        """Count a step; print it if the last line is some seconds old, or it ends a stage that took some."""
        self._done += 1
        now = time.monotonic()
        since = self._begun if self._done == self._total else self._told
        if now - since >= self._quiet_s:
            self._told = now
            left = _estimate(self._done, self._total, now - self._begun)
            self.line(f"{self._done}/{self._total} {text}{left and f', {left}'}")

    def line(self, text: str) -> None:
        """Print it."""
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to end."""


def _estimate(done: int, total: int, elapsed_s: float) -> str:
    """Tell how long the remaining steps take; empty at the end and as long as too little is known."""
    left = total - done
    if left <= 0 or done < _SURE_STEPS or elapsed_s < _SURE_S:
        return ""
    return f"about {elapsed_s / done * left:.0f} s left"


class NotedProgress:
    """Passes on what it is told, and notes where the run stands in a file, for other processes to read; a
    line that stays is noted until the next step.

    The file is written once a second at most; without room on the disk it stays as it was.
    """

    def __init__(self, progress: Progress, path: Path) -> None:
        self._progress, self._path = progress, path
        self._stage, self._said, self._done, self._total = "", "", 0, 0
        self._begun = time.monotonic()
        self._noted = -inf

    def stage(self, text: str) -> None:
        """Begin a part."""
        self._stage, self._said, self._done, self._total = text, "", 0, 0
        self._begun = time.monotonic()
        self._noted = -inf
        self._note()
        self._progress.stage(text)

    def total(self, count: int) -> None:
        """Set the number of steps."""
        self._total = count
        self._progress.total(count)

    def advance(self, text: str) -> None:
        """Count a step."""
        self._done += 1
        self._said = ""
        self._note()
        self._progress.advance(text)

    def line(self, text: str) -> None:
        """Print it."""
        self._said, self._noted = text, -inf
        self._note()
        self._progress.line(text)

    def close(self) -> None:
        """End it."""
        self._progress.close()

    def _note(self) -> None:
        now = time.monotonic()
        if now - self._noted < _NOTE_S:
            return
        self._noted = now
        more = self._said or _estimate(self._done, self._total, now - self._begun)
        steps = f"{self._done} of {self._total}" if self._total else ""
        text = ", ".join(part for part in (self._stage, steps, more) if part)
        partial = self._path.with_name(f"{self._path.name}.partial")
        with suppress(OSError):
            partial.write_text(text, encoding="utf-8")
            partial.replace(self._path)


class RichProgress:
    """A bar with count, rate and estimated end, on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[last]}"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=None, rate="", left="", last="")
        self._begun = time.monotonic()
        self._done = self._total = 0
        self._bar.start()

    def stage(self, text: str) -> None:
        """Start the bar again under another name."""
        self._begun, self._done, self._total = time.monotonic(), 0, 0
        self._bar.reset(self._task, description=text, total=None, rate="", left="", last="")

    def total(self, count: int) -> None:
        """Set the bar's length."""
        self._total = count
        self._bar.update(self._task, total=count)

    def advance(self, text: str) -> None:
        """Move the bar by one step."""
        self._done += 1
        elapsed_s = max(time.monotonic() - self._begun, 1e-9)
        rate, left = f"{self._done / elapsed_s:.3g}/s", _estimate(self._done, self._total, elapsed_s)
        self._bar.update(self._task, advance=1, rate=rate, left=left, last=text)

    def line(self, text: str) -> None:
        """Print above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Stop the bar."""
        self._bar.stop()


def make_progress() -> Progress:
    """Return a bar if standard error is a terminal, lines otherwise."""
    return RichProgress() if sys.stderr.isatty() else PlainProgress()

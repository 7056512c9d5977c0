"""How commands end: errors as messages with their exit codes, quietly where the reader went away."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from simulator.errors import ExitCode, MedgossipError, ScenarioError
from simulator.scenario.load import Study


@contextmanager
def errors_shown(verbose: bool, study: Study | None = None) -> Iterator[None]:
    """End the command with a message and its exit code where medgossip raises on purpose.

    With the study, a message that begins with a dotted key gets its place in the file.
    """
    try:
        yield
    except MedgossipError as error:
        _tell(study.locate(str(error)) if study and isinstance(error, ScenarioError) else str(error), verbose)
        raise typer.Exit(int(error.exit_code)) from None
    except BrokenPipeError:
        raise  # that of a worker: a bug of ours
    except OSError as error:
        _tell(str(error), verbose)
        raise typer.Exit(int(ExitCode.ENVIRONMENT)) from None
    except KeyboardInterrupt:
        _tell("interrupted; finished work is kept, the same command goes on from there", verbose)
        raise typer.Exit(int(ExitCode.INTERRUPTED)) from None


def _tell(message: str, verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
    print(message, file=sys.stderr)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Go on in silence where the reader of our output went away, as ``head`` does."""
    try:
        yield
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # what is left in the buffer has to go somewhere
        os.close(nowhere)

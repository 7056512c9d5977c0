"""Every error that medgossip raises on purpose, and the exit code it ends a command with.

SimPy rebuilds exceptions as ``type(e)(*e.args)``, so each class hands exactly its own arguments
to ``Exception`` and formats them only in ``__str__``.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    NO = 1  # what was asked is answered with no: a limit exceeded, a node that cannot be reached
    BAD_INPUT = 2
    SOME_RUNS_FAILED = 3
    DIVERGED = 4
    ENVIRONMENT = 5
    INTERRUPTED = 130


class MedgossipError(Exception):
    """Base of all errors that carry a message for the user rather than a traceback."""

    exit_code = ExitCode.SOME_RUNS_FAILED


class ScenarioError(MedgossipError):
    """The input is wrong; the message names the place, the finding and the remedy."""

    exit_code = ExitCode.BAD_INPUT


class SetupError(MedgossipError):
    """Something that the machine should offer is missing (a package, a device, disk space)."""

    exit_code = ExitCode.ENVIRONMENT


class Diverged(MedgossipError):
    """A task produced a value that is not finite; ``(task, site, recipe)``."""

    exit_code = ExitCode.DIVERGED

    def __str__(self) -> str:
        task, site, recipe = self.args
        return f"{task} at {site} gave a value that is not finite; recipe: {recipe}"


class TaskFailed(MedgossipError):
    """A task raised in its executor; ``(task, site, reason)``."""

    def __str__(self) -> str:
        task, site, reason = self.args
        return f"{task} at {site} failed: {reason}"


class BadCase(MedgossipError):
    """A case that cannot be used; ``(reason,)``. Skipped and listed unless ``strict``."""

    exit_code = ExitCode.BAD_INPUT


class Interrupted(MedgossipError):
    """The user stopped the command; ``(remedy,)`` says how to go on."""

    exit_code = ExitCode.INTERRUPTED

    def __str__(self) -> str:
        return f"interrupted; {self.args[0]}"


class NoValue(MedgossipError):
    """A protocol asked for a value in a run that computes none; ``(task,)``."""

    exit_code = ExitCode.BAD_INPUT

    def __str__(self) -> str:
        return f"a plan computes no values, but the protocol asked for the outcome of {self.args[0]}"


class DamagedPayload(Exception):
    """Bytes that are no payload, or not the one that was sent; ``(reason,)``."""


class TransferFailed(Exception):
    """A message did not arrive; ``(reason,)``. Protocols may catch it."""

    @property
    def reason(self) -> str:
        """Why, in words: ``"peer crashed"``, ``"link down"``, ``"timed out"`` …"""
        return str(self.args[0])


class ReceiveTimeout(Exception):
    """Nothing of this kind came in time; ``(kind, timeout_s)``. Protocols may catch it."""

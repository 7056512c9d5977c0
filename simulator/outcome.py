"""One point of a study on its way from simulated to written."""

from dataclasses import dataclass, field

from simulator.errors import Diverged, MedgossipError
from simulator.observations import Evaluation
from simulator.scenario import Point
from simulator.simulation import Simulated


@dataclass(slots=True, kw_only=True)
class Outcome:
    """A point, its run in virtual time, what is evaluated of it, and the error that ended it.

    ``basis`` is a digest of all that decides its results; ``kept``: they lie in the study's folder; ``plan``:
    nothing was trained.
    """

    point: Point
    basis: str = ""
    kept: bool = False
    plan: bool = False
    run: Simulated | None = None
    error: MedgossipError | None = None
    rounds: list[Evaluation] = field(default_factory=list)
    selected: list[Evaluation] = field(default_factory=list)
    unseen: list[Evaluation] = field(default_factory=list)

    @property
    def tests(self) -> list[Evaluation]:
        """The tests of the selected models, at home and at unseen hospitals."""
        return [*self.selected, *self.unseen]

    @property
    def status(self) -> str:
        """How it ended: ok, failed or diverged."""
        if self.error is None:
            return "ok"
        return "diverged" if isinstance(self.error, Diverged) else "failed"

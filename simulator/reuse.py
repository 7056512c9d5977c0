"""What a run needed, what of it was computed for it, and what that saved which was there already."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from simulator.outcome import Outcome
from simulator.work.costs import Source, estimate, noted
from simulator.work.executors import PoolExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """The tasks of a run, and the seconds of one worker that those would have taken which were reused.

    A task that several runs of a study need was executed for the first of them and reused by the others.
    What failed is neither. ``saved_s`` is None where such work has never been measured with this store.
    """

    needed: int
    executed: int
    reused: int
    saved_s: float | None


class ReuseCounter:
    """Counts the reuse of the runs of a study, one after another."""

    def __init__(self, executor: PoolExecutor) -> None:
        self.runs: list[Reuse] = []
        self._executor = executor
        self._counted: set[str] = set()
        self._notes = noted(executor.store.root)
        self._notes.add(executor.tally.costs)

    def count(self, outcome: Outcome) -> Reuse:
        """Return the reuse of the next run, whose values have been read: what was damaged was computed."""
        executor = self._executor
        keys = executor.ancestors(one.key for one in [*outcome.rounds, *outcome.tests])
        done = {key for key in keys if not executor.has_failed(key)}
        reused = done - (executor.executed - self._counted)
        saved = estimate(executor.jobs_of(reused), self._notes, executor.device)
        was_done = not saved.unmeasured and set(saved.parts) <= {Source.DONE}
        self._counted |= done
        self.runs.append(
            Reuse(
                needed=len(keys),
                executed=len(done) - len(reused),
                reused=len(reused),
                saved_s=saved.cost.seconds if was_done else None,
            )
        )
        return self.runs[-1]


def together(found: Iterable[Reuse]) -> Reuse:
    """Return the sums over runs."""
    rows = list(found)
    saved = [row.saved_s for row in rows]
    known = [one for one in saved if one is not None]
    return Reuse(
        needed=sum(row.needed for row in rows),
        executed=sum(row.executed for row in rows),
        reused=sum(row.reused for row in rows),
        saved_s=math.fsum(known) if len(known) == len(saved) else None,
    )

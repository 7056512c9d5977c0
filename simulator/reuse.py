"""What a run needed, what of it was computed for it, and what that saved which was there already."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulator.outcome import Outcome
from simulator.work.costs import estimate, noted
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


def count_reuse(outcomes: Iterable[Outcome], executor: PoolExecutor) -> Iterator[Reuse]:
    """Give the reuse of each run, in order."""
    costs = noted(executor.store.root)
    for kind, cost in executor.tally.costs.items():
        costs.setdefault(kind, type(cost)()).add(cost)
    left = set(executor.executed)
    for outcome in outcomes:
        keys = executor.ancestors(one.key for one in [*outcome.rounds, *outcome.tests])
        done = {key for key in keys if not executor.has_failed(key)}
        reused = done - left
        saved = estimate(executor.jobs_of(reused), costs, executor.device)
        yield Reuse(
            needed=len(keys),
            executed=len(done) - len(reused),
            reused=len(reused),
            saved_s=None if saved.unmeasured else saved.cost.seconds,
        )
        left -= done


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

"""The smallest bandwidth and the longest outage that still work, by bisection over plans."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.advice.measure import Trials, judge
from simulator.advice.trials import ANY_SITE, Outage, Trial
from simulator.scenario.advise import Advise
from simulator.scenario.schema import ScenarioBase
from simulator.scenario.topologies import SERVER

NUM_STEPS = 6
"""Halvings of the range on a logarithmic scale."""
SMALLEST_BYTES_PER_S = 1_000.0
"""Below 8 kbit/s nobody looks for a limit."""
SHORTEST_S, LONGEST_S = 1.0, 7 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A quantity up to which (or from which on) a scenario works.

    Attributes:
        works: the last value seen to work; None: not even the mildest one does.
        fails: the first seen to fail; None: the worst that was tried works too.

    """

    what: str
    works: float | None
    fails: float | None


def limits(
    scenario: ScenarioBase, advise: Advise, trials: Trials, *, num_draws: int, has_server: bool
) -> list[Limit]:
    """Find the limits; each step takes ``num_draws`` plans, the same draws every time. What fails under a
    draw anyway is not held against a step; where more than half of the draws do, no limit can be found.
    """

    def failures(trials_: Sequence[Trial]) -> list[bool]:
        return [judge(sample, trials.best, advise).fails for sample in trials.run(trials_)]

    anyway = failures([Trial(number=number) for number in range(num_draws)])
    if 2 * sum(anyway) > num_draws:
        return []

    def works(trial: Callable[[int], Trial]) -> bool:
        found = failures([trial(number) for number in range(num_draws)])
        new = sum(now and not before for now, before in zip(found, anyway, strict=True))
        return new <= advise.risk * num_draws

    fastest = max(max(site.link.up, site.link.down) for site in scenario.sites)
    found = []
    if fastest < float("inf"):
        found.append(
            _bisect(
                "bandwidth",
                lambda rate: works(lambda number: Trial(number=number, most_bytes_per_s=rate)),
                mild=fastest,
                harsh=SMALLEST_BYTES_PER_S,
            )
        )
    nodes = [ANY_SITE, SERVER] if has_server else [ANY_SITE]
    for node in nodes:
        lasting = _lasting(works, node, trials.best.seconds)
        found.append(_bisect(f"outage of {_the(node)}", lasting, SHORTEST_S, LONGEST_S))
    return found


def _the(node: str) -> str:
    return "the server" if node == SERVER else node


def _lasting(
    works: Callable[[Callable[[int], Trial]], bool], node: str, within_s: float
) -> Callable[[float], bool]:
    def of(seconds: float) -> bool:
        outage = Outage(node=node, seconds=seconds, within_s=within_s)
        return works(lambda number: Trial(number=number, outage=outage))

    return of


def _bisect(what: str, works: Callable[[float], bool], mild: float, harsh: float) -> Limit:
    """Halve the range between a mild and a harsh value, as long as the mild end works and the other fails."""
    if not works(mild):
        return Limit(what=what, works=None, fails=mild)
    if works(harsh):
        return Limit(what=what, works=harsh, fails=None)
    for _ in range(NUM_STEPS):
        middle = float(f"{(mild * harsh) ** 0.5:.3g}")
        if works(middle):
            mild = middle
        else:
            harsh = middle
    return Limit(what=what, works=mild, fails=harsh)

"""The names of a study's runs: labels, and ids that show their place and what they are made of."""

from collections.abc import Sequence

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.scenario.dump import digest
from simulator.scenario.schema import ScenarioBase

_SHOWN = 3


def run_id(place: int, scenario: ScenarioBase) -> str:
    """A run's place in its study and the digest of its resolved scenario: ``0007-3f9a02c1``."""
    return f"{place:04}-{digest(scenario)[:8]}"


def places(words: Sequence[str], labels: Sequence[str], scenarios: Sequence[ScenarioBase]) -> set[int]:
    """Return the places, from 0, of runs given by label or by the beginning of their id; an id's digest alone
    decides where it is whole, since in a study of some of the runs their places are others.

    Raises:
        ScenarioError: there is no such run, or there are several.
    """
    ids: list[str] = []
    found = set()
    for word in words:
        if word in labels:
            found.add(labels.index(word))
            continue
        ids = ids or [run_id(place, scenario) for place, scenario in enumerate(scenarios, 1)]
        whole = word.partition("-")[2]
        fitting = [i for i, one in enumerate(ids) if one.startswith(word) or one.partition("-")[2] == whole]
        if not fitting:
            raise ScenarioError(f'--only {word}: no run "{word}"{suggest(word, [*labels])}')
        if len(fitting) > 1:
            first = ", ".join(ids[i] for i in fitting[:_SHOWN])
            more = f" and {len(fitting) - _SHOWN} more" if len(fitting) > _SHOWN else ""
            raise ScenarioError(f"--only {word}: ids of {first}{more} begin so; write more of the one meant")
        found.add(fitting[0])
    return found

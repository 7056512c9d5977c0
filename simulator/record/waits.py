"""How often settings of the algorithm decided how a run went, time-outs above all."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from simulator.record.participation import newcomers, remarks
from simulator.units import short

_TOLD = {
    "nothing_received": "receivers waited receive_timeout for a model that did not come",
    "partial_work": "sites sent partial work, for algorithm.work_deadline",
    "server_lost": "sites waited server_patience and took the server for dead",
    "weak_pull": "algorithm.lam below 1/sites weighs a site's own personal model less than others'",
    "too_few_to_defend": "too few models came for algorithm.defense, and the model before was kept",
    "pruned": "sites or peers were left out after prune_after silent rounds",
    "sends_again": "models that did not arrive were sent again (algorithm.sending)",
    "superseded": "servers or leaders found that another leads",
    "empty_round": "rounds of the server ended without enough answers",
}
_NAMED = {"server_lost"}
"""Events that end a site's part in the run: who it was matters."""
_NODE, _EVENT = 2, 3


def waits(
    events: Sequence[tuple[Any, ...]], transfers: Sequence[tuple[Any, ...]], sites: Sequence[str]
) -> list[str]:
    """Say what happened how often, who began late, and whose data went unused.

    Args:
        events: rows of the table ``events``.
        transfers: rows of the table ``transfers``.
        sites: the sites that take part.

    """
    counts = Counter(row[_EVENT] for row in events)
    said = []
    for event, what in _TOLD.items():
        if counts[event]:
            who = sorted({row[_NODE] for row in events if row[_EVENT] == event and event in _NAMED})
            said.append(f"{counts[event]} x: {what}" + (f" ({', '.join(who)})" if who else ""))
    said += [
        f"{new.site} began after {short(new.time_s, 'duration')} with "
        f"{new.start}: {short(new.nbytes, 'size')}"
        for new in newcomers(events, transfers)
    ]
    return [*said, *remarks(events, sites)]

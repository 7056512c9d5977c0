"""Store and forward: a relay takes all of a message before it passes it on."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import simpy

from simulator.errors import TransferFailed
from simulator.network.flow import Transfer


def forward(
    first: Transfer,
    onward: Callable[[], Transfer],
    explain: Callable[[str], str],
    env: simpy.Environment,
) -> Transfer:
    """Return the whole of a transfer of two legs, of which the first is on its way.

    Each leg is booked as a transfer of its own. When the first has arrived its sender is no longer
    needed. A copy of a control message goes no further than the relay.

    Args:
        first: to the relay.
        onward: starts the leg from there.
        explain: returns why the whole fails, given why a leg does.
        env: where the event of the whole happens.
    """
    whole = replace(first, event=simpy.Event(env), again=None)

    def arrived(outcome: simpy.Event) -> None:
        outcome.defused = True
        if outcome.ok:
            onward().event.callbacks.append(ended)
        else:
            fail(outcome)

    def ended(outcome: simpy.Event) -> None:
        outcome.defused = True
        if outcome.ok:
            whole.event.succeed()
        else:
            fail(outcome)

    def fail(outcome: simpy.Event) -> None:
        reason = cast(TransferFailed, outcome.value).reason
        whole.event.fail(TransferFailed(explain(reason)))
        whole.event.defused = True  # nobody need listen

    first.event.callbacks.append(arrived)
    return whole

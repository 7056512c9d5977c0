"""Store and forward: a relay takes all of a message before it passes it on."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import cast

import simpy

from simulator.errors import TransferFailed
from simulator.network.flow import Transfer
from simulator.network.messages import CRASHED
from simulator.record.ledger import Ledger

NOT_PASSED_ON = "not passed on"


def relay_crashed(name: str) -> str:
    """Why a transfer fails whose relay has crashed."""
    return f"relay {name} crashed"


def why_refused(crashed: str, transfer: Transfer) -> str:
    """Why a transfer fails when one of its nodes has crashed."""
    return CRASHED if crashed in (transfer.src, transfer.dst) else relay_crashed(crashed)


def forward(
    first: Transfer,
    onward: Callable[[], Transfer],
    via: str,
    crashed: Collection[str],
    ledger: Ledger,
    env: simpy.Environment,
) -> Transfer:
    """Return the whole of a transfer of two legs, of which the first is on its way.

    Each leg is booked as a transfer of its own. When the first has arrived its sender is no longer
    needed; if the onward leg fails, the bytes of the first were wasted too. A copy of a control
    message goes no further than the relay.

    Args:
        first: to the relay.
        onward: starts the leg from there.
        via: the relay.
        crashed: the nodes that are down, whenever it is asked.
        ledger: has both legs.
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
            ledger.void(first.id, NOT_PASSED_ON)
            fail(outcome)

    def fail(outcome: simpy.Event) -> None:
        reason = cast(TransferFailed, outcome.value).reason
        lost = relay_crashed(via) if reason == CRASHED and via in crashed else reason
        whole.event.fail(TransferFailed(lost))
        whole.event.defused = True  # nobody need listen

    first.event.callbacks.append(arrived)
    return whole

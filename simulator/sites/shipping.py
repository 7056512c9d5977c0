"""Messages on their way: encoded, carried, sent again where the algorithm wants that, delivered or lost."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import simpy

from simulator.api import Message, Ref, Sending, TransferFailed
from simulator.sites.payloads import Payload, Way
from simulator.work.jobs import MODEL

if TYPE_CHECKING:
    from simulator.sites.node import NodeRuntime
    from simulator.sites.world import World

Tries = tuple[float, ...]
"""When a message was handed to the network, each time."""


class Shipping:
    """All messages of a run. ``in_flight`` counts those whose end is still open.

    Args:
        world: whose nodes send.
        sending: how patient senders of models are.
    """

    def __init__(self, world: "World", sending: Sending) -> None:
        self._world, self._sending = world, sending
        self.in_flight = 0

    def ship(
        self,
        sender: "NodeRuntime",
        dst: str,
        kind: str,
        ref: Ref | None,
        header: Mapping[str, Any],
        event: simpy.Event | None,
    ) -> None:
        """Send a message; ``event``, if any, tells its sender how that ended."""
        if dst == sender.name or dst not in self._world.nodes:
            raise ValueError(f"{sender.name} cannot send to {dst!r}")
        self.in_flight += 1
        if ref is not None and sender.name != self._world.server:
            ref = self._leave(sender.name, dst, kind, ref, header)
        if ref is None:
            self._carry(sender.name, dst, kind, None, header, event)
        else:
            self._encode((sender.name, dst, kind), ref, header, event)

    def _encode(
        self, way: Way, ref: Ref, header: Mapping[str, Any], event: simpy.Event | None, tries: Tries = ()
    ) -> None:
        """Encode a model and send it."""
        self._world.payloads.encode(
            way,
            ref,
            lambda payload: self._carry(*way, payload, header, event, tries),
            lambda: self._lost(*way, header, "crashed while encoding"),
        )

    def _leave(self, site: str, dst: str, kind: str, ref: Ref, header: Mapping[str, Any]) -> Ref:
        """What a site really sends."""
        is_change = ref.key.removesuffix(MODEL) in self._world.changes
        left, done = self._world.outgoing.leave(
            site, kind, ref, is_change=is_change, now_s=float(self._world.env.now)
        )
        if done:
            self._world.observe(site, done, header.get("round"), None, dst, {"kind": kind})
        return left

    def _carry(
        self,
        src: str,
        dst: str,
        kind: str,
        payload: Payload | None,
        header: Mapping[str, Any],
        event: simpy.Event | None,
        tries: Tries = (),
    ) -> None:
        """Hand a message, with its model encoded, to the network; deliver it when it has arrived."""
        tries = (*tries, self._world.now)
        message = Message(src, kind, payload.received if payload else None, header, tries[0])

        def deliver() -> None:
            self._over()
            if message.ref is not None:
                self._world.outgoing.heard(dst, message.ref)
            self._world.succession.deliver(message, dst)

        def ended(outcome: simpy.Event) -> None:
            outcome.defused = True
            failure = self._failure(outcome, payload)
            if payload is not None:
                self._world.payloads.settle(payload, arrived=failure is None)
            if failure is not None:
                if payload is not None and self._sends_again(payload, header, event, tries, failure):
                    return
                self._lost(src, dst, kind, header, failure.reason)
            elif payload is None:
                deliver()
            else:
                self._world.payloads.decode(payload, deliver, self._over)
            if event is None:
                return
            if failure is None:
                event.succeed()
            else:
                event.fail(failure)

        self._hand_over(message, dst, payload, ended)

    def _failure(self, outcome: simpy.Event, payload: Payload | None) -> TransferFailed | None:
        """Why a message did not arrive, None if it did. What a relay held meanwhile may be a difference that
        its receiver can read no more.
        """
        if not outcome.ok:
            return cast(TransferFailed, outcome.value)
        is_readable = payload is None or self._world.payloads.is_readable(payload)
        return None if is_readable else TransferFailed("the receiver has lost what it builds on")

    def _hand_over(
        self, message: Message, dst: str, payload: Payload | None, ended: Callable[[simpy.Event], None]
    ) -> None:
        """Give a message to the network, or at once to who is on the same machine."""
        ends = [self._world.succession.machine_of(name) for name in (message.src, dst)]
        if ends[0] == ends[1]:  # a site and the server
            self._world.env.timeout(0.0).callbacks.append(ended)
            return
        transfer = self._world.network.transfer(
            ends[0],
            ends[1],
            payload.nbytes if payload else self._world.control_nbytes,
            kind=message.kind,
            round=message.header.get("round"),
            control=payload is None,
            within_s=self._sending.timeout,
        )
        transfer.event.callbacks.append(ended)
        if transfer.again is not None:
            self.in_flight += 1
            transfer.again.callbacks.append(lambda copy: self._deliver_copy(copy, dst, message))

    def _sends_again(
        self,
        payload: Payload,
        header: Mapping[str, Any],
        event: simpy.Event | None,
        tries: Tries,
        failure: TransferFailed,
    ) -> bool:
        """Whether a model that did not arrive will be sent again, later and twice as late each time."""
        src, dst, kind = payload.way
        if len(tries) > self._sending.retries or not self._world.payloads.is_remembered(payload):
            return False

        def again(_: simpy.Event) -> None:
            if self._world.payloads.is_remembered(payload):
                self._encode(payload.way, payload.sent, header, event, tries)
            else:
                self._lost(src, dst, kind, header, "crashed before it was sent again")

        wait_s = self._sending.backoff * 2 ** (len(tries) - 1)
        detail = {"kind": kind, "reason": failure.reason, "in_s": wait_s}
        self._world.observe(src, "sends_again", header.get("round"), None, dst, detail)
        self._world.env.timeout(wait_s).callbacks.append(again)
        return True

    def _deliver_copy(self, copy: simpy.Event, dst: str, message: Message) -> None:
        """A control message came a second time, and the transport may let it through."""
        self.in_flight -= 1
        self._world.changed = True
        if copy.ok:
            self._world.succession.deliver(message, dst)

    def _lost(self, src: str, dst: str, kind: str, header: Mapping[str, Any], reason: str) -> None:
        self._over()
        self._world.observe(src, "lost", header.get("round"), None, dst, {"kind": kind, "reason": reason})

    def _over(self) -> None:
        """One message less is on its way."""
        self.in_flight -= 1
        self._world.changed = True
